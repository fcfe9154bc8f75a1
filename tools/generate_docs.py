"""Writes the reference pages that follow from tables: docs/configuration.md and docs/protocol.md.

In: the tables of `pybroker.common.config`, `pybroker.wire.api_keys` and the docstrings of the handlers. Out:
two Markdown files. `python -m tools.generate_docs` writes them, `--check` only says which of them are stale.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable
from pathlib import Path

from pybroker.common.config import (
    AUTHORIZER_KEYS,
    BROKER_INTERNAL_KEYS,
    BROKER_KEYS,
    CLIENT_METRICS_KEYS,
    GROUP_KEYS,
    PYBROKER_KEYS,
    TOPIC_INTERNAL_KEYS,
    TOPIC_KEYS,
    ConfigKey,
)

_ROOT = Path(__file__).resolve().parent.parent
_RANGES = {
    "-": "",
    "nonempty": "not empty",
    "throttle": "partition:broker,... or `*`",
    "reset": "latest, earliest, by_duration:PnDTnHnMn.nS",
    "1..9|-1": "1 to 9 or -1",
}
# How the table of APIs says that a key has no flexible version.
_NEVER = 32767
_MODES = {"ro": "no", "cluster": "yes", "broker": "per broker"}


_INTRODUCTION = """\
# Configuration

Written by `tools/generate_docs.py` from the tables in `pybroker/common/config/`: change those, not this.

Properties have Kafka's names, in a file for `--config` or as `--set name=value`. None is required. A name
that is not listed here and a value out of range are refused with key, value and bound, and exit status 2.
{unused} broker names are accepted and without effect so far (column *used*); a start names those that are set
in one log line. `listener.name.<listener>.<name>` sets a value for one listener, and
`listener.name.<listener>.<mechanism>.<name>` for one SASL mechanism of it.

The strongest of these wins: topic or group override, dynamic value of the broker, dynamic value of all
brokers, properties file, default. *Dynamic* names can be changed while the broker runs; those marked
*per broker* for a single broker only.
"""

_COMPUTED = """\
Computed when not set: `log.retention.ms` from minutes, then hours; `log.roll.ms` and `log.roll.jitter.ms`
from hours; `log.flush.interval.ms` from `log.flush.scheduler.interval.ms`; `log.dirs` from `log.dir`;
`metadata.log.dir` from the first log directory; `advertised.listeners` from `listeners`; `broker.id` from
`node.id`. `node.id` 1, `process.roles` broker,controller and `controller.listener.names` CONTROLLER are
assumed when they are not set.
"""


def configuration_page() -> str:
    """docs/configuration.md."""
    unused = sum(not key.used for key in BROKER_KEYS.values())
    parts: list[str | list[str]] = [
        _INTRODUCTION.format(unused=unused),
        "## pybroker's own\n",
        _broker_table(PYBROKER_KEYS.values()),
        "## Broker\n",
        _broker_table(BROKER_KEYS.values()),
        _COMPUTED,
        "Internal, accepted, and not listed by DescribeConfigs unless set:\n",
        _broker_table(BROKER_INTERNAL_KEYS.values()),
        "Of the authorizer, accepted and without effect so far:\n",
        _broker_table(AUTHORIZER_KEYS.values()),
        "## Topic\n",
        "The broker names give the default; the first that is set wins, hours and minutes are converted.\n",
        _resource_table([*TOPIC_KEYS.values(), *TOPIC_INTERNAL_KEYS.values()]),
        "## Group\n",
        "The broker name gives the default, and its `min` and `max` siblings bound the value.\n",
        _resource_table(GROUP_KEYS.values()),
        "## Client metrics\n",
        _resource_table(CLIENT_METRICS_KEYS.values()),
    ]
    text = "\n".join(part if isinstance(part, str) else "\n".join(part) + "\n" for part in parts)
    return text.rstrip("\n") + "\n"


def _broker_table(keys: Iterable[ConfigKey]) -> list[str]:
    rows = ["| Name | Type | Default | Range | Dynamic | Used | Meaning |", "|---|---|---|---|---|---|---|"]
    for key in sorted(keys, key=lambda key: key.name):
        used = "yes" if key.used else ""
        rows.append(_row(*_first_cells(key), _MODES[key.mode], used, key.doc))
    return rows


def _resource_table(keys: Iterable[ConfigKey]) -> list[str]:
    return [
        "| Name | Type | Default | Range | Broker names | Meaning |",
        "|---|---|---|---|---|---|",
        *(
            _row(*_first_cells(key), ", ".join(key.synonyms), key.doc)
            for key in sorted(keys, key=lambda key: key.name)
        ),
    ]


def _first_cells(key: ConfigKey) -> tuple[str, str, str, str]:
    return key.name, key.type.name.lower(), _default(key), _range(key)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(key: ConfigKey) -> str:
    if not key.has_default:
        return "(assumed)"
    if key.default_text is None:
        return "unset"
    return key.default_text or "empty"


def _range(key: ConfigKey) -> str:
    text = key.range_text
    if text in _RANGES:
        return _RANGES[text]
    if text.startswith(">="):
        return f"at least {text[2:]}"
    if text.startswith("{"):
        return ", ".join(key.choices)
    low, _, high = text.partition("..")
    return f"{low} to {high}"


def protocol_page() -> str:
    """docs/protocol.md."""
    from pybroker.wire.api_keys import ADVERTISED, API_TABLE, module_name

    advertised = {api.key for api in ADVERTISED}
    lines = [
        "# Protocol",
        "",
        "Written by `tools/generate_docs.py` from `pybroker/wire/api_keys.py` and the docstrings of",
        "`pybroker/handlers/`: change those, not this.",
        "",
        "The APIs of Kafka 4.3, and whether they are served on the listeners of a broker and on those of a",
        "controller; empty where Kafka does not have them. What is not served closes the connection.",
        "",
        "| Key | Name | Versions | Flexible from | Broker | Controller |",
        "|---|---|---|---|---|---|",
    ]
    served = []
    states = {True: "yes", False: "no", None: ""}
    for api in API_TABLE:
        state = states[api.implemented]
        if api.implemented and api.key not in advertised:
            state = "not advertised"
        if api.implemented or api.controller:
            served.append(api)
        lines.append(
            _row(
                str(api.key),
                api.name,
                f"{api.min_version}-{api.max_version}",
                "never" if api.first_flexible_version == _NEVER else str(api.first_flexible_version),
                state,
                states[api.controller],
            )
        )
    for api in served:
        docstring = _docstring(_ROOT / "pybroker" / "handlers" / f"{module_name(api.key)}.py")
        if docstring is not None:
            title, _, body = docstring.partition("\n")
            lines += ["", f"## {api.name}", "", title.strip(), *body.rstrip().splitlines()]
    return "\n".join([*lines, ""])


def _docstring(path: Path) -> str | None:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.exists() else None


def pages() -> dict[str, str]:
    """File name under docs/ to its text."""
    return {
        "configuration.md": configuration_page(),
        "jdbc-options.md": jdbc_page(),
        "protocol.md": protocol_page(),
    }


_JDBC = """\
# Keys of the JDBC connectors

Written by `tools/generate_docs.py` from `connect/jdbc/source/config.py` and `connect/jdbc/sink/config.py`:
change those, not this. What the connectors do: [jdbc.md](jdbc.md). Other `connection.*` keys go to the
driver.
"""


def jdbc_page() -> str:
    """docs/jdbc-options.md."""
    from connect.api.config_def import ConfigDef, convert_to_text
    from connect.jdbc.sink.config import sink_config
    from connect.jdbc.source.config import source_config

    def table(config: ConfigDef) -> list[str]:
        rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
        for key in config.keys.values():
            if not key.has_default:
                default = "**required**"
            else:
                default = convert_to_text(key.default_value, key.type) or ""
            doc = key.documentation.replace("|", "\\|")
            rows.append(f"| {key.name} | {key.type.value.lower()} | {default} | {doc} |")
        return rows

    parts = [_JDBC, "## Source\n", *table(source_config()), "", "## Sink\n", *table(sink_config())]
    return "\n".join(parts) + "\n"


def main() -> int:
    """Write or check the pages; the exit status is 1 when a checked one is stale."""
    parser = argparse.ArgumentParser(description="Write the generated pages of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a page is stale")
    check: bool = parser.parse_args().check
    stale = []
    for name, text in pages().items():
        path = _ROOT / "docs" / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(f"docs/{name}")
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"stale, run `make docs`: {', '.join(stale)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
