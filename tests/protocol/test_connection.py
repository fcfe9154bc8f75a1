"""Frames, headers and ApiVersions: protocol.md section 10.1 and the leniency of section 1."""

from __future__ import annotations

import struct
import time

import pytest

from tests.protocol import raw, schema
from tests.protocol.raw import API_VERSIONS, CLOSED, METADATA, SILENT, Connection

UNSUPPORTED = bytes.fromhex("0023000000010012000000 04".replace(" ", ""))

# Every key of this release with the versions that must be in the answer.
SERVED = {
    0: (0, 13),
    1: (4, 18),
    2: (1, 11),
    3: (0, 13),
    18: (0, 4),
    19: (2, 7),
    20: (1, 6),
    21: (0, 2),
    22: (0, 5),
    23: (2, 4),
    32: (1, 4),
    33: (0, 2),
    35: (1, 5),
    37: (0, 3),
    44: (0, 1),
    46: (0, 0),
    60: (0, 2),
    74: (0, 1),
    75: (0, 0),
}
FEATURES = {
    "metadata.version": (7, 30),
    "kraft.version": (0, 1),
    "transaction.version": (0, 2),
    "group.version": (0, 1),
    "eligible.leader.replicas.version": (0, 1),
    "share.version": (0, 1),
    "streams.version": (0, 1),
}


def is_open(connection: Connection) -> bool:
    return bool(connection.call(API_VERSIONS, 0, {}))


def api_versions(version: int) -> dict[str, str]:
    return {"client_software_name": "raw", "client_software_version": "1"} if version >= 3 else {}


@pytest.mark.parametrize("version", range(5))
def test_api_versions_lists_every_served_key(connection: Connection, version: int, is_pybroker: bool) -> None:
    answer = connection.call(API_VERSIONS, version, api_versions(version))
    assert answer["error_code"] == 0
    ranges = {api["api_key"]: (api["min_version"], api["max_version"]) for api in answer["api_keys"]}
    assert {key: ranges.get(key) for key in SERVED} == SERVED
    assert 71 not in ranges
    assert 72 not in ranges
    assert len(ranges) == len(answer["api_keys"])
    if not is_pybroker:
        assert len(ranges) == 75
    if version >= 1:
        assert answer["throttle_time"] == 0


@pytest.mark.parametrize("version", [3, 4])
def test_api_versions_features(connection: Connection, version: int, is_pybroker: bool) -> None:
    answer = connection.call(API_VERSIONS, version, api_versions(version))
    supported = {f["name"]: (f["min_version"], f["max_version"]) for f in answer["supported_features"]}
    finalized = {
        f["name"]: (f["min_version_level"], f["max_version_level"]) for f in answer["finalized_features"]
    }
    assert answer["finalized_features_epoch"] > 0
    assert supported["metadata.version"] == (7, 30)
    assert finalized["metadata.version"] == (30, 30)
    if version == 3:
        assert all(low > 0 for low, _ in supported.values()), "KAFKA-17011: a minimum of 0 is left out in v3"
    if not is_pybroker:
        assert finalized == {name: (high, high) for name, (_, high) in FEATURES.items()}
        assert supported == (FEATURES if version == 4 else {"metadata.version": (7, 30)})
    else:
        # Features come one by one; what is there must be as in the reference.
        assert set(supported.items()) <= set(FEATURES.items())
        assert all(level == (FEATURES[name][1],) * 2 for name, level in finalized.items())


def test_api_versions_sizes(connection: Connection, is_pybroker: bool) -> None:
    correlation = connection.send(API_VERSIONS, 0, {})
    frame = connection.read_frame()
    assert struct.unpack_from(">i", frame)[0] == correlation
    if not is_pybroker:
        assert len(frame) == 460


@pytest.mark.parametrize(
    ("version", "flexible"), [(5, True), (99, True), (-1, False), (32767, True), (-32768, False)]
)
def test_api_versions_of_an_unknown_version(connection: Connection, version: int, flexible: bool) -> None:
    connection.send_frame(raw.request_header(API_VERSIONS, version, 7, flexible=flexible) + b"\2x\2y\0")
    assert connection.read_frame() == struct.pack(">i", 7) + UNSUPPORTED
    assert is_open(connection)


def test_api_versions_of_an_unknown_version_with_a_short_header(connection: Connection) -> None:
    connection.send_frame(struct.pack(">hhi", API_VERSIONS, 99, 7))
    assert connection.read_frame() is CLOSED


@pytest.mark.parametrize("name", ["", "a b", "-ab", "ab-", ".", "a/b"])
def test_api_versions_with_a_bad_software_name(connection: Connection, name: str) -> None:
    correlation = connection.send(
        API_VERSIONS, 3, {"client_software_name": name, "client_software_version": "1"}
    )
    assert connection.read_frame() == struct.pack(">i", correlation) + bytes.fromhex("002a010000000000")
    assert is_open(connection)


@pytest.mark.parametrize("name", ["a", "a-b", "a.b", "A_0", "9"])
def test_api_versions_with_a_good_software_name(connection: Connection, name: str) -> None:
    answer = connection.call(
        API_VERSIONS, 3, {"client_software_name": name, "client_software_version": "1.0"}
    )
    assert answer["error_code"] in (0, 42)
    assert (answer["error_code"] == 42) == ("_" in name)


def test_api_versions_with_a_null_software_name(connection: Connection) -> None:
    assert connection.call(API_VERSIONS, 3, b"\0\2x\0") is CLOSED


@pytest.mark.parametrize(
    ("key", "version", "body"),
    [
        (API_VERSIONS, 0, b"xyz"),
        (API_VERSIONS, 3, b"\2a\2b\0" + b"xyz"),
        (METADATA, 1, struct.pack(">i", 0) + b"xyz"),
        (METADATA, 12, b"\1\1\0\0" + b"xyz"),
    ],
)
def test_trailing_bytes_are_ignored(connection: Connection, key: int, version: int, body: bytes) -> None:
    assert isinstance(connection.call(key, version, body), dict)
    assert is_open(connection)


@pytest.mark.parametrize(
    "tags",
    [b"\1\x63\2ab", b"\2\x63\2ab\5\1z", b"\3\x01\0\x05\0\x63\0"],
    ids=["unknown", "out of order", "empty"],
)
def test_unknown_tags_are_skipped(connection: Connection, tags: bytes) -> None:
    assert connection.call(METADATA, 12, b"\1\1\0" + tags)["topics"] == []
    assert connection.call(METADATA, 12, b"\1\1\0\0", tags=tags)["topics"] == []


@pytest.mark.parametrize(
    "body",
    [b"\1\1\0\1\x63\x20ab", b"\1", b"", b"\5" + bytes(5), b"\1\1\0\1\x63", b"\1\1\0\1"],
    ids=["tag beyond the frame", "short", "empty", "array beyond", "tag cut", "tags cut"],
)
def test_a_body_that_does_not_fit_closes(connection: Connection, body: bytes) -> None:
    assert connection.call(METADATA, 12, body) is CLOSED


def test_a_tag_count_that_the_frame_cannot_hold(connection: Connection, is_pybroker: bool) -> None:
    """4.3 reads 2^32-1 tags as none; pybroker bounds the count as 4.4 does."""
    answer = connection.call(METADATA, 12, b"\1\1\0\xff\xff\xff\xff\x0f")
    assert answer is CLOSED if is_pybroker else isinstance(answer, dict)


def test_negative_array_lengths_mean_null(connection: Connection, address: str) -> None:
    raw.create_topic(address)
    assert connection.call(METADATA, 12, b"\xff\xff\xff\xff\x0f\0\0\0")["topics"]
    assert connection.call(METADATA, 1, struct.pack(">i", -2))["topics"]


def test_any_bool_but_zero_is_true(connection: Connection, topic: str) -> None:
    name = b"\2" + bytes(16) + bytes([len(topic) + 1]) + topic.encode() + b"\0"
    asked = connection.call(METADATA, 12, name + b"\0\2\0")["topics"][0]
    assert asked["error_code"] == 0
    assert asked["topic_authorized_operations"] == 3576


@pytest.mark.parametrize("body", [struct.pack(">ih", 1, -5), struct.pack(">ih", 1, -1)])
def test_null_where_no_null_may_be_closes(connection: Connection, body: bytes) -> None:
    assert connection.call(METADATA, 1, body) is CLOSED


def test_malformed_utf8_becomes_the_replacement_character(connection: Connection) -> None:
    (topic,) = connection.call(METADATA, 1, struct.pack(">ih", 1, 3) + b"\xff\xfe\xfd")["topics"]
    assert topic["error_code"] == 17
    assert topic["name"] == "\ufffd" * 3


@pytest.mark.parametrize(
    ("key", "version"),
    [
        (3, 14),
        (3, 99),
        (0, 0),
        (0, 2),
        (0, 14),
        (1, 3),
        (1, 19),
        (4, 0),
        (52, 0),
        (67, 0),
        (93, 0),
        (500, 0),
        (-1, 0),
        (2, 0),
        (2, 12),
        (19, 1),
        (19, 8),
        (20, 0),
        (20, 7),
        (21, 3),
        (22, 7),
        (23, 1),
        (23, 5),
        (32, 0),
        (35, 6),
        (37, 4),
        (44, 2),
        (46, 1),
        (60, 3),
        (71, 1),
        (74, 2),
        (75, 1),
        (3, -1),
    ],
)
def test_unsupported_keys_and_versions_close(connection: Connection, key: int, version: int) -> None:
    for flexible in (False, True):
        with Connection(connection.address) as other:
            other.send_frame(raw.request_header(key, version, 1, flexible=flexible) + bytes(64))
            assert other.read_frame() is CLOSED


@pytest.mark.parametrize("size", [0, 3, 7, 8, 9])
def test_frames_too_short_for_a_header_close(connection: Connection, size: int) -> None:
    connection.send_frame(struct.pack(">hhi", METADATA, 1, 1).ljust(12, b"\0")[:size])
    assert connection.read_frame() is CLOSED


def test_a_client_id_longer_than_the_frame_closes(connection: Connection) -> None:
    connection.send_frame(struct.pack(">hhih", API_VERSIONS, 0, 1, 500) + b"abc")
    assert connection.read_frame() is CLOSED


@pytest.mark.parametrize("client_id", [None, b"\xff\xfe", "x" * 30000, ""])
def test_odd_client_ids(connection: Connection, client_id: str | bytes | None) -> None:
    assert connection.call(API_VERSIONS, 0, {}, client_id=client_id)["error_code"] == 0


def test_a_negative_client_id_length_means_null(connection: Connection) -> None:
    connection.send_frame(struct.pack(">hhih", API_VERSIONS, 0, 1, -2))
    assert connection.read_frame()[:6] == struct.pack(">ih", 1, 0)


@pytest.mark.parametrize("length", [-1, -(2**31), 104857601, 2**31 - 1])
def test_impossible_frame_lengths_close_at_once(connection: Connection, length: int) -> None:
    connection.send_bytes(struct.pack(">i", length))
    assert connection.read_frame(5) is CLOSED


def test_the_largest_frame_length_is_waited_for(connection: Connection) -> None:
    connection.send_bytes(struct.pack(">i", 104857600))
    assert connection.read_frame(0.3) is SILENT


def test_five_requests_in_one_write(connection: Connection) -> None:
    frames = b""
    for number in range(5):
        body = raw.request_header(API_VERSIONS, 0, number)
        frames += struct.pack(">i", len(body)) + body
    connection.send_bytes(frames)
    assert [struct.unpack_from(">i", connection.read_frame())[0] for _ in range(5)] == [0, 1, 2, 3, 4]


def test_a_frame_byte_by_byte(connection: Connection) -> None:
    body = raw.request_header(API_VERSIONS, 0, 9)
    for byte in struct.pack(">i", len(body)) + body:
        connection.send_bytes(bytes([byte]))
    assert struct.unpack_from(">i", connection.read_frame())[0] == 9


def test_answers_leave_in_request_order(connection: Connection, topic: str) -> None:
    """A long poll at the front keeps its place."""
    started = time.monotonic()
    waiting = connection.send(raw.FETCH, 12, raw.fetch_values(topic, max_wait=400))
    quick = connection.send(API_VERSIONS, 0, {})
    assert connection.receive(raw.FETCH, 12, waiting)["error_code"] == 0
    assert time.monotonic() - started > 0.35
    assert connection.receive(API_VERSIONS, 0, quick)["error_code"] == 0


def test_a_tls_hello_closes(connection: Connection) -> None:
    hello = bytes.fromhex("160301020001000 1fc0303".replace(" ", "")) + bytes(507)
    connection.send_bytes(hello)
    assert connection.read_frame(5) is CLOSED


def test_authentication_on_a_plain_listener(connection: Connection) -> None:
    served = 17 in {api["api_key"] for api in connection.call(API_VERSIONS, 0, {})["api_keys"]}
    answer = connection.call(17, 1, {"mechanism": "PLAIN"})
    # A key that is not advertised is like one that nobody knows.
    assert answer["error_code"] == 34 if served else answer is CLOSED


def test_every_advertised_key_is_answered_or_closed_never_ignored(address: str) -> None:
    """A cut body of every version: the connection ends and the broker goes on."""
    for key, (low, high) in SERVED.items():
        for version in range(low, high + 1):
            if key == 0 and version < 3:
                continue
            with Connection(address) as connection:
                body = schema.encode(schema.request_schema(key, version), {})
                if len(body) < 2:
                    continue
                connection.send(key, version, body[: len(body) // 2])
                assert connection.read_frame(5) is CLOSED, (key, version)
