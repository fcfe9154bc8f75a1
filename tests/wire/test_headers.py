"""Headers of requests and responses."""

from __future__ import annotations

import pytest
from kio.schema.request_header.v1.header import RequestHeader as KioHeader1
from kio.schema.request_header.v2.header import RequestHeader as KioHeader2
from kio.serial import entity_writer

from pybroker.common.errors import ProtocolError
from pybroker.wire import codec
from pybroker.wire.api_keys import (
    ADVERTISED,
    API_TABLE,
    BY_KEY,
    CONTROLLER_ADVERTISED,
    NEVER,
    ApiKey,
    is_served,
    module_name,
)
from pybroker.wire.headers import (
    RequestHeader,
    is_flexible,
    parse_request_header,
    parse_response_header,
    request_header,
    response_header,
)


@pytest.mark.parametrize("client_id", [None, "", "client-1", "é" * 100])
@pytest.mark.parametrize(("version", "kio_class"), [(8, KioHeader1), (9, KioHeader2)])
def test_request_header_equals_kios(client_id, version, kio_class, tmp_path):
    import io

    buffer = io.BytesIO()
    values = {
        "request_api_key": 0,
        "request_api_version": version,
        "correlation_id": -7,
        "client_id": client_id,
    }
    entity_writer(kio_class)(buffer, kio_class(**values))
    written = request_header(0, version, -7, client_id)
    assert written == buffer.getvalue()
    header = parse_request_header(memoryview(written + b"body"))
    assert header == RequestHeader(0, version, -7, client_id, len(written))


def test_tagged_fields_of_the_header_are_skipped():
    written = request_header(18, 3, 5, "c")[:-1] + bytes.fromhex("020001616300")
    assert parse_request_header(written + b"x").body_offset == len(written)


def test_unknown_keys_and_versions_are_parsed():
    assert parse_request_header(request_header(9999, 3, 5, "c")).api_key == 9999
    header = parse_request_header(request_header(18, 32767, 5, "c"))
    assert (header.api_version, header.body_offset) == (32767, 12)
    assert parse_request_header(request_header(18, -1, 5, "c")).body_offset == 11


def test_response_headers():
    assert response_header(0, 8, 5) == b"\0\0\0\5"
    assert response_header(0, 9, 5) == b"\0\0\0\5\0"
    for version in range(5):
        # A client that asked for too much must be able to read the refusal.
        assert response_header(18, version, 5) == b"\0\0\0\5"
    assert response_header(17, 1, -1) == b"\xff\xff\xff\xff"
    assert parse_response_header(response_header(0, 9, 5) + b"x", 0, 9) == (5, 5)
    assert parse_response_header(response_header(18, 4, 5) + b"x", 18, 4) == (5, 4)


@pytest.mark.parametrize("size", range(13))
def test_short_frames(size):
    with pytest.raises(ProtocolError):
        parse_request_header(request_header(0, 9, 5, "abc")[:size])


def test_flexibility_is_the_schemas():
    for key in ApiKey:
        cls = codec.request_class(key)
        for version in range(cls.VERSIONS[0], cls.VERSIONS[1] + 1):
            assert is_flexible(key, version) == (version >= cls.FLEXIBLE_FROM), (key, version)


def test_table_is_within_the_schemas():
    assert len(API_TABLE) == len(BY_KEY) == 89
    assert sum(api.implemented is not None for api in API_TABLE) == 77
    assert sum(api.controller is not None for api in API_TABLE) == 41
    for api in API_TABLE:
        first, last = codec.request_class(api.key).VERSIONS
        assert first <= api.min_version <= api.max_version <= last
        if api.first_flexible_version != NEVER:
            assert max(api.first_flexible_version, first) == max(
                codec.request_class(api.key).FLEXIBLE_FROM, first
            )
        assert module_name(api.key) == ApiKey(api.key).name.lower()
        assert codec.request_class(api.key).__name__ == f"{api.name}Request"


def test_what_is_advertised():
    rows = {row.key: (row.min_version, row.max_version) for row in ADVERTISED}
    assert rows[0] == (0, 13)
    assert rows[1] == (4, 18)
    assert rows[22] == (0, 5)
    assert 71 not in rows
    assert set(rows) <= {api.key for api in API_TABLE if api.implemented}
    assert not is_served(0, 2)
    assert is_served(0, 3)
    assert not is_served(93, 0)
    assert not is_served(52, 0)


def test_the_listeners_of_a_controller_have_keys_of_their_own():
    keys = {row.key for row in CONTROLLER_ADVERTISED}
    assert keys == {api.key for api in API_TABLE if api.controller}
    assert 18 in keys
    assert not keys & {0, 3, 8, 11}
    assert is_served(19, 7, controller=True)
    assert not is_served(0, 13, controller=True)
    assert not is_served(19, 1, controller=True)
    assert not is_served(93, 0, controller=True)
