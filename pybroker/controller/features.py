"""Decides which levels of the features are finalized (UpdateFeatures, KIP-584 and KIP-778).

In: the latest image and a request. Out: a decision. What must hold: no level is finalized that this code does
not stand behind; a refused feature refuses the whole request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pybroker.common.errors import ErrorCode
from pybroker.controller.decision import Decision
from pybroker.coordinator.partitioning import java_hash_order
from pybroker.metadata.features import (
    CARRIED_FEATURES,
    ELIGIBLE_LEADER_REPLICAS,
    KRAFT_VERSION,
    METADATA_VERSION,
)
from pybroker.metadata.image import MetadataImage
from pybroker.wire.message import Message
from pybroker.wire.messages.update_features import (
    UpdatableFeatureResult,
    UpdateFeaturesRequest,
    UpdateFeaturesResponse,
)
from pybroker.wire.schemas.metadata_records import ConfigRecord, FeatureLevelRecord

UPGRADE: Final = 1
SAFE_DOWNGRADE: Final = 2
UNSAFE_DOWNGRADE: Final = 3

_BROKER_RESOURCE: Final = 4
_ELIGIBLE_LEADER_REPLICAS_FROM: Final = 23
"""The metadata.version that knows their records (4.0-IV1)."""
_FAILED: Final = "The update failed for all features since the following feature had an error: "


def update(
    image: MetadataImage,
    request: UpdateFeaturesRequest,
    *,
    supported: Mapping[str, tuple[int, int]],
    node_id: int,
    min_insync_replicas: str,
) -> Decision[UpdateFeaturesResponse]:
    """`min_insync_replicas` becomes the cluster's default when eligible leader replicas are switched on,
    which rely on there being one."""
    # Of several updates of one feature the last one counts.
    wanted = {
        asked.feature: (asked.max_version_level, asked.upgrade_type) for asked in request.feature_updates
    }
    records: list[Message] = []
    for name in java_hash_order(wanted):
        level, kind = wanted[name]
        problem = _problem(image, name, level, kind, wanted, supported, node_id)
        if problem is not None:
            return refuse_update(ErrorCode.INVALID_UPDATE_VERSION, _FAILED + problem)
        fixed = name in (METADATA_VERSION, KRAFT_VERSION) or name in CARRIED_FEATURES
        if fixed and level == image.features.get(name, 0):
            continue
        records.append(FeatureLevelRecord(name=name, feature_level=level))
        if name == ELIGIBLE_LEADER_REPLICAS and level > image.features.get(name, 0):
            records += _default_of_min_insync_replicas(image, min_insync_replicas)
    if request.validate_only:
        records = []
    results = [
        UpdatableFeatureResult(feature=asked.feature, error_message=ErrorCode.NONE.name)
        for asked in request.feature_updates
    ]
    return Decision(records, UpdateFeaturesResponse(error_message=None, results=results))


def refuse_update(code: int, message: str | None = None) -> Decision[UpdateFeaturesResponse]:
    return Decision([], UpdateFeaturesResponse(error_code=code, error_message=message))


def _problem(
    image: MetadataImage,
    name: str,
    level: int,
    kind: int,
    wanted: Mapping[str, tuple[int, int]],
    supported: Mapping[str, tuple[int, int]],
    node_id: int,
) -> str | None:
    """Why a feature may not get this level, in Kafka's words."""
    current = image.features.get(name, 0)
    invalid = f"Invalid update version {level} for feature {name}. "
    if kind not in (UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE):
        return f"{invalid}The controller does not support the given upgrade type."
    if level < 0:
        return f"{invalid}A feature version cannot be less than 0."
    if name in supported:
        low, high = supported[name]
        if not low <= level <= high:
            return f"{invalid}Local controller {node_id} only supports versions {low}-{high}"
        unsupported_by = _registered_without(image, name, level, node_id)
        if unsupported_by is not None:
            return invalid + unsupported_by
    elif level == 0 and name not in CARRIED_FEATURES:
        # Nothing has to support that a feature is off.
        return f"{invalid}Feature {name} not found."
    elif name not in CARRIED_FEATURES or level != current or not current:
        return f"{invalid}Local controller {node_id} does not support this feature."
    if level < current and kind == UPGRADE:
        return (
            f"{invalid}Can't downgrade the version of this feature without setting the upgrade type to "
            "either safe or unsafe downgrade."
        )
    if level > current and kind != UPGRADE:
        return f"{invalid}Can't downgrade to a newer version."
    if name == METADATA_VERSION and level < current:
        unsupported = f"Unsupported metadata.version downgrade from {current} to {level}. "
        if kind == UNSAFE_DOWNGRADE:
            return f"{unsupported}Unsafe metadata downgrade is not supported in this version."
        return (
            f"{unsupported}Refusing to perform the requested downgrade because it might delete metadata "
            "information."
        )
    if name == KRAFT_VERSION and level < current:
        return f"{invalid}Can't downgrade the version of this feature."
    if name == KRAFT_VERSION and level > current:
        # The quorum of such a log is a static one.
        return f"{invalid}Local controller {node_id} does not support this feature."
    if name == ELIGIBLE_LEADER_REPLICAS and level:
        metadata_version = wanted.get(METADATA_VERSION, (image.features.get(METADATA_VERSION, 0), 0))[0]
        if metadata_version < _ELIGIBLE_LEADER_REPLICAS_FROM:
            return (
                f"{invalid}{name} could not be set to {level} because it depends on {METADATA_VERSION} level "
                f"{_ELIGIBLE_LEADER_REPLICAS_FROM}"
            )
    return None


def _registered_without(image: MetadataImage, name: str, level: int, node_id: int) -> str | None:
    """Which registered broker or other controller cannot have this level, in Kafka's words."""
    nodes = [(f"Broker {broker_id}", broker.features) for broker_id, broker in sorted(image.brokers.items())]
    nodes += [
        (f"Controller {controller_id}", controller.features)
        for controller_id, controller in sorted(image.controllers.items())
        if controller_id != node_id
    ]
    for node, features in nodes:
        low, high = next(((low, high) for known, low, high in features if known == name), (0, 0))
        if not low <= level <= high:
            if high == 0:
                return f"{node} does not support this feature."
            return f"{node} only supports versions {low}-{high}"
    return None


def _default_of_min_insync_replicas(image: MetadataImage, value: str) -> list[Message]:
    name = "min.insync.replicas"
    if name in image.config(_BROKER_RESOURCE, ""):
        return []
    return [ConfigRecord(resource_type=_BROKER_RESOURCE, resource_name="", name=name, value=value)]
