"""Replay of metadata records into images, and images back into records."""

from __future__ import annotations

import pytest

from pybroker.common.errors import CorruptionError
from pybroker.metadata.delta import MetadataDelta
from pybroker.metadata.image import BROKER_RESOURCE, TOPIC_RESOURCE, PartitionImage, empty_image
from pybroker.metadata.records import ImageBuilder, ImageContent, image_records, write_version
from pybroker.wire.schemas import metadata_records as r

A, B = b"a" * 16, b"b" * 16


def replay(image, *records):
    builder = ImageBuilder(image)
    for record in records:
        builder.replay(record)
    return builder.build(image.offset + len(records), 1)


def partition(topic_id, index=0, **fields):
    values = {"replicas": [1], "isr": [1], "leader": 1, "leader_epoch": 0, "partition_epoch": 0, **fields}
    return r.PartitionRecord(partition_id=index, topic_id=topic_id, **values)


def topic_config(topic, name, value):
    return r.ConfigRecord(resource_type=TOPIC_RESOURCE, resource_name=topic, name=name, value=value)


@pytest.fixture
def image():
    image, _ = replay(
        empty_image("c"),
        r.TopicRecord(name="a", topic_id=A),
        topic_config("a", "retention.ms", "5"),
        partition(A, 0),
        partition(A, 1),
    )
    return image


def test_create_topic():
    image, delta = replay(
        empty_image("c"), r.TopicRecord(name="a", topic_id=A), topic_config("a", "x", "1"), partition(A)
    )
    topic = image.topics["a"]
    assert image.topics_by_id[A] is topic
    assert topic.partitions == (PartitionImage((1,), (1,), 1, 0, 0),)
    assert image.config(TOPIC_RESOURCE, "a") == {"x": "1"}
    assert image.offset == 2
    assert delta == MetadataDelta(created_topics=(topic,))


def test_change_partitions_and_configs(image):
    new, delta = replay(image, partition(A, 2), topic_config("a", "retention.ms", None))
    assert len(new.topics["a"].partitions) == 3
    assert [(c.old, c.new) for c in delta.changed_topics] == [(image.topics["a"], new.topics["a"])]
    assert len(image.topics["a"].partitions) == 2
    assert delta.changed_configs == ((TOPIC_RESOURCE, "a"),)
    assert (TOPIC_RESOURCE, "a") not in new.configs
    assert image.config(TOPIC_RESOURCE, "a") == {"retention.ms": "5"}


def test_delete_topic_takes_its_configs(image):
    new, delta = replay(image, r.RemoveTopicRecord(topic_id=A))
    assert not new.topics
    assert not new.topics_by_id
    assert not new.configs
    assert delta == MetadataDelta(deleted_topics=(image.topics["a"],))
    assert image.topics["a"].topic_id == A


def test_delete_and_create_again_under_the_name(image):
    new, delta = replay(
        image,
        r.RemoveTopicRecord(topic_id=A),
        r.TopicRecord(name="a", topic_id=B),
        topic_config("a", "segment.ms", "7"),
        partition(B),
    )
    assert new.topics["a"].topic_id == B
    assert list(new.topics_by_id) == [B]
    assert new.config(TOPIC_RESOURCE, "a") == {"segment.ms": "7"}
    assert delta == MetadataDelta(created_topics=(new.topics["a"],), deleted_topics=(image.topics["a"],))


def test_create_and_delete_in_one_round_leaves_nothing(image):
    new, delta = replay(
        image, r.TopicRecord(name="b", topic_id=B), partition(B), r.RemoveTopicRecord(topic_id=B)
    )
    assert list(new.topics) == ["a"]
    assert delta.empty


def test_partition_change_counts_epochs(image):
    new, _ = replay(
        image,
        r.PartitionChangeRecord(partition_id=0, topic_id=A, isr=[], leader=-1, last_known_elr=[1]),
        r.PartitionChangeRecord(partition_id=0, topic_id=A, eligible_leader_replicas=[1]),
        r.PartitionChangeRecord(partition_id=1, topic_id=A, leader=1),
    )
    first, second = new.topics["a"].partitions
    assert (first.isr, first.leader, first.leader_epoch, first.partition_epoch) == ((), -1, 1, 2)
    assert (first.eligible_leader_replicas, first.last_known_elr) == ((1,), (1,))
    assert (second.leader, second.leader_epoch, second.partition_epoch) == (1, 1, 1)
    for record in (r.ClearElrRecord(topic_name="a"), r.ClearElrRecord()):
        cleared, _ = replay(new, record)
        partition = cleared.topics["a"].partitions[0]
        assert (partition.eligible_leader_replicas, partition.last_known_elr) == ((), ())
        assert cleared.topics["a"].partitions[1] == second
    untouched, delta = replay(cleared, r.ClearElrRecord())
    assert delta.empty
    assert untouched.topics["a"] is cleared.topics["a"]


def test_brokers():
    register = r.RegisterBrokerRecord(
        broker_id=1,
        broker_epoch=5,
        incarnation_id=A,
        end_points=[r.BrokerEndpoint(name="P", host="h", port=1)],
    )
    image, delta = replay(empty_image("c"), register)
    assert delta.brokers_changed
    assert image.brokers[1].fenced
    for fenced, expected in ((-1, False), (0, False), (1, True)):
        record = r.BrokerRegistrationChangeRecord(broker_id=1, broker_epoch=5, fenced=fenced)
        image, _ = replay(image, record)
        assert image.brokers[1].fenced is expected
    image, _ = replay(image, r.UnfenceBrokerRecord(id=1, epoch=5))
    assert not image.brokers[1].fenced
    image, _ = replay(image, r.FenceBrokerRecord(id=1, epoch=5))
    assert image.brokers[1].fenced
    stale = r.BrokerRegistrationChangeRecord(broker_id=1, broker_epoch=4, fenced=-1)
    with pytest.raises(CorruptionError):
        replay(image, stale)
    image, _ = replay(image, r.UnregisterBrokerRecord(broker_id=1, broker_epoch=5))
    assert not image.brokers


def test_features_producer_ids_and_noop():
    image, delta = replay(
        empty_image("c"),
        r.FeatureLevelRecord(name="metadata.version", feature_level=30),
        r.FeatureLevelRecord(name="x", feature_level=1),
        r.FeatureLevelRecord(name="x", feature_level=0),
        r.KRaftVersionRecord(k_raft_version=1),
        r.ProducerIdsRecord(next_producer_id=1000),
        r.NoOpRecord(),
    )
    assert image.features == {"metadata.version": 30, "kraft.version": 1}
    assert image.next_producer_id == 1000
    assert delta.features_changed
    with pytest.raises(CorruptionError):
        replay(image, r.ProducerIdsRecord(next_producer_id=0))


@pytest.mark.parametrize(
    "record",
    [
        r.PartitionRecord(partition_id=0, topic_id=B),
        r.PartitionChangeRecord(partition_id=9, topic_id=A),
        r.RemoveTopicRecord(topic_id=B),
        r.PartitionRecord(partition_id=-1, topic_id=A),
    ],
    ids=lambda record: type(record).__name__,
)
def test_what_cannot_be_honoured_is_refused(image, record):
    with pytest.raises(CorruptionError):
        replay(image, record)


def test_what_has_no_use_here_is_carried_along(image):
    kept = [
        r.AccessControlEntryRecord(id=A, principal="User:a"),
        r.ClientQuotaRecord(key="producer_byte_rate", value=5.0),
        r.UserScramCredentialRecord(name="u", salt=b"s", stored_key=b"k", server_key=b"k"),
        r.RemoveAccessControlEntryRecord(id=A),
        r.DelegationTokenRecord(token_id="t"),
        r.RemoveDelegationTokenRecord(token_id="t"),
        r.RemoveUserScramCredentialRecord(name="u"),
    ]
    image, _ = replay(image, *kept[:3])
    image, _ = replay(image, *kept[3:])
    assert list(image.carried) == kept
    again, _ = replay(empty_image("c"), *image_records(ImageContent(image)))
    assert list(again.carried) == kept


def test_a_gap_in_the_partitions_is_refused():
    with pytest.raises(CorruptionError):
        replay(empty_image("c"), r.TopicRecord(name="a", topic_id=A), partition(A, 1))


def test_image_to_records_and_back(image):
    image, _ = replay(
        image,
        r.FeatureLevelRecord(name="eligible.leader.replicas.version", feature_level=1),
        r.FeatureLevelRecord(name="metadata.version", feature_level=30),
        r.RegisterControllerRecord(controller_id=1, incarnation_id=A),
        r.RegisterBrokerRecord(broker_id=1, broker_epoch=5, rack=None, log_dirs=[A], fenced=False),
        r.BrokerRegistrationChangeRecord(broker_id=1, broker_epoch=5, cordoned_log_dirs=[]),
        r.PartitionChangeRecord(partition_id=0, topic_id=A, isr=[], leader=-1, last_known_elr=[1]),
        r.ConfigRecord(
            resource_type=BROKER_RESOURCE, resource_name="", name="min.insync.replicas", value="1"
        ),
        r.ProducerIdsRecord(next_producer_id=2000),
    )
    records = list(image_records(ImageContent(image)))
    assert records[0] == r.FeatureLevelRecord(name="metadata.version", feature_level=30)
    encoded = [r.encode_record(record, write_version(record)) for record in records]
    again = ImageBuilder(empty_image("c"))
    for value in encoded:
        again.replay(r.decode_record(value))
    assert again.build(image.offset, image.epoch)[0] == image


def test_versions_written():
    change = r.BrokerRegistrationChangeRecord
    assert write_version(change(fenced=-1)) == 0
    assert write_version(change(in_controlled_shutdown=1)) == 1
    assert write_version(change(log_dirs=[A])) == 2
    assert write_version(change(cordoned_log_dirs=[])) == 3
    assert write_version(r.PartitionRecord()) == 2
    assert write_version(r.RegisterBrokerRecord()) == 4
