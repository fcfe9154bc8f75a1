"""UpdateFeatures: which levels may be finalized, and what they mean to the other requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.processes import wait_until
from tests.protocol import raw
from tests.protocol.consumer_groups import join
from tests.protocol.groups import call, find_coordinator
from tests.protocol.raw import API_VERSIONS, Connection

UPDATE_FEATURES = 57
UPGRADE, SAFE, UNSAFE = 1, 2, 3
FAILED = "The update failed for all features since the following feature had an error: "


@pytest.fixture(scope="module")
def server(pytestconfig, tmp_path_factory) -> Iterator[Any]:
    """Levels are the cluster's, so it is one of its own."""
    from tests.conftest import make_server

    started = make_server(pytestconfig, tmp_path_factory.mktemp("features"), {})
    yield started
    started.stop(143 if started.name == "Apache Kafka" else 0)


@pytest.fixture
def connection(server) -> Iterator[Connection]:
    with Connection(server.bootstrap) as made:
        yield made


def finalized(connection: Connection) -> dict[str, int]:
    values = {"client_software_name": "test", "client_software_version": "1"}
    answer = connection.call(API_VERSIONS, 4, values)
    return {f["name"]: f["max_version_level"] for f in answer["finalized_features"]}


def update(
    connection: Connection, *updates: tuple[str, int, int], version: int = 2, dry: bool = False
) -> Any:
    entries = [
        {"feature": name, "max_version_level": level, "upgrade_type": kind, "allow_downgrade": True}
        for name, level, kind in updates
    ]
    return call(
        connection,
        UPDATE_FEATURES,
        version,
        {"timeout": 10_000, "feature_updates": entries, "validate_only": dry},
    )


def settle(connection: Connection, **levels: int) -> None:
    """Until the broker says these levels; `group_version=0` for one that is gone."""

    def reached() -> bool:
        found = finalized(connection)
        return all(found.get(name.replace("_", "."), 0) == level for name, level in levels.items())

    wait_until(reached, f"{levels}")


@pytest.mark.parametrize(
    ("name", "level", "kind", "text"),
    [
        ("nope", 1, UPGRADE, "Local controller 1 does not support this feature."),
        ("group.version", 2, UPGRADE, "Local controller 1 only supports versions 0-1"),
        ("group.version", -1, UPGRADE, "A feature version cannot be less than 0."),
        ("group.version", 0, 0, "The controller does not support the given upgrade type."),
        (
            "group.version",
            0,
            UPGRADE,
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or "
            "unsafe downgrade.",
        ),
        ("transaction.version", 3, SAFE, "Local controller 1 only supports versions 0-2"),
        ("metadata.version", 6, SAFE, "Local controller 1 only supports versions 7-30"),
        ("kraft.version", 0, SAFE, "Can't downgrade the version of this feature."),
    ],
)
def test_refused(connection, name, level, kind, text):
    before = finalized(connection)
    answer = update(connection, (name, level, kind))
    assert answer["error_code"] == 95
    assert answer["error_message"] == f"{FAILED}Invalid update version {level} for feature {name}. {text}"
    assert finalized(connection) == before


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (SAFE, "Refusing to perform the requested downgrade because it might delete metadata information."),
        (UNSAFE, "Unsafe metadata downgrade is not supported in this version."),
    ],
)
def test_the_metadata_version_does_not_go_down(connection, kind, text):
    answer = update(connection, ("metadata.version", 28, kind))
    assert answer["error_code"] == 95
    assert answer["error_message"] == f"{FAILED}Unsupported metadata.version downgrade from 30 to 28. {text}"


@pytest.mark.parametrize("version", [0, 1, 2])
def test_present_levels_and_nothing_at_all(connection, version):
    assert update(connection, version=version)["error_code"] == 0
    level = finalized(connection)["metadata.version"]
    answer = update(connection, ("metadata.version", level, UPGRADE), version=version)
    assert (answer["error_code"], answer["error_message"]) == (0, None)
    if version < 2:
        assert [(r["feature"], r["error_code"], r["error_message"]) for r in answer["results"]] == [
            ("metadata.version", 0, "NONE")
        ]


def test_version_0_only_upgrades(connection):
    assert update(connection, ("group.version", 0, SAFE), version=0)["error_code"] == 95


def test_one_refused_feature_refuses_all(connection):
    answer = update(connection, ("transaction.version", 1, SAFE), ("group.version", 7, UPGRADE))
    assert answer["error_code"] == 95
    assert finalized(connection)["transaction.version"] == 2


def test_nothing_changes_when_it_is_only_checked(connection):
    before = finalized(connection)
    assert update(connection, ("group.version", 0, SAFE), dry=True)["error_code"] == 0
    assert finalized(connection) == before


def test_group_version_switches_the_consumer_protocol(server, connection):
    group = raw.unique("g")
    find_coordinator(connection, group)
    topic, _ = raw.create_topic(connection)
    assert update(connection, ("group.version", 0, SAFE))["error_code"] == 0
    settle(connection, group_version=0)
    assert update(connection, ("group.version", 1, SAFE))["error_message"].endswith(
        "Can't downgrade to a newer version."
    )
    assert join(connection, group, "m", [topic])["error_code"] == 35
    server.kill()
    server.start()
    with Connection(server.bootstrap) as later:
        settle(later, group_version=0)
        assert update(later, ("group.version", 1, UPGRADE))["error_code"] == 0
        settle(later, group_version=1)
        find_coordinator(later, group)
        assert join(later, group, "m", [topic])["error_code"] == 0


@pytest.mark.parametrize("level", [0, 1])
def test_transaction_version_decides_who_bumps_the_epoch(connection, level):
    """With version 2 the end of a transaction raises the producer's epoch; below it does not."""
    ended = []
    for number in (level, 2):
        kind = SAFE if number < 2 else UPGRADE
        assert update(connection, ("transaction.version", number, kind))["error_code"] == 0
        settle(connection, transaction_version=number)
        ended.append(epoch_after_a_transaction(connection))
    assert ended == [0, 1]


def epoch_after_a_transaction(connection: Connection) -> int:
    """The epoch in the marker of a transaction of a new producer."""
    name = raw.unique("t")
    topic, _ = raw.create_topic(connection)

    def initialized() -> Any:
        values = {
            "transactional_id": name,
            "transaction_timeout": 60_000,
            "producer_id": -1,
            "producer_epoch": -1,
        }
        answer = connection.call(raw.INIT_PRODUCER_ID, 4, values)
        return answer if answer["error_code"] == 0 else None

    find = {"key": name, "key_type": 1}
    wait_until(lambda: connection.call(raw.FIND_COORDINATOR, 3, find)["error_code"] == 0, "the coordinator")
    producer = wait_until(initialized, "a producer id")
    who = {"producer_id": producer["producer_id"], "producer_epoch": producer["producer_epoch"]}
    partitions = [{"name": topic, "partitions": [0]}]
    add = {
        "v3_and_below_transactional_id": name,
        "v3_and_below_producer_id": who["producer_id"],
        "v3_and_below_producer_epoch": who["producer_epoch"],
        "v3_and_below_topics": partitions,
    }
    assert (
        connection.call(24, 3, add)["results_by_topic_v3_and_below"][0]["results_by_partition"][0][
            "partition_error_code"
        ]
        == 0
    )
    batch = raw.Batch([raw.record(b"k", b"v")], attributes=0x10, base_sequence=0, **who).bytes()
    assert raw.produce(connection, topic, batch, version=11, transactional_id=name)["error_code"] == 0
    end = {"transactional_id": name, **who, "committed": True}
    # Clients go by the finalized level; only those of version 2 send v5.
    version = 5 if finalized(connection).get("transaction.version", 0) >= 2 else 4
    assert connection.call(26, version, end)["error_code"] == 0
    wait_until(lambda: raw.high_watermark(connection, topic) == 2, "the marker")
    stored = raw.parse_batches(raw.fetch(connection, topic, 1)["records"])
    return int(stored[-1].producer_epoch)
