"""When decisions count: group commit, order, failures, start and restart, registration, snapshots."""

from __future__ import annotations

import pytest

from pybroker.common.errors import ConfigError, CorruptionError, InvariantError, StorageError
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.controller.bootstrap import encode
from pybroker.controller.loader import load
from pybroker.metadata.delta import MetadataDelta
from pybroker.metadata.image import NO_LEADER
from pybroker.raft.hard_state import HardState, load_hard_state
from pybroker.raft.log import MemoryRaftLog
from pybroker.raft.snapshot import SnapshotId, list_snapshots, load_latest_snapshot
from pybroker.raft.voters import Voter, decode_voters, voter_records
from pybroker.records.batch import iter_headers
from pybroker.records.control import build_control_batch
from pybroker.wire.schemas.metadata_records import (
    BeginTransactionRecord,
    PartitionChangeRecord,
    TopicRecord,
    decode_control,
)
from tests.unit.controller.harness import (
    CLUSTER,
    DIRECTORY_ID,
    METADATA_DIR,
    SET,
    Harness,
    registration,
    state,
    topic,
)

NOT_CONTROLLER = 41


@pytest.fixture
def waiting():
    """A controller whose flushes are done by hand."""
    return Harness(inline=False)


# Group commit


def test_nothing_is_answered_or_seen_before_the_flush(waiting):
    flushes = waiting.log.flush_count
    answers = [waiting.create_raw(topic(name)) for name in "abc"]
    ids = waiting.controller.allocate_producer_ids()
    assert waiting.log.flush_wanted
    assert not any(answer.done for answer in answers)
    assert not waiting.image.topics
    waiting.log.flush()
    assert waiting.log.flush_count == flushes + 1
    assert all(answer.value.topics[0].error_code == 0 for answer in answers)
    assert ids.value == (0, 1000)
    assert list(waiting.image.topics) == ["a", "b", "c"]


def test_a_decision_sees_what_is_not_committed_yet_and_waits_for_it(waiting):
    waiting.create_raw(topic("a"))
    second = waiting.create_raw(topic("a"))
    third = waiting.create_raw(topic("a"), validate_only=True)
    assert not second.done
    assert not third.done
    waiting.log.flush()
    assert second.value.topics[0].error_code == third.value.topics[0].error_code == 36
    assert waiting.create_raw(topic("a")).done


def test_the_image_is_published_before_the_answer(waiting):
    events = []
    waiting.quorum.on_image(lambda image, delta: events.append([t.name for t in delta.created_topics]))
    for name in "ab":
        waiting.create_raw(topic(name)).then(
            lambda response: events.append((response.topics[0].name, list(waiting.image.topics)))
        )
    waiting.log.flush()
    assert events == [["a"], ("a", ["a"]), ["b"], ("b", ["a", "b"])]


def test_every_published_image_is_its_own(waiting):
    for name in "ab":
        waiting.create_raw(topic(name))
    waiting.published.clear()
    waiting.log.flush()
    (first, _), (second, delta) = waiting.published
    assert list(first.topics) == ["a"]
    assert list(second.topics) == ["a", "b"]
    assert delta == MetadataDelta(created_topics=(second.topics["b"],))
    assert first.offset < second.offset == waiting.log.end_offset - 1


def test_callbacks_may_ask_the_controller_again(waiting):
    waiting.log.inline = True
    answers = []

    def also(image, delta):
        for made in delta.created_topics:
            if len(image.topics) < 4:
                answers.append(waiting.create_raw(topic(made.name + "x")))

    waiting.quorum.on_image(also)
    assert waiting.create(topic("a"))[0][1] == 0
    assert list(waiting.image.topics) == ["a", "ax", "axx", "axxx"]
    assert all(answer.done for answer in answers)


# Failures


def test_a_failed_append_changes_nothing(waiting):
    waiting.log.inline = True
    end = waiting.log.end_offset
    waiting.log.fail_append = StorageError("no space")
    assert waiting.create(topic("a")) == [("a", 56, None)]
    assert waiting.create_partitions(("no", 3, None)) == [("no", 3, None)]
    assert waiting.alter((4, "1", [("log.retention.ms", SET, "9")])) == [(56, None)]
    assert waiting.replace((4, "1", [("log.retention.ms", "9")])) == [(56, None)]
    assert waiting.controller.allocate_producer_ids().value == (-1, 0)
    assert waiting.log.end_offset == end
    waiting.log.fail_append = None
    assert waiting.create(topic("a")) == [("a", 0, None)]
    assert waiting.delete("a")[0][2] == 0
    assert state(waiting.restart().image) == state(waiting.image)


def test_a_failed_sync_ends_it(waiting):
    waiting.log.inline = True
    waiting.create(topic("a", 2))
    waiting.log.inline = False
    created = waiting.create_raw(topic("b"))
    repeated = waiting.create_raw(topic("b"))
    waiting.quorum.storage_failed(StorageError("sync failed"))
    assert created.value.topics[0].error_code == repeated.value.topics[0].error_code == 56
    assert waiting.create(topic("c")) == [("c", 56, None)]
    assert waiting.create_partitions(("a", 3, None)) == [("a", 56, None)]
    assert waiting.delete("a")[0][2] == 56
    assert list(waiting.image.topics) == ["a"]


# Start


def test_first_start():
    harness = Harness()
    image = harness.image
    assert image.features == {
        "metadata.version": 30,
        "eligible.leader.replicas.version": 1,
        "kraft.version": 1,
        "transaction.version": 2,
        "group.version": 1,
    }
    assert image.config(4, "") == {"min.insync.replicas": "1"}
    assert image.offset == harness.log.end_offset - 1
    assert harness.controller.epoch == 1
    broker = image.brokers[1]
    assert not broker.fenced
    assert (broker.log_dirs, broker.cordoned_log_dirs) == ((DIRECTORY_ID,), ())
    assert load_hard_state(harness.files, METADATA_DIR) == HardState(1, 1)
    assert harness.files.list_dir("/data") == ["__cluster_metadata-0", "bootstrap.checkpoint"]
    assert harness.log.durable_size == len(harness.log.data)
    assert harness.log.high_watermark == harness.log.end_offset
    headers = [header for _, header in iter_headers(bytes(harness.log.data))]
    assert [(h.base_offset, h.record_count, h.is_control) for h in headers] == [
        (0, 3, True),
        (3, 7, False),
        (10, 1, False),
        (11, 3, False),
    ]
    # The broker's epoch is the offset of its registration.
    assert broker.epoch == 11


def test_min_insync_replicas_of_the_properties_file_goes_on_record():
    assert Harness(properties={"min.insync.replicas": "2"}).image.config(4, "") == {
        "min.insync.replicas": "2"
    }


def test_restart_keeps_everything_and_bumps_the_controller_epoch():
    harness = Harness()
    harness.create(topic("a", 3, configs=[("retention.ms", "5")]), topic("b"))
    harness.delete("b")
    harness.alter((4, "1", [("log.retention.ms", SET, "9")]))
    harness.controller.allocate_producer_ids()
    epoch = harness.image.brokers[1].epoch
    again = harness.restart(previous_epoch=epoch)
    assert state(again.image) == state(harness.image)
    assert again.controller.epoch == 2
    assert again.controller.allocate_producer_ids().value == (1000, 1000)
    assert again.create(topic("a"))[0][1] == 36


def test_an_unclean_restart_elects_every_leader_again():
    harness = Harness()
    harness.create(topic("a", 2))
    harness = harness.restart(previous_epoch=harness.image.brokers[1].epoch)
    assert {(p.leader, p.leader_epoch) for p in harness.image.topics["a"].partitions} == {(1, 0)}
    harness = harness.restart(previous_epoch=-1)
    assert {(p.leader, p.leader_epoch) for p in harness.image.topics["a"].partitions} == {(1, 1)}
    assert {p.partition_epoch for p in harness.image.topics["a"].partitions} == {1}


def test_what_apache_kafka_left_without_a_leader_is_led_again():
    """Its clean stop takes the only replica out of the in-sync ones and keeps it as eligible; an unclean one
    may leave the mark of a leader that is still recovering."""
    harness = Harness()
    harness.create(topic("a", 2))
    topic_id = harness.image.topics["a"].topic_id
    gone = {"leader": NO_LEADER, "isr": [], "eligible_leader_replicas": [1], "last_known_elr": [1]}
    harness.controller._commit(
        [
            PartitionChangeRecord(partition_id=0, topic_id=topic_id, **gone),
            PartitionChangeRecord(
                partition_id=1, topic_id=topic_id, leader=NO_LEADER, isr=[], leader_recovery_state=1
            ),
        ]
    )
    harness = harness.restart(previous_epoch=harness.image.brokers[1].epoch)
    for partition in harness.image.topics["a"].partitions:
        assert (partition.leader, partition.leader_epoch, partition.isr) == (1, 2, (1,))
        assert (partition.eligible_leader_replicas, partition.last_known_elr) == ((), ())
        assert partition.leader_recovery_state == 0


def test_the_voters_of_the_log_stay_as_they_are():
    """Another broker finds its quorum by them: their endpoints are not this controller's to change."""
    harness = Harness()
    stated = load(harness.files, harness.log, CLUSTER).history.voters
    assert stated[0].endpoints == (("CONTROLLER", "localhost", 9093),)
    data = bytes(harness.log.data)
    log = MemoryRaftLog(data, directory=METADATA_DIR)
    harness = Harness(log=log, files=harness.files, options={"endpoints": ()})
    harness.quorum.maybe_snapshot(force=True)
    effect = harness.take_effect()
    effect.run()
    effect.complete(None)
    _, content, _ = load_latest_snapshot(harness.files, METADATA_DIR)
    assert (
        decode_voters(decode_control(content.control_records[1].type, content.control_records[1].value))
        == stated
    )


def test_a_quorum_of_several_is_refused():
    harness = Harness()
    voters = [Voter(1, DIRECTORY_ID), Voter(2, b"2" * 16)]
    batch = build_control_batch(
        voter_records(voters), timestamp=0, base_offset=harness.log.end_offset, leader_epoch=1
    )
    harness.log.append(batch)
    with pytest.raises(ConfigError, match="voters 2 too"):
        harness.restart()


def test_not_started():
    harness = Harness(start=False)
    assert not harness.controller.active
    assert harness.create(topic("a")) == [("a", NOT_CONTROLLER, None)]
    with pytest.raises(InvariantError):
        harness.quorum.epoch  # noqa: B018


def test_open_transaction_is_aborted():
    harness = Harness()
    harness.create(topic("a"))
    values = [encode(BeginTransactionRecord()), encode(TopicRecord(name="z", topic_id=b"z" * 16))]
    harness.quorum.node.propose(values)
    loaded = load(harness.files, harness.log, CLUSTER)
    assert loaded.in_transaction
    assert list(loaded.image.topics) == ["a"]
    again = harness.restart()
    assert list(again.image.topics) == ["a"]
    again = again.restart()
    assert list(again.image.topics) == ["a"]


def test_log_and_snapshot_must_meet():
    harness = Harness()
    harness.log.start_offset = 5
    with pytest.raises(CorruptionError):
        load(MemoryFileSystem(), harness.log, CLUSTER)


# Registration


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"cluster_id": "other"}, 104),
        ({"log_dirs": []}, 119),
        ({"log_dirs": [DIRECTORY_ID, DIRECTORY_ID]}, 119),
        ({"features": []}, 119),
    ],
)
def test_refused_registrations(fields, code):
    harness = Harness()
    before = harness.image.brokers[1]
    answer = harness.controller.register_own_broker(registration(**fields)).value
    assert (answer.error_code, answer.broker_epoch) == (code, -1)
    assert harness.image.brokers[1] is before


def test_without_a_registered_broker_no_topic():
    harness = Harness(register=False)
    assert harness.create(topic("a"))[0][1] == 38
    assert harness.controller.register_own_broker(registration()).value.error_code == 0
    assert harness.create(topic("a"))[0][1] == 0


# Snapshots


def small_snapshots(**options):
    return Harness(properties={"metadata.log.max.record.bytes.between.snapshots": "2000"}, **options)


def take(harness):
    effect = harness.take_effect()
    assert effect is not None
    return effect


def test_snapshot_when_the_log_has_grown():
    harness = small_snapshots()
    assert harness.take_effect() is None
    while not harness.effects:
        harness.create(topic(f"t{len(harness.image.topics)}", configs=[("retention.ms", "5")]))
    effect = take(harness)
    snapshot = SnapshotId(harness.image.offset + 1, 1)
    # What comes while it is written is not in it, and not the reason for another one.
    harness.create(topic("later"))
    before = harness.image
    effect.run()
    effect.complete(None)
    assert list_snapshots(harness.files, METADATA_DIR) == [SnapshotId(0, 0), snapshot]
    assert effect.queue.startswith(METADATA_DIR)
    loaded = load(harness.files, harness.log, CLUSTER)
    assert loaded.image == before
    assert list(loaded.image.topics) == list(before.topics)
    # Only the snapshot and the rest of the log are read.
    harness.log.start_offset = snapshot.end_offset
    assert state(harness.restart().image).topics.keys() == before.topics.keys()


def test_old_snapshots_go_and_a_failed_one_is_tried_again_later():
    harness = small_snapshots()
    taken = 0
    failed = False
    while taken < 4:
        harness.alter((4, "1", [("my.plugin", SET, "x" * 500)]))
        effect = harness.take_effect()
        if effect is None:
            continue
        assert harness.take_effect() is None
        if not failed:
            failed = True
            effect.complete(OSError("no space"))
            continue
        effect.run()
        effect.complete(None)
        taken += 1
        harness.alter((4, "1", [("my.plugin", SET, "y")]))
    assert len(list_snapshots(harness.files, METADATA_DIR)) == 2
    assert state(harness.restart(previous_epoch=harness.image.brokers[1].epoch).image) == state(harness.image)


def test_a_damaged_snapshot_is_passed_over():
    harness = small_snapshots()
    harness.create(*(topic(f"t{number}") for number in range(40)))
    effect = take(harness)
    effect.run()
    effect.complete(None)
    newest = list_snapshots(harness.files, METADATA_DIR)[-1]
    path = f"{METADATA_DIR}/{newest.file_name}"
    harness.files.open(path).truncate(harness.files.file_size(path) - 1)
    assert load(harness.files, harness.log, CLUSTER).image == harness.image
