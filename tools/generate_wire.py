"""Writes `pybroker/wire/messages/*.py` and the generated files of `pybroker/wire/schemas/`.

In: kio's dataclasses (of the exact version in the dev extra, their metadata is an internal shape) and the
declarations of `tools/record_schemas.py` for what kio lacks. Out: one module per API with one class per
struct, the versions merged into one field table. What must hold: kio is read here and never at run time; for
every version the merged table, filtered, is exactly kio's order of fields; the output depends on nothing but
the inputs.

Usage: `python -m tools.generate_wire [--check]`. A new API or schema needs no change here.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
import types
import typing
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tools.record_schemas import GROUP_RECORDS, METADATA_RECORDS

ROOT = Path(__file__).resolve().parent.parent
NEVER = 32767

# What kio maps to rich types stays a raw int here.
RAW_TYPES = {
    "error_code": "int16",
    "timedelta_i32": "int32",
    "timedelta_i64": "int64",
    "datetime_i64": "int64",
}
# What Kafka's schemas say and kio's dataclasses lose: arrays whose default is null, and one nullable field.
DEFAULT_NULL = {
    ("ListPartitionReassignmentsRequest", "topics"),
    ("ConsumerGroupHeartbeatRequest", "topic_partitions"),
    ("StreamsGroupHeartbeatRequest", "active_tasks"),
    ("StreamsGroupHeartbeatRequest", "standby_tasks"),
    ("StreamsGroupHeartbeatRequest", "warmup_tasks"),
    ("StreamsGroupHeartbeatRequest", "client_tags"),
    ("StreamsGroupHeartbeatRequest", "task_offsets"),
    ("StreamsGroupHeartbeatRequest", "task_end_offsets"),
    ("StreamsGroupHeartbeatResponse", "active_tasks"),
    ("StreamsGroupHeartbeatResponse", "standby_tasks"),
    ("StreamsGroupHeartbeatResponse", "warmup_tasks"),
    ("StreamsGroupHeartbeatResponse", "partitions_by_user_endpoint"),
    ("Topology", "subtopologies"),
}
NULLABLE = {("share_fetch", "response", "records")}

ZEROS = {"string": "", "bytes": b"", "records": b"", "bool": False, "uuid": bytes(16), "float64": 0.0}
PYTHON_TYPES = {
    "string": "str",
    "bytes": "bytes | memoryview",
    "records": "bytes | memoryview",
    "bool": "bool",
    "uuid": "bytes",
    "float64": "float",
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint16", "uint32"), "int"),
}


@dataclass
class FieldModel:
    name: str
    type: str  # as in FieldSpec
    first: int
    last: int
    nullable_from: int = -1
    tag: int = -1
    default: Any = None


@dataclass
class StructModel:
    name: str
    first: int
    last: int
    flexible_from: int = NEVER
    fields: list[FieldModel] = field(default_factory=list)
    note: str = ""
    api_key: int = -1


# ---------------------------------------------------------------- reading kio


def kio_versions(api: str) -> list[int]:
    package = importlib.import_module(f"kio.schema.{api}")
    (location,) = package.__path__
    return sorted(int(path.name[1:]) for path in Path(location).iterdir() if path.name.startswith("v"))


def kio_classes(api: str, kind: str) -> dict[str, dict[int, type]]:
    """Class name -> version -> kio class, in the order of declaration (nested structs first)."""
    found: dict[str, dict[int, type]] = {}
    for version in reversed(kio_versions(api)):
        module = importlib.import_module(f"kio.schema.{api}.v{version}.{kind}")
        for value in vars(module).values():
            if isinstance(value, type) and is_dataclass(value) and value.__module__ == module.__name__:
                found.setdefault(value.__name__, {})[version] = value
    return found


def merge_order(orders: list[list[str]]) -> list[str]:
    """One order of which every given order (newest version first) is a subsequence."""
    merged: list[str] = []
    for order in orders:
        at = 0
        for name in order:
            if name in merged:
                at = merged.index(name) + 1
            else:
                merged.insert(at, name)
                at += 1
    for order in orders:
        assert [name for name in merged if name in order] == order, (merged, order)
    return merged


def strip_optional(annotation: Any) -> tuple[Any, bool]:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        arguments = typing.get_args(annotation)
        (inner,) = [argument for argument in arguments if argument is not types.NoneType]
        return inner, True
    return annotation, False


def kio_field(owner: type, item: Any, annotation: Any, rename: dict[str, str]) -> tuple[str, bool, int, Any]:
    """(type, nullable, tag, default) of one field of one version."""
    inner, nullable = strip_optional(annotation)
    is_array = typing.get_origin(inner) is tuple
    if is_array:
        inner = typing.get_args(inner)[0]
    kafka_type = item.metadata.get("kafka_type")
    tag = item.metadata.get("tag", -1)
    if is_dataclass(inner):
        type_name = rename.get(inner.__name__, inner.__name__)
    else:
        type_name = RAW_TYPES.get(kafka_type, kafka_type)
    given = item.default
    if is_array:
        # Kafka's default of an array is the empty one, also where null is allowed, unless it says "null".
        default: Any = None if given is None else ()
        assert given in (None, MISSING, ()), (owner, item.name, given)
        return "[]" + type_name, nullable, tag, default
    if is_dataclass(inner):
        default = None if given is None else ...
        if given not in (None, MISSING):
            assert given == type(given)(), (owner, item.name)
        return type_name, nullable, tag, default
    if type_name == "uuid" or kafka_type == "datetime_i64":
        # kio spells the zero uuid and the time -1 as None; neither has a null on the wire.
        nullable = False
    if given is MISSING:
        default = ZEROS.get(type_name, 0)
    elif given is None:
        default = {"uuid": bytes(16), "datetime_i64": -1}.get(kafka_type)
    elif isinstance(given, timedelta):
        default = round(given / timedelta(milliseconds=1))
    elif kafka_type in ("error_code",) or type_name.startswith(("int", "uint")):
        default = int(given.value) if kafka_type == "error_code" else int(given)
    elif type_name == "string":
        default = str(given)
    elif type_name in ("bool", "float64"):
        default = given
    else:
        raise AssertionError((owner, item.name, given))
    return type_name, nullable, tag, default


def kio_structs(api: str, kind: str, rename: dict[str, str]) -> list[StructModel]:
    structs = []
    classes = kio_classes(api, kind)
    roots = {name for name in classes if name.lower() == (api.replace("_", "") + kind)}
    if kind == "data":
        roots = {name for name in classes if name.lower() == api.replace("_", "")}
    assert len(roots) == 1, (api, kind, classes)
    for name, by_version in classes.items():
        versions = sorted(by_version)
        assert versions == list(range(versions[0], versions[-1] + 1)), (api, name)
        flexible = [version for version in versions if by_version[version].__flexible__]  # type: ignore[attr-defined]
        # All structs of a message share its switch to flexible, also the ones that only came later.
        root = classes[next(iter(roots))]
        flexible_root = [version for version in sorted(root) if root[version].__flexible__]  # type: ignore[attr-defined]
        flexible_from = flexible_root[0] if flexible_root else NEVER
        assert flexible == [version for version in versions if version >= flexible_from]
        struct = StructModel(rename.get(name, name), versions[0], versions[-1], flexible_from)
        if name in roots:
            struct.note = "root"
        seen: dict[str, dict[int, tuple[str, bool, int, Any]]] = {}
        orders = []
        for version in reversed(versions):
            owner = by_version[version]
            hints = typing.get_type_hints(owner)
            orders.append([item.name for item in fields(owner)])
            for item in fields(owner):
                seen.setdefault(item.name, {})[version] = kio_field(owner, item, hints[item.name], rename)
        for field_name in merge_order(orders):
            per_version = seen[field_name]
            present = sorted(per_version)
            assert present == list(range(present[0], present[-1] + 1)), (api, name, field_name)
            (type_name,) = {value[0] for value in per_version.values()}
            (tag,) = {value[2] for value in per_version.values()}
            (default,) = {value[3] for value in per_version.values()}
            nullable = [version for version in present if per_version[version][1]]
            nullable_from = nullable[0] if nullable else -1
            if (name, field_name) in DEFAULT_NULL and nullable_from >= 0:
                default = None
            if (api, kind, field_name) in NULLABLE:
                nullable, nullable_from = present, present[0]
            assert not nullable or nullable == list(range(nullable_from, present[-1] + 1)), (api, field_name)
            struct.fields.append(
                FieldModel(field_name, type_name, present[0], present[-1], nullable_from, tag, default)
            )
        structs.append(struct)
    return structs


def dependency_order(structs: list[StructModel]) -> list[StructModel]:
    """Nested structs before their users, otherwise as declared."""
    by_name = {struct.name: struct for struct in structs}
    assert len(by_name) == len(structs), [struct.name for struct in structs]
    done: dict[str, StructModel] = {}

    def visit(struct: StructModel) -> None:
        if struct.name in done:
            return
        for item in struct.fields:
            nested = by_name.get(item.type.removeprefix("[]"))
            if nested is not None:
                visit(nested)
        done[struct.name] = struct

    for struct in structs:
        visit(struct)
    return list(done.values())


# ---------------------------------------------------------------- writing modules


def render_field(struct: StructModel, item: FieldModel) -> tuple[str, str, str]:
    """(parameter, assignment, row of the table)."""
    base = item.type.removeprefix("[]")
    is_array = item.type.startswith("[]")
    python = PYTHON_TYPES.get(base, base)
    if is_array:
        python = f"list[{python}]"
    if item.nullable_from >= 0:
        python += " | None"
    if item.default == () and is_array:
        default, value = "EMPTY", f"[] if {item.name} is EMPTY else {item.name}"
    elif item.default is ...:
        default, value = "DEFAULT", f"{base}() if {item.name} is DEFAULT else {item.name}"
    elif item.default == bytes(16):
        default, value = "ZERO_UUID", item.name
    else:
        default, value = repr(item.default), item.name
    assignment = f"self.{item.name} = {value}"
    if value != item.name:
        assignment = f"self.{item.name}: {python} = {value}"
    row = (
        item.name,
        item.type,
        item.first,
        item.last,
        item.nullable_from,
        item.tag,
        None if item.default == bytes(16) else item.default,
    )
    text = ", ".join("..." if value is ... else repr(value) for value in row)
    return f"{item.name}: {python} = {default}", assignment, f"({text}),"


def render_struct(struct: StructModel) -> str:
    lines = [f"class {struct.name}(Message):"]
    one = struct.first == struct.last
    versions = f"version {struct.first}" if one else f"versions {struct.first}-{struct.last}"
    flexible = "" if struct.flexible_from > struct.last else f", flexible from {struct.flexible_from}"
    kind = f", record key {struct.api_key}" if struct.api_key >= 0 else ""
    lines.append(f'    """{versions.capitalize()}{flexible}{kind}."""\n')
    lines.append(f"    __slots__ = {tuple(item.name for item in struct.fields)!r}")
    lines.append(f"    VERSIONS = ({struct.first}, {struct.last})")
    lines.append(f"    FLEXIBLE_FROM = {'NEVER' if struct.flexible_from == NEVER else struct.flexible_from}")
    rendered = [render_field(struct, item) for item in struct.fields]
    if rendered:
        lines.append("    FIELDS = (")
        lines.extend(f"        {row}" for _, _, row in rendered)
        lines.append("    )\n")
        lines.append("    def __init__(")
        lines.append("        self,\n        *,")
        lines.extend(f"        {parameter}," for parameter, _, _ in rendered)
        lines.append("    ) -> None:")
        lines.extend(f"        {assignment}" for _, assignment, _ in rendered)
    else:
        lines.append("    FIELDS = ()")
    return "\n".join(lines) + "\n"


def render_module(title: str, structs: list[StructModel], api_key: int | None = None) -> str:
    body = "\n\n".join(render_struct(struct) for struct in dependency_order(structs))
    names = [name for name in ("DEFAULT", "EMPTY", "NEVER", "ZERO_UUID") if f"= {name}" in body]
    names.append("Message")
    slots = [[item.name for item in struct.fields] for struct in structs]
    in_order = all(names == sorted(names) for names in slots)
    parts = [
        f'"""{title}\n\nWritten by `tools/generate_wire.py`: change that, not this.\n"""\n',
        ("" if in_order else "# ruff: noqa: RUF023 (slots are in wire order)\n")
        + "from __future__ import annotations\n",
        f"from pybroker.wire.message import {', '.join(names)}\n",
    ]
    if api_key is not None:
        parts.append(f"API_KEY = {api_key}\n")
    return "\n".join(parts) + "\n\n" + body


def range_text(struct: StructModel) -> str:
    return f"{struct.name} {struct.first}-{struct.last}"


def message_module(api: str, api_key: int) -> str:
    names = {kind: set(kio_classes(api, kind)) for kind in ("request", "response")}
    shared = names["request"] & names["response"]
    structs: list[StructModel] = []
    for kind, prefix in (("request", "Request"), ("response", "Response")):
        structs += kio_structs(api, kind, {name: prefix + name for name in shared})
    roots = [struct for struct in structs if struct.note == "root"]
    title = f"{range_text(roots[0])} and {range_text(roots[1])} (API key {api_key})."
    return render_module(title, structs, api_key)


def data_module(title: str, apis: dict[str, str]) -> str:
    """`apis`: kio's schema -> prefix for its nested structs whose names are not unique in the module."""
    structs: list[StructModel] = []
    count: dict[str, int] = {}
    for api in apis:
        for name in kio_classes(api, "data"):
            count[name] = count.get(name, 0) + 1
    for api, prefix in apis.items():
        rename = {name: prefix + name for name in kio_classes(api, "data") if count[name] > 1}
        structs += kio_structs(api, "data", rename)
    return render_module(title, structs)


def record_module() -> str:
    structs = []
    for key, name, last, nested, rows in METADATA_RECORDS:
        for nested_name, nested_rows in [*nested.items(), (name, rows)]:
            # KRaft's records are flexible from their first version on.
            struct = StructModel(nested_name, 0, last, 0, api_key=key if nested_name == name else -1)
            for row in nested_rows:
                struct.fields.append(parse_row(row, last))
            structs.append(struct)
    module = render_module("KRaft's metadata records, as of Kafka 4.3.", structs)
    table = "\n".join(f"    {key}: {name}," for key, name, _, _, _ in METADATA_RECORDS)
    return module + f"\n\nRECORD_TYPES: dict[int, type[Message]] = {{\n{table}\n}}\n"


def group_record_module() -> str:
    structs = []
    for _, name, key_rows, last, flexible_from, nested, rows in GROUP_RECORDS:
        key = StructModel(f"{name}Key", 0, 0, NEVER)
        key.fields = [parse_row(row, 0) for row in key_rows]
        structs.append(key)
        for nested_name, nested_rows in [*nested.items(), (f"{name}Value", rows)]:
            struct = StructModel(nested_name, 0, last, flexible_from)
            struct.fields = [parse_row(row, last) for row in nested_rows]
            structs.append(struct)
    module = render_module("The records of `__consumer_offsets`, as of Kafka 4.3.", structs)
    table = "\n".join(f"    {number}: ({name}Key, {name}Value)," for number, name, *_ in GROUP_RECORDS)
    kind = "dict[int, tuple[type[Message], type[Message]]]"
    return module + f"\n\nRECORD_TYPES: {kind} = {{\n{table}\n}}\n"


def parse_row(row: str, last: int) -> FieldModel:
    """`name type first-last [tag=N] [null=V] [default=X]`; see `tools/record_schemas.py`."""
    name, type_name, versions, *options = row.split()
    first, _, end = versions.partition("-")
    item = FieldModel(name, type_name, int(first), int(end) if end else last)
    if type_name.startswith("[]"):
        item.default = ()
    elif type_name not in PYTHON_TYPES:
        item.default = ...
    else:
        item.default = ZEROS.get(type_name, 0)
    for option in options:
        key, _, value = option.partition("=")
        if key == "tag":
            item.tag = int(value)
        elif key == "null":
            item.nullable_from = int(value)
        else:
            assert key == "default", row
            item.default = {"null": None, "true": True, "false": False}.get(value, value)
            if type_name.startswith("int"):
                item.default = int(value)
    return item


def generate() -> dict[str, str]:
    """Path below the repository -> content, not yet formatted."""
    from kio.schema.index import api_key_map

    files = {f"pybroker/wire/messages/{api}.py": message_module(api, key) for key, api in api_key_map.items()}
    folder = "pybroker/wire/schemas"
    files[f"{folder}/control_records.py"] = data_module(
        "Control records: bodies of the records of control batches.",
        {
            "leader_change_message": "LeaderChange",
            "snapshot_header_record": "SnapshotHeader",
            "snapshot_footer_record": "SnapshotFooter",
            "k_raft_version_record": "KRaftVersion",
            "voters_record": "Voters",
            "end_txn_marker": "EndTxn",
            "control_record_type_schema": "ControlRecord",
        },
    )
    files[f"{folder}/consumer_protocol.py"] = data_module(
        "The classic consumer protocol: what members put into JoinGroup and SyncGroup.",
        {"consumer_protocol_subscription": "Subscription", "consumer_protocol_assignment": "Assignment"},
    )
    files[f"{folder}/principal.py"] = data_module(
        "The default principal, as Envelope requests carry it.", {"default_principal_data": "Principal"}
    )
    files[f"{folder}/metadata_record_types.py"] = record_module()
    files[f"{folder}/coordinator_record_types.py"] = group_record_module()
    return files


def write(root: Path) -> list[Path]:
    """Write everything below `root`, formatted. Returns the files, sorted."""
    written = []
    for name, content in sorted(generate().items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        written.append(path)
    command = [sys.executable, "-m", "ruff", "format", "--quiet", "--config", str(ROOT / "pyproject.toml")]
    subprocess.run([*command, *map(str, written)], check=True)
    return written


def stale() -> list[str]:
    """Names of committed files that differ from what would be written now."""
    with tempfile.TemporaryDirectory() as folder:
        names = [str(path.relative_to(folder)) for path in write(Path(folder))]
        return [
            name
            for name in names
            if not (ROOT / name).exists() or (ROOT / name).read_bytes() != (Path(folder) / name).read_bytes()
        ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file is stale")
    if parser.parse_args().check:
        names = stale()
        for name in names:
            print(f"not up to date: {name}")
        return 1 if names else 0
    print(f"{len(write(ROOT))} files written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
