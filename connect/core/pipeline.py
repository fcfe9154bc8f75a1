"""A record's way through transforms and converters, in both directions.

In: a source record, or the bytes of a consumed one. Out: what the producer sends, or a `SinkRecord`; None
when the record was dropped by a transform or left out because of an error that is tolerated. What must
hold: one pipeline serves one task, in one thread.

The first try runs straight through, without keeping books. Only when something raises does the record go
again, stage by stage, under the error policy: errors are rare, records are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from connect.api.converter import Converter, HeaderConverter, RawHeaders
from connect.api.data import SchemaAndValue
from connect.api.errors import DataError
from connect.api.predicate import Predicate
from connect.api.records import ConnectRecord, Header, Headers, SinkRecord, SourceRecord
from connect.api.transform import Transformation
from connect.core import error_policy
from connect.core.error_policy import ErrorHandler, ProcessingContext
from connect.core.registry import class_name


class TransformStage(NamedTuple):
    transformation: Transformation
    predicate: Predicate | None = None
    negate: bool = False

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        if self.predicate is not None and self.predicate.test(record) is self.negate:
            return record
        return self.transformation.apply(record)


class RawRecord(NamedTuple):
    """A consumed record as it came."""

    topic: str
    partition: int
    offset: int
    timestamp: int | None
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: RawHeaders


class OutgoingRecord(NamedTuple):
    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: RawHeaders
    timestamp: int | None


# A tuple of a class without the detour through the class's own function.
_new: Any = tuple.__new__


class TrackedSinkRecord(SinkRecord):
    """A sink record that remembers what it was read from, for the dead letter topic."""

    __slots__ = ("raw",)

    def __init__(
        self, raw: RawRecord, key: SchemaAndValue, value: SchemaAndValue, headers: Headers | None
    ) -> None:
        # Without a call of the base class: this is done for every record.
        self.raw = raw
        topic, partition, offset, self.timestamp, self.timestamp_type, _, _, _ = raw
        self.topic = self.original_topic = topic
        self.kafka_partition = self.original_kafka_partition = partition
        self.kafka_offset = self.original_kafka_offset = offset
        self.key_schema, self.key = key
        self.value_schema, self.value = value
        self._headers = headers


def dead_letter_source(record: SinkRecord) -> RawRecord | None:
    return record.raw if isinstance(record, TrackedSinkRecord) else None


class PipelinePlugins(NamedTuple):
    """What a pipeline is made of, for metrics."""

    stages: tuple[TransformStage, ...]
    key: Converter
    value: Converter
    header: HeaderConverter


class _Chain:
    def __init__(self, stages: Sequence[TransformStage], errors: ErrorHandler) -> None:
        self.stages = tuple(stages)
        self.errors = errors

    def straight(self, record: ConnectRecord) -> ConnectRecord | None:
        current: ConnectRecord | None = record
        for stage in self.stages:
            current = stage.apply(record)
            if current is None:
                return None
            record = current
        return current

    def careful(self, context: ProcessingContext, record: ConnectRecord) -> ConnectRecord | None:
        current: ConnectRecord | None = record
        for stage in self.stages:
            name = class_name(type(stage.transformation))
            given = current
            assert given is not None
            current = self.errors.execute(
                context,
                lambda stage=stage, given=given: stage.apply(given),  # type: ignore[misc]
                error_policy.TRANSFORMATION,
                name,
            )
            if current is None or context.failed:
                return None
        return current

    def close(self) -> None:
        for stage in self.stages:
            stage.transformation.close()
            if stage.predicate is not None:
                stage.predicate.close()


class SourcePipeline:
    def __init__(
        self,
        stages: Sequence[TransformStage],
        key_converter: Converter,
        value_converter: Converter,
        header_converter: HeaderConverter,
        errors: ErrorHandler,
    ) -> None:
        self._chain = _Chain(stages, errors)
        self._key = key_converter
        self._value = value_converter
        self._header = header_converter
        self._errors = errors
        self._write_key, self._write_value = (
            key_converter.from_connect_data,
            value_converter.from_connect_data,
        )

    def process(self, record: SourceRecord) -> OutgoingRecord | None:
        """ConnectError when an error is not tolerated."""
        try:
            changed: ConnectRecord = record
            if self._chain.stages:
                transformed = self._chain.straight(record)
                if transformed is None:
                    return None
                changed = transformed
            headers = [] if changed._headers is None else self._headers(changed)
            topic = changed.topic
            key = self._write_key(topic, changed.key_schema, changed.key, headers)
            value = self._write_value(topic, changed.value_schema, changed.value, headers)
            timestamp = changed.timestamp
            if timestamp is not None and timestamp < 0:
                _refuse_timestamp(timestamp)
            outgoing: OutgoingRecord = _new(
                OutgoingRecord, (topic, changed.kafka_partition, key, value, headers, timestamp)
            )
            return outgoing
        except Exception:
            return self._process_carefully(record)

    def _process_carefully(self, record: SourceRecord) -> OutgoingRecord | None:
        context = ProcessingContext(record)
        changed = self._chain.careful(context, record)
        if changed is None:
            return None
        run = self._errors.execute
        headers = run(
            context,
            lambda: self._headers(changed),
            error_policy.HEADER_CONVERTER,
            class_name(type(self._header)),
        )
        key = run(
            context,
            lambda: self._key.from_connect_data(changed.topic, changed.key_schema, changed.key, headers),
            error_policy.KEY_CONVERTER,
            class_name(type(self._key)),
        )
        value = run(
            context,
            lambda: self._value.from_connect_data(
                changed.topic, changed.value_schema, changed.value, headers
            ),
            error_policy.VALUE_CONVERTER,
            class_name(type(self._value)),
        )
        if context.failed:
            return None
        return OutgoingRecord(
            changed.topic, changed.kafka_partition, key, value, headers or [], _timestamp(changed)
        )

    def _headers(self, record: ConnectRecord) -> RawHeaders:
        if not len(record.headers):
            return []
        convert = self._header.from_connect_header
        return [(h.key, convert(record.topic, h.key, h.schema, h.value)) for h in record.headers]

    def plugins(self) -> PipelinePlugins:
        return PipelinePlugins(self._chain.stages, self._key, self._value, self._header)

    def close(self) -> None:
        self._chain.close()
        for converter in (self._key, self._value, self._header):
            converter.close()


def _timestamp(record: ConnectRecord) -> int | None:
    timestamp = record.timestamp
    if timestamp is not None and timestamp < 0:
        _refuse_timestamp(timestamp)
    return timestamp


def _refuse_timestamp(timestamp: int) -> None:
    raise DataError(f"Invalid record timestamp {timestamp}")


class SinkPipeline:
    def __init__(
        self,
        stages: Sequence[TransformStage],
        key_converter: Converter,
        value_converter: Converter,
        header_converter: HeaderConverter,
        errors: ErrorHandler,
    ) -> None:
        self._chain = _Chain(stages, errors)
        self._key = key_converter
        self._value = value_converter
        self._header = header_converter
        self._errors = errors
        self._read_key, self._read_value = key_converter.to_connect_data, value_converter.to_connect_data

    def process(self, raw: RawRecord) -> SinkRecord | None:
        """ConnectError when an error is not tolerated."""
        topic, headers = raw[0], raw[7]
        try:
            key = self._read_key(topic, raw[5], headers)
            value = self._read_value(topic, raw[6], headers)
            record = TrackedSinkRecord(raw, key, value, self._headers(raw) if headers else None)
            return self._chain.straight(record) if self._chain.stages else record  # type: ignore[return-value]
        except Exception:
            return self._process_carefully(raw)

    def _process_carefully(self, raw: RawRecord) -> SinkRecord | None:
        context = ProcessingContext(raw)
        run = self._errors.execute
        key = run(
            context,
            lambda: self._key.to_connect_data(raw.topic, raw.key, raw.headers),
            error_policy.KEY_CONVERTER,
            class_name(type(self._key)),
        )
        value = run(
            context,
            lambda: self._value.to_connect_data(raw.topic, raw.value, raw.headers),
            error_policy.VALUE_CONVERTER,
            class_name(type(self._value)),
        )
        headers = run(
            context,
            lambda: self._headers(raw),
            error_policy.HEADER_CONVERTER,
            class_name(type(self._header)),
        )
        if context.failed:
            return None
        assert key is not None
        assert value is not None
        record = self._chain.careful(context, TrackedSinkRecord(raw, key, value, headers))
        return record if isinstance(record, SinkRecord) else None

    def _headers(self, raw: RawRecord) -> Headers:
        result = Headers()
        for key, value in raw.headers:
            schema, item = self._header.to_connect_header(raw.topic, key, value)
            result._items.append(Header(key, item, schema))
        return result

    def plugins(self) -> PipelinePlugins:
        return PipelinePlugins(self._chain.stages, self._key, self._value, self._header)

    def close(self) -> None:
        self._chain.close()
        for converter in (self._key, self._value, self._header):
            converter.close()
