"""`pybroker dump-log FILE...`: what is in the files of a partition's directory, in kafka-dump-log's words.

In: segments (.log), metadata snapshots (.checkpoint), indexes (.index, .timeindex, .txnindex) and producer
snapshots (.snapshot), of pybroker or of Apache Kafka. Out: one line per batch, record or entry on standard
output, complaints on standard error. Exit status: 1 when a file cannot be read or is damaged. Nothing is
changed, so it may be used beside a running broker; the batch that is being written then shows as a torn end.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import click
from crc32c import crc32c

from pybroker.common.errors import CorruptionError, PybrokerError
from pybroker.records import compression, control
from pybroker.records.batch import (
    HEADER_SIZE,
    BatchHeader,
    Record,
    crc_matches,
    iter_records,
    read_header,
)
from pybroker.transactions.records import decode_key, decode_value
from pybroker.transactions.transitions import NAMES

_INDEX_ENTRY: Final = struct.Struct(">ii")
_TIME_ENTRY: Final = struct.Struct(">qi")
_TXN_ENTRY: Final = struct.Struct(">hqqqq")
_SNAPSHOT_HEAD: Final = struct.Struct(">hIi")
_SNAPSHOT_ENTRY: Final = struct.Struct(">qhiqiqiq")
_SNAPSHOT_CRC_START: Final = 6
_BASE_OFFSET: Final = re.compile(r"^(\d{1,20})[.-]")
# A batch that claims more is taken for damage: no writer makes one, and it would be read into memory.
_MAX_BATCH_SIZE: Final = 1 << 30
# Upper bound of the content of one batch: far above what a broker with default limits stores.
_MAX_CONTENT: Final = 1 << 30
_TIMESTAMP_TYPES: Final = ("CreateTime", "LogAppendTime")
_DECODERS: Final = ("auto", "none", "metadata", "offsets", "transactions")
# What a terminal would act on; line feed and tab are harmless.
_CONTROL_CHARACTERS: Final = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)
}

Show = Callable[[Record], str]


class _DamageError(Exception):
    """The rest of the file makes no sense; what was printed before stands."""


@click.command("dump-log", short_help="Print what is in log segments, indexes and snapshots.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--print-data-log", is_flag=True, help="Print the records with their keys and payloads.")
@click.option("--deep-iteration", is_flag=True, help="Print the records without their content.")
@click.option(
    "--skip-record-metadata", is_flag=True, help="With the content, print nothing else of a record."
)
@click.option(
    "--decoder",
    type=click.Choice(_DECODERS),
    default="auto",
    help="How to read the content: auto goes by the directory's name. Any other but none implies "
    "--print-data-log.",
)
def dump_log(
    files: tuple[Path, ...],
    print_data_log: bool,
    deep_iteration: bool,
    skip_record_metadata: bool,
    decoder: str,
) -> None:
    """Print the batches of log segments, or the entries of indexes and snapshots."""
    if decoder not in ("auto", "none"):
        print_data_log = True
    failed = False
    for path in files:
        click.echo(f"Dumping {path}")
        try:
            sound = _dump_file(path, print_data_log, deep_iteration, skip_record_metadata, decoder)
        except OSError as error:
            click.echo(f"{path}: {error.strerror or error}", err=True)
            sound = False
        except _DamageError as error:
            click.echo(f"{path}: {error}", err=True)
            sound = False
        failed = failed or not sound
    if failed:
        raise SystemExit(1)


command = dump_log


def _dump_file(path: Path, contents: bool, deep: bool, bare: bool, decoder: str) -> bool:
    path.stat()
    suffix = path.suffix
    if suffix == ".deleted":
        suffix = path.with_suffix("").suffix
    if suffix in (".log", ".checkpoint"):
        if decoder == "auto":
            decoder = _decoder_of(path, suffix)
        return _dump_batches(path, contents, deep, bare, _content_printer(decoder))
    if suffix == ".snapshot":
        return _dump_producer_snapshot(path)
    dump = {".index": _dump_index, ".timeindex": _dump_time_index, ".txnindex": _dump_txn_index}.get(suffix)
    if dump is None:
        raise _DamageError("not a .log, .checkpoint, .index, .timeindex, .txnindex or .snapshot file")
    return dump(path)


def _base_offset(path: Path) -> int:
    match = _BASE_OFFSET.match(path.name)
    if match is None:
        raise _DamageError("the name does not start with an offset")
    return int(match.group(1))


# Segments


def _dump_batches(path: Path, contents: bool, deep: bool, bare: bool, show: Show) -> bool:
    click.echo(f"Log starting offset: {_base_offset(path)}")
    sound = True
    gaps: list[tuple[int, int]] = []
    previous = -1
    with path.open("rb") as file:
        for position, header, batch in _read_batches(path, file):
            valid = crc_matches(batch)
            sound = sound and valid
            click.echo(_batch_line(header, position, valid))
            if not contents and not deep:
                continue
            try:
                for record in iter_records(batch, header=header, max_bytes=_MAX_CONTENT):
                    if previous != -1 and record.offset != previous + 1:
                        gaps.append((previous, record.offset))
                    previous = record.offset
                    click.echo(_record_line(header, record, contents, bare, show))
            except CorruptionError as error:
                click.echo(f"{path}: batch at position {position}: {error}", err=True)
                sound = False
    if gaps:
        click.echo(f"Non-consecutive offsets in {path}", err=True)
        for before, after in gaps:
            click.echo(f"  {before} is followed by {after}", err=True)
    return sound


def _read_batches(path: Path, file: BinaryIO) -> Iterator[tuple[int, BatchHeader, bytes]]:
    """(position, header, bytes) of the batches up to the end or to a torn one, which is only mentioned."""
    size = path.stat().st_size
    position = 0
    while position < size:
        head = file.read(HEADER_SIZE)
        rest = size - position
        if not any(head):
            # Kafka preallocates segments on request; an unclean stop leaves the zeros.
            break
        if len(head) < HEADER_SIZE:
            break
        try:
            header = read_header(head)
        except CorruptionError as error:
            raise _DamageError(f"position {position}: {error}") from None
        if header.size > rest:
            break
        if header.size > _MAX_BATCH_SIZE:
            raise _DamageError(f"position {position}: batch of {header.size} bytes")
        batch = head + file.read(header.size - HEADER_SIZE)
        if len(batch) < header.size:
            break
        yield position, header, batch
        position += header.size
    if position < size:
        click.echo(f"Found {size - position} invalid bytes at the end of {path.name}")


def _optional_long(value: int | None) -> str:
    return "OptionalLong.empty" if value is None else f"OptionalLong[{value}]"


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _batch_line(header: BatchHeader, position: int, valid: bool) -> str:
    number = header.codec
    codec = compression.CODEC_NAMES[number] if number < len(compression.CODEC_NAMES) else f"unknown({number})"
    return (
        f"baseOffset: {header.base_offset} lastOffset: {header.last_offset} count: {header.record_count} "
        f"baseSequence: {header.base_sequence} lastSequence: {header.last_sequence} "
        f"producerId: {header.producer_id} producerEpoch: {header.producer_epoch} "
        f"partitionLeaderEpoch: {header.leader_epoch} isTransactional: {_bool(header.is_transactional)} "
        f"isControl: {_bool(header.is_control)} deleteHorizonMs: {_optional_long(header.delete_horizon_ms)} "
        f"position: {position} {_TIMESTAMP_TYPES[header.timestamp_type]}: {header.max_timestamp} "
        f"size: {header.size} magic: {header.magic} compresscodec: {codec} crc: {header.crc} "
        f"isvalid: {_bool(valid)}"
    )


def _record_line(header: BatchHeader, record: Record, contents: bool, bare: bool, show: Show) -> str:
    line = "|"
    if not (contents and bare):
        sequence = -1
        if header.base_sequence >= 0:
            sequence = (header.base_sequence + record.offset - header.base_offset) & 0x7FFFFFFF
        names = ",".join(_text(name) for name, _ in record.headers)
        line += (
            f" offset: {record.offset} {_TIMESTAMP_TYPES[header.timestamp_type]}: {record.timestamp}"
            f" keySize: {_size(record.key)} valueSize: {_size(record.value)} sequence: {sequence}"
            f" headerKeys: [{names}]"
        )
    if header.is_control:
        return line + _control_text(record)
    return line + show(record) if contents else line


def _size(content: bytes | None) -> int:
    return -1 if content is None else len(content)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace").translate(_CONTROL_CHARACTERS)


def _control_text(record: Record) -> str:
    from pybroker.wire.schemas.metadata_records import CONTROL_TYPES, decode_control

    _, number = control.decode_key(record.key)
    value = record.value or b""
    if number in (control.ControlType.ABORT, control.ControlType.COMMIT):
        if len(value) < 6:
            raise CorruptionError("end-transaction marker is cut short")
        epoch = int.from_bytes(value[2:6], "big", signed=True)
        return f" endTxnMarker: {control.ControlType(number).name} coordinatorEpoch: {epoch}"
    if number not in CONTROL_TYPES:
        return f" controlType: UNKNOWN({number})"
    name = {2: "LeaderChange:", 3: "SnapshotHeader", 4: "SnapshotFooter", 5: "KRaftVersion", 6: "KRaftVoters"}
    try:
        message = decode_control(number, value)
    except PybrokerError as error:
        raise CorruptionError(f"control record of type {number}: {error}") from None
    known = message.VERSIONS[1]
    version = min(int.from_bytes(value[:2], "big", signed=True), known)
    return f" {name[number]} {_json(_message_object(message, version))}"


# Content


def _decoder_of(path: Path, suffix: str) -> str:
    directory = path.absolute().parent.name
    if suffix == ".checkpoint" or directory.startswith("__cluster_metadata-"):
        return "metadata"
    if directory.startswith("__consumer_offsets-"):
        return "offsets"
    if directory.startswith("__transaction_state-"):
        return "transactions"
    return "none"


def _content_printer(decoder: str) -> Show:
    return {
        "metadata": _metadata_content,
        "offsets": _offsets_content,
        "transactions": _transaction_content,
    }.get(decoder, _plain_content)


def _plain_content(record: Record) -> str:
    line = ""
    if record.key is not None:
        line += f" key: {_text(record.key)}"
    if record.value is not None:
        line += f" payload: {_text(record.value)}"
    return line


def _metadata_content(record: Record) -> str:
    from pybroker.wire.primitives import read_unsigned_varint
    from pybroker.wire.schemas.metadata_records import decode_record

    value = record.value
    if value is None:
        return _plain_content(record)
    try:
        message = decode_record(value)
    except PybrokerError as error:
        return f" payload: {value.hex()} (Could not decode: {error})"
    _, position = read_unsigned_varint(value, 0)
    _, position = read_unsigned_varint(value, position)
    version, _ = read_unsigned_varint(value, position)
    # NoOpRecord is NO_OP_RECORD; the names are Kafka's.
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(message).__name__).upper()
    body = {"type": name, "version": version, "data": _message_object(message, version)}
    return f" payload: {_json(body)}"


def _message_object(message: Any, version: int) -> dict[str, Any]:
    """A struct as the object of Kafka's generated JSON converters."""
    result: dict[str, Any] = {}
    for name, kind, first, last, _, tag, default in message.FIELDS:
        if not first <= version <= last:
            continue
        value = getattr(message, name)
        if tag >= 0 and _is_default(value, kind, default):
            continue
        result[re.sub(r"_(\w)", lambda match: match.group(1).upper(), name)] = _field_value(
            value, kind, version
        )
    return result


def _is_default(value: Any, kind: str, default: Any) -> bool:
    if kind == "uuid" and default is None:
        return bool(value == bytes(16))
    if default == ():
        return not value and value is not None
    return bool(value == default)


def _field_value(value: Any, kind: str, version: int) -> Any:
    if value is None:
        return None
    if kind.startswith("[]"):
        return [_field_value(element, kind[2:], version) for element in value]
    if kind == "uuid":
        return base64.urlsafe_b64encode(value).decode().rstrip("=")
    if kind in ("bytes", "records"):
        return base64.b64encode(value).decode()
    return _message_object(value, version) if hasattr(value, "FIELDS") else value


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).translate(_CONTROL_CHARACTERS)


# The coordinators' records


def _offsets_content(record: Record) -> str:
    """A record of `__consumer_offsets`; what cannot be read is shown in hexadecimal."""
    from pybroker.wire.schemas.coordinator_record_types import GroupMetadataValue
    from pybroker.wire.schemas.coordinator_records import decode_key, decode_value, record_type

    if record.key is None:
        return _plain_content(record)
    try:
        number = record_type(record.key)
        key = decode_key(record.key)
        if key is None:
            return _coordinator_content(record, {})
        value = None if record.value is None else decode_value(number, record.value)
    except PybrokerError:
        fields = {0: ("group", "topic", "partition"), 1: ("group", "topic", "partition"), 2: ("group",)}
        return _coordinator_content(record, fields)
    payload = "<DELETE>"
    if record.value is not None and value is not None:
        version = int.from_bytes(record.value[:2], "big", signed=True)
        data = _message_object(value, version)
        if isinstance(value, GroupMetadataValue) and value.protocol_type == "consumer":
            for member, shown in zip(value.members, data["members"], strict=True):
                shown["subscription"] = _consumer_protocol(_SUBSCRIPTION, bytes(member.subscription))
                shown["assignment"] = _consumer_protocol(_ASSIGNMENT, bytes(member.assignment))
        payload = _json({"version": str(version), "data": data})
    shown_key = _json({"type": str(number), "data": _message_object(key, 0)})
    return f" key: {shown_key} payload: {payload}"


_SUBSCRIPTION = "ConsumerProtocolSubscription"
_ASSIGNMENT = "ConsumerProtocolAssignment"


def _consumer_protocol(name: str, content: bytes) -> dict[str, Any] | str:
    """What a consumer said or was given, as an object; in base64 when it is something else."""
    from pybroker.wire import codec
    from pybroker.wire.schemas import consumer_protocol

    cls = getattr(consumer_protocol, name)
    version = min(int.from_bytes(content[:2], "big", signed=True), cls.VERSIONS[1])
    if len(content) >= 2 and version >= 0:
        with contextlib.suppress(PybrokerError):
            return _message_object(codec.decode(cls, version, content, 2)[0], version)
    return base64.b64encode(content).decode()


def _transaction_content(record: Record) -> str:
    """A record of `__transaction_state`, in the form of kafka-dump-log's --transaction-log-decoder."""
    value = record.value
    if record.key is None or value is None:
        return _coordinator_content(record, {0: ("transactionalId",)})
    try:
        transactional_id = decode_key(record.key)
        transaction = decode_value(transactional_id, value)
    except PybrokerError:
        return _coordinator_content(record, {0: ("transactionalId",)})
    partitions: dict[str, list[int]] = {}
    for topic, partition in sorted(transaction.partitions):
        partitions.setdefault(topic, []).append(partition)
    payload = {
        "version": str(int.from_bytes(value[:2], "big", signed=True)),
        "data": {
            "producerId": transaction.producer_id,
            "previousProducerId": transaction.previous_producer_id,
            "nextProducerId": transaction.next_producer_id,
            "producerEpoch": transaction.producer_epoch,
            "transactionTimeoutMs": transaction.timeout_ms,
            "transactionStatus": int(transaction.state),
            "transactionState": NAMES[transaction.state],
            "transactionPartitions": [
                {"topic": topic, "partitionIds": found} for topic, found in partitions.items()
            ],
            "transactionLastUpdateTimestampMs": transaction.last_update_ms,
            "transactionStartTimestampMs": transaction.start_ms,
            "clientTransactionVersion": transaction.client_version,
        },
    }
    key = {"type": "0", "data": {"transactionalId": transactional_id}}
    return f" key: {_json(key)} payload: {_json(payload)}"


def _coordinator_content(record: Record, fields_of_type: dict[int, tuple[str, ...]]) -> str:
    key = record.key
    if key is None or len(key) < 2:
        return _plain_content(record)
    number = int.from_bytes(key[:2], "big", signed=True)
    data: dict[str, Any] | str = key[2:].hex()
    fields = fields_of_type.get(number)
    if fields is not None:
        with contextlib.suppress(struct.error, UnicodeDecodeError):
            data = _key_fields(key, fields)
    value = record.value
    payload = "<DELETE>" if value is None else value.hex()
    if value is not None and len(value) >= 2:
        version = int.from_bytes(value[:2], "big", signed=True)
        payload = _json({"version": str(version), "data": value[2:].hex()})
    return f" key: {_json({'type': str(number), 'data': data})} payload: {payload}"


def _key_fields(key: bytes, names: tuple[str, ...]) -> dict[str, Any]:
    """int16-prefixed strings and, for `partition`, an int32; struct.error when the key is shorter."""
    position = 2
    found: dict[str, Any] = {}
    for name in names:
        if name == "partition":
            (found[name],) = struct.unpack_from(">i", key, position)
            position += 4
            continue
        (length,) = struct.unpack_from(">h", key, position)
        (raw,) = struct.unpack_from(f">{max(length, 0)}s", key, position + 2)
        found[name] = raw.decode("utf-8")
        position += 2 + len(raw)
    return found


# Indexes and producer snapshots


def _entries(path: Path, entry: struct.Struct) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """(number, fields) up to the zero padding of an active index."""
    data = path.read_bytes()
    usable = len(data) - len(data) % entry.size
    for number, fields in enumerate(entry.iter_unpack(data[:usable])):
        if number > 0 and not any(fields):
            return
        yield number, fields
    if usable != len(data):
        raise _DamageError(f"{len(data)} bytes are no multiple of {entry.size}")


def _dump_index(path: Path) -> bool:
    base = _base_offset(path)
    previous = (-1, -1)
    for number, (relative, position) in _entries(path, _INDEX_ENTRY):
        if number == 0 and relative == 0 and position == 0 and path.stat().st_size > _INDEX_ENTRY.size:
            # An active index without an entry is nothing but padding.
            return True
        click.echo(f"offset: {base + relative} position: {position}")
        if relative <= previous[0] or position <= previous[1]:
            raise _DamageError(f"entry {number} does not follow the one before")
        previous = (relative, position)
    return True


def _dump_time_index(path: Path) -> bool:
    base = _base_offset(path)
    previous = (-2, -1)
    for number, (timestamp, relative) in _entries(path, _TIME_ENTRY):
        if number == 0 and timestamp == 0 and relative == 0 and path.stat().st_size > _TIME_ENTRY.size:
            return True
        click.echo(f"timestamp: {timestamp} offset: {base + relative}")
        if timestamp < previous[0] or relative < previous[1]:
            raise _DamageError(f"entry {number} does not follow the one before")
        previous = (timestamp, relative)
    return True


def _dump_txn_index(path: Path) -> bool:
    for number, fields in _entries(path, _TXN_ENTRY):
        version, producer_id, first_offset, last_offset, last_stable_offset = fields
        click.echo(
            f"version: {version} producerId: {producer_id} firstOffset: {first_offset} "
            f"lastOffset: {last_offset} lastStableOffset: {last_stable_offset}"
        )
        if version != 0:
            raise _DamageError(f"entry {number} has version {version}")
    return True


def _dump_producer_snapshot(path: Path) -> bool:
    data = path.read_bytes()
    if len(data) < _SNAPSHOT_HEAD.size:
        raise _DamageError(f"{len(data)} bytes are too few for a producer snapshot")
    version, checksum, count = _SNAPSHOT_HEAD.unpack_from(data)
    if version not in (1, 2):
        raise _DamageError(f"producer snapshot has version {version}")
    if crc32c(data[_SNAPSHOT_CRC_START:]) != checksum:
        raise _DamageError("the checksum of the producer snapshot is wrong")
    if count != (len(data) - _SNAPSHOT_HEAD.size) // _SNAPSHOT_ENTRY.size:
        raise _DamageError(f"{count} entries do not fit {len(data)} bytes")
    for fields in _SNAPSHOT_ENTRY.iter_unpack(data[_SNAPSHOT_HEAD.size :]):
        producer_id, epoch, last_sequence, last_offset, offset_delta, timestamp, coordinator, first = fields
        open_from = _optional_long(None if first < 0 else first)
        line = (
            f"producerId: {producer_id} producerEpoch: {epoch} coordinatorEpoch: {coordinator} "
            f"currentTxnFirstOffset: {open_from} lastTimestamp: {timestamp}"
        )
        if last_offset >= 0:
            first_sequence = last_sequence - offset_delta
            if first_sequence < 0 <= last_sequence:
                first_sequence &= 0x7FFFFFFF
            line += (
                f" firstSequence: {first_sequence} lastSequence: {last_sequence} lastOffset: {last_offset} "
                f"offsetDelta: {offset_delta} timestamp: {timestamp}"
            )
        click.echo(line)
    return True
