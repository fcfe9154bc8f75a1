"""What the tests of the controller share: a controller on a log in memory, and short ways to ask it."""

from __future__ import annotations

import random
from pathlib import Path

from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.effects import BlockingCall
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.common.timers import TimerQueue
from pybroker.controller import Controller, ControllerSettings
from pybroker.controller.quorum import MetadataQuorum, QuorumOptions
from pybroker.metadata.features import SUPPORTED_FEATURES
from pybroker.metadata.image import EndpointImage
from pybroker.raft.log import MemoryRaftLog
from pybroker.wire.messages import alter_configs as full
from pybroker.wire.messages import incremental_alter_configs as incremental
from pybroker.wire.messages.broker_registration import BrokerRegistrationRequest, Feature, Listener
from pybroker.wire.messages.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from pybroker.wire.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from pybroker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState

CLUSTER = "AAECAwQFBgcICQoLDA0ODw"
DIRECTORY_ID = b"directory-id-16b"
METADATA_DIR = "/data/__cluster_metadata-0"
DATA = Path(__file__).parent / "data"
ZERO = bytes(16)
SET, DELETE, APPEND, SUBTRACT = range(4)


def registration(**fields):
    values = {
        "broker_id": 1,
        "cluster_id": CLUSTER,
        "incarnation_id": b"incarnation-id-1",
        "listeners": [Listener(name="PLAINTEXT", host="localhost", port=9092)],
        "features": [
            Feature(name=name, min_supported_version=low, max_supported_version=high)
            for name, (low, high) in SUPPORTED_FEATURES.items()
        ],
        "rack": None,
        "log_dirs": [DIRECTORY_ID],
        **fields,
    }
    return BrokerRegistrationRequest(**values)


def quorum_options(config, **fields):
    values = {
        "node_id": 1,
        "cluster_id": CLUSTER,
        "directory_id": DIRECTORY_ID,
        "endpoints": (("CONTROLLER", "localhost", 9093),),
        "standalone": True,
        "snapshot_bytes": config["metadata.log.max.record.bytes.between.snapshots"],
        "snapshot_interval_ms": config["metadata.log.max.snapshot.interval.ms"],
        **fields,
    }
    return QuorumOptions(**values)


class Harness:
    """A started controller of a quorum of one. Flushes are done at once unless `inline=False`; other blocking
    work is left to the test, in `effects`."""

    def __init__(
        self,
        *,
        log=None,
        files=None,
        properties=None,
        inline=True,
        start=True,
        seed=1,
        register=True,
        previous_epoch=-1,
        options=None,
    ):
        self.seed = seed
        self.files = files or MemoryFileSystem()
        self.files.make_dirs(METADATA_DIR)
        self.log = log or MemoryRaftLog(directory=METADATA_DIR)
        self.clock = ManualClock()
        self.timers = TimerQueue()
        self.effects = []
        config = BrokerConfig.from_properties(properties or {})
        rng = random.Random(seed)
        self.quorum = MetadataQuorum(
            quorum_options(config, **(options or {})),
            files=self.files,
            log=self.log,
            clock=self.clock,
            rng=rng,
            timers=self.timers,
            run_blocking=lambda *call: self.effects.append(BlockingCall(*call)),
        )
        self.controller = Controller(
            ControllerSettings((EndpointImage("CONTROLLER", "localhost", 9093, 0),)),
            quorum=self.quorum,
            files=self.files,
            rng=rng,
            config=config,
        )
        self.published = []
        self.quorum.on_image(lambda image, delta: self.published.append((image, delta)))
        if start:
            self.start(previous_epoch, register=register)
            self.log.inline = inline

    def start(self, previous_epoch=-1, *, register=True):
        """As a broker starts: the quorum leads, the broker registers, all of it is synced."""
        self.quorum.start()
        if register:
            self.controller.register_own_broker(registration(previous_broker_epoch=previous_epoch))
        self.quorum.flush()

    def take_effect(self):
        return self.effects.pop(0) if self.effects else None

    @property
    def image(self):
        return self.controller.image

    def restart(self, data=None, **options):
        """A new controller on the same files and on what the log holds, or on `data`.

        Its ids are drawn from another seed: no topic ever gets the id of an earlier one.
        """
        log = MemoryRaftLog(bytes(self.log.data) if data is None else data, directory=METADATA_DIR)
        return Harness(log=log, files=self.files, **{"seed": self.seed + 1, **options})

    def create_raw(self, *topics, version=7, timeout=5000, validate_only=False):
        request = CreateTopicsRequest(topics=list(topics), timeout=timeout, validate_only=validate_only)
        return self.controller.create_topics(request, version)

    def create(self, *topics, **options):
        """[(name, error code, message)] of a CreateTopics."""
        answers = self.create_raw(*topics, **options).value.topics
        return [(t.name, t.error_code, t.error_message) for t in answers]

    def create_partitions(self, *topics, timeout=5000, validate_only=False):
        request = CreatePartitionsRequest(
            topics=[
                CreatePartitionsTopic(
                    name=name,
                    count=count,
                    assignments=None
                    if lists is None
                    else [CreatePartitionsAssignment(broker_ids=list(ids)) for ids in lists],
                )
                for name, count, lists in topics
            ],
            timeout=timeout,
            validate_only=validate_only,
        )
        answers = self.controller.create_partitions(request).value.results
        return [(t.name, t.error_code, t.error_message) for t in answers]

    def delete(self, *topics, timeout=5000, version=6):
        """Each topic is a name, an id, or a pair of both."""
        entries = []
        for entry in topics:
            name, topic_id = entry if isinstance(entry, tuple) else (entry, ZERO)
            if isinstance(name, bytes):
                name, topic_id = None, name
            entries.append((name, topic_id))
        if version < 6:
            request = DeleteTopicsRequest(topic_names=[name for name, _ in entries], timeout=timeout)
        else:
            request = DeleteTopicsRequest(
                topics=[DeleteTopicState(name=name, topic_id=topic_id) for name, topic_id in entries],
                timeout=timeout,
            )
        answers = self.controller.delete_topics(request, version).value.responses
        return [(t.name, t.topic_id, t.error_code, t.error_message) for t in answers]

    def alter(self, *resources, validate_only=False):
        """[(error code, message)] for resources of (type, name, [(key, operation, value)])."""
        request = incremental.IncrementalAlterConfigsRequest(
            resources=[
                incremental.AlterConfigsResource(
                    resource_type=kind,
                    resource_name=name,
                    configs=[
                        incremental.AlterableConfig(name=key, config_operation=operation, value=value)
                        for key, operation, value in entries
                    ],
                )
                for kind, name, entries in resources
            ],
            validate_only=validate_only,
        )
        answers = self.controller.incremental_alter_configs(request).value.responses
        assert [(a.resource_type, a.resource_name) for a in answers] == [
            (kind, name) for kind, name, _ in resources
        ]
        return [(a.error_code, a.error_message) for a in answers]

    def replace(self, *resources, validate_only=False):
        """[(error code, message)] of an AlterConfigs of (type, name, [(key, value)])."""
        request = full.AlterConfigsRequest(
            resources=[
                full.AlterConfigsResource(
                    resource_type=kind,
                    resource_name=name,
                    configs=[full.AlterableConfig(name=key, value=value) for key, value in entries],
                )
                for kind, name, entries in resources
            ],
            validate_only=validate_only,
        )
        answers = self.controller.alter_configs(request).value.responses
        assert [(a.resource_type, a.resource_name) for a in answers] == [
            (kind, name) for kind, name, _ in resources
        ]
        return [(a.error_code, a.error_message) for a in answers]


def topic(name, partitions=1, replication_factor=1, assignments=(), configs=()):
    return CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=replication_factor,
        assignments=[
            CreatableReplicaAssignment(partition_index=index, broker_ids=list(ids))
            for index, ids in assignments
        ],
        configs=[CreatableTopicConfig(name=key, value=value) for key, value in configs],
    )


def state(image):
    """What an image means, apart from where in the log it is."""
    return image._replace(offset=0, epoch=0, controllers={}, brokers={})
