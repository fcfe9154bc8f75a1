"""The levels of metadata.version by name, and what a release of Kafka finalizes in a new cluster.

In: names such as 4.3 or 4.0-IV1. Out: levels. What must hold: the levels are Kafka's, from 3.3 on, where the
first that KRaft can be formatted with is.
"""

from __future__ import annotations

import re
from typing import Final

from pybroker.common.errors import ConfigError
from pybroker.metadata.features import (
    ELIGIBLE_LEADER_REPLICAS,
    GROUP_VERSION,
    METADATA_VERSION,
    TRANSACTION_VERSION,
)

_FIRST_LEVEL: Final = 7
_NAMES: Final = (
    "3.3-IV3",
    "3.4-IV0",
    *("3.5-IV0", "3.5-IV1", "3.5-IV2"),
    *("3.6-IV0", "3.6-IV1", "3.6-IV2"),
    *("3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4"),
    "3.8-IV0",
    "3.9-IV0",
    *("4.0-IV0", "4.0-IV1", "4.0-IV2", "4.0-IV3"),
    *("4.1-IV0", "4.1-IV1"),
    *("4.2-IV0", "4.2-IV1"),
    "4.3-IV0",
)
LATEST_RELEASE: Final = _NAMES[-1]
FIRST_RELEASE: Final = _NAMES[0]

# feature: (level of metadata.version that finalizes it in a new cluster, level of the feature then)
_FINALIZED_FROM: Final = {
    TRANSACTION_VERSION: (24, 2),
    GROUP_VERSION: (22, 1),
    ELIGIBLE_LEADER_REPLICAS: (26, 1),
    "share.version": (28, 1),
    "streams.version": (29, 1),
}
# feature: level of metadata.version that it cannot do without
_DEPENDS_ON: Final = {ELIGIBLE_LEADER_REPLICAS: 23}

_RELEASE: Final = re.compile(r"(\d+\.\d+)(?:\.\d+)*\Z")
LEVELS_MAX: Final = {name: level for name, (_, level) in _FINALIZED_FROM.items()} | {"kraft.version": 1}


def release_level(name: str) -> int:
    """The level of a release (its last one for a name like 4.0 or 4.0.1). ConfigError for an unknown one."""
    match = _RELEASE.match(name)
    wanted = match[1] + "-" if match else None
    for index in reversed(range(len(_NAMES))):
        if _NAMES[index] == name or (wanted is not None and _NAMES[index].startswith(wanted)):
            return _FIRST_LEVEL + index
    raise ConfigError(
        f"Unknown metadata.version '{name[:100]}'. Supported metadata.version are: {', '.join(_NAMES)}"
    )


def release_name(level: int) -> str:
    """The name of a level. ConfigError for an unknown one."""
    if not _FIRST_LEVEL <= level < _FIRST_LEVEL + len(_NAMES):
        raise ConfigError(
            f"No MetadataVersion with feature level {level}. "
            f"Valid feature levels are from {_FIRST_LEVEL} to {_FIRST_LEVEL + len(_NAMES) - 1}."
        )
    return _NAMES[level - _FIRST_LEVEL]


def initial_features(level: int, asked: dict[str, int]) -> dict[str, int]:
    """What a new cluster of a level of metadata.version finalizes, with what was `asked` for in particular.

    `kraft.version` is not among it: the quorum states that by itself. ConfigError when it cannot be.
    """
    features = {METADATA_VERSION: level}
    for name, (from_level, of_feature) in _FINALIZED_FROM.items():
        features[name] = of_feature if level >= from_level else 0
    for name, wanted in asked.items():
        if name not in LEVELS_MAX:
            known = ", ".join(sorted(LEVELS_MAX))
            raise ConfigError(f"Unsupported feature: {name[:100]}. Supported features are: {known}")
        if not 0 <= wanted <= LEVELS_MAX[name]:
            raise ConfigError(f"No feature:{name} with feature level {wanted}")
        if name in features:
            features[name] = wanted
    for name, needed in _DEPENDS_ON.items():
        if features[name] and level < needed:
            raise ConfigError(
                f"{name} could not be set to {features[name]} because it depends on "
                f"{METADATA_VERSION} level {needed}"
            )
    return {name: value for name, value in features.items() if value}
