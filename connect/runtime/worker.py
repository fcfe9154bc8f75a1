"""What runs on this worker: connectors and tasks, their clients, converters and transforms.

In: configurations (secrets still as references) and target states. Out: running threads, and states in the
status store. What must hold: a configuration that cannot be used makes its connector or task FAILED with
the reason, and nothing else; everything here may block and is called from threads, never from the event
loop.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from connect.api import sink as sink_api
from connect.api.config_def import ConfigValue, Type, parse_type
from connect.api.connector import Connector, Task
from connect.api.converter import Converter, HeaderConverter
from connect.api.errors import ConfigError, ConnectError
from connect.api.sink import SinkConnector, SinkTask
from connect.api.source import SourceConnector, SourceTask
from connect.core import connector_config as cc
from connect.core import status as states
from connect.core.config_state import TaskId
from connect.core.error_policy import ErrorPolicy, trace_text
from connect.core.metrics import Sample, WorkerMetrics
from connect.core.offsets import SourcePartition
from connect.core.pipeline import SinkPipeline, SourcePipeline, TransformStage
from connect.core.policies import ConfigTransformer, override_policy
from connect.core.registry import (
    CONVERTER,
    HEADER_CONVERTER,
    PREDICATE,
    TRANSFORMATION,
    PluginRegistry,
    class_name,
)
from connect.core.status import Status
from connect.core.worker_config import WorkerConfig
from connect.runtime.clients import (
    client_props,
    make_admin,
    make_consumer,
    make_producer,
    worker_client_props,
)
from connect.runtime.connector_thread import ConnectorThread
from connect.runtime.sink_task import (
    DeadLetterTopic,
    SinkSettings,
    SinkWorkerTask,
    create_dead_letter_topic,
)
from connect.runtime.source_task import (
    ExactlyOnceSourceTask,
    SourceSettings,
    SourceWorkerTask,
    StoredOffsets,
    TopicCreator,
    TransactionSettings,
)
from connect.runtime.stores import KafkaOffsetStore, OffsetStore, StatusStore
from connect.runtime.tasks import WorkerTask

log = logging.getLogger(__name__)

_SERVE_EVERY_S: Final = 0.05
_BLOCKED_S: Final = 5.0


class Worker:
    def __init__(
        self,
        config: WorkerConfig,
        worker_id: str,
        plugins: PluginRegistry,
        transformer: ConfigTransformer,
        status: StatusStore,
        offsets: OffsetStore,
        generation: Callable[[], int],
        current_config: Callable[[TaskId], dict[str, str]],
        reconfigure: Callable[[str], None],
    ) -> None:
        self.config = config
        self.worker_id = worker_id
        self.plugins = plugins
        self.transformer = transformer
        self.status = status
        self.offsets = offsets
        self.metrics = WorkerMetrics()
        self.policy = override_policy(
            config["connector.client.config.override.policy"],
            config["connector.client.config.override.allowlist"],
        )
        self._generation = generation
        self._current_config = current_config
        self._reconfigure = reconfigure
        self._lock = threading.RLock()
        self.connectors: dict[str, ConnectorThread] = {}
        self.tasks: dict[TaskId, WorkerTask] = {}
        self._own_offset_stores: dict[str, KafkaOffsetStore] = {}
        self._closing = threading.Event()
        self._ended = False
        self._server = threading.Thread(target=self._serve, name="source-offset-committer", daemon=True)
        self._server.start()

    # Connectors.

    def start_connector(self, name: str, raw: Mapping[str, str], target: str) -> Future[None]:
        """Begins to start a connector; the future is done when it runs (or is paused), and fails when it does
        not."""
        try:
            config = self.transformer.transform(raw)
            cls = self.plugins.connector_class(
                config.get(cc.CONNECTOR_CLASS) or "", config.get(cc.CONNECTOR_VERSION)
            )
            connector = cls()
            if isinstance(connector, SourceConnector):
                self._parse(config, True)
                if self.config["topic.creation.enable"]:
                    cc.topic_creation_groups(config)  # Bad ones are found before any task starts.
                offsets = StoredOffsets(self.offset_store_of(name, config), name)
            else:
                self._parse(config, False)
                offsets = None
            thread = ConnectorThread(name, connector, config, self, self._reconfigure, offsets)
        except Exception as error:
            log.error("Connector %s cannot be started", name, exc_info=error)
            self.metrics.attempt("connector", False)
            self._put_connector(name, states.FAILED, error, None)
            failed: Future[None] = Future()
            failed.set_exception(error)
            return failed
        with self._lock:
            if self._closing.is_set():
                thread.cancel()
            else:
                self.connectors[name] = thread
        future = thread.transition_to(target)
        future.add_done_callback(lambda done: self.metrics.attempt("connector", done.exception() is None))
        return future

    def _parse(self, config: Mapping[str, str], is_source: bool) -> dict[str, Any]:
        definition = cc.common_config(self.plugins)
        definition = cc.add_source_keys(definition) if is_source else cc.add_sink_keys(definition)
        return cc.add_chain_keys(definition, self.plugins, config, strict=True).parse(config)

    def stop_connectors(self, names: Iterable[str]) -> None:
        """Stops connectors, and gives up on those that do not stop in time."""
        stopping = []
        with self._lock:
            for name in names:
                thread = self.connectors.pop(name, None)
                if thread is not None:
                    stopping.append((thread, thread.shutdown()))
                else:
                    self._give_up_failed_connector(name)
        deadline = time.monotonic() + _BLOCKED_S
        for thread, future in stopping:
            try:
                future.result(max(0.0, deadline - time.monotonic()))
            except FutureTimeoutError:
                log.error("Connector %s did not stop in %s s and is cancelled", thread.name, _BLOCKED_S)
                thread.cancel()
                self._put_connector(thread.name, states.UNASSIGNED, None, thread.version)

    def _give_up_failed_connector(self, name: str) -> None:
        """One that never came to run has no thread, but its status must not stay FAILED for ever."""
        self._put_connector(name, states.UNASSIGNED, None, None)

    def connector_task_configs(self, name: str) -> Future[list[dict[str, str]]]:
        thread = self.connectors.get(name)
        if thread is None:
            raise ConnectError(f"Connector {name} not found in this worker.")
        config = self._parse(thread.config, isinstance(thread.connector, SourceConnector))
        return thread.task_configs(config[cc.TASKS_MAX], config["tasks.max.enforce"])

    def set_target_state(self, name: str, target: str) -> Future[None] | None:
        for task in self.tasks_of(name):
            task.transition_to(target)
        thread = self.connectors.get(name)
        return thread.transition_to(target) if thread is not None else None

    def is_running(self, name: str) -> bool:
        thread = self.connectors.get(name)
        return thread is not None and thread.running

    def on_connector_state(self, name: str, state: str, error: BaseException | None) -> None:
        thread = self.connectors.get(name)
        self._put_connector(name, state, error, thread.version if thread is not None else None)

    def _put_connector(self, name: str, state: str, error: BaseException | None, version: str | None) -> None:
        if self._ended:
            return
        trace = trace_text(error) if error is not None else None
        status = Status(state, self.worker_id, self._generation(), trace, version)
        self.status.put_connector(name, status, safe=state == states.UNASSIGNED)

    # Tasks.

    def tasks_of(self, name: str) -> list[WorkerTask]:
        with self._lock:
            return [task for task_id, task in self.tasks.items() if task_id.connector == name]

    def start_task(
        self,
        task_id: TaskId,
        raw_connector: Mapping[str, str],
        raw_task: Mapping[str, str],
        target: str,
        prepare: Callable[[], None] | None = None,
        too_many: str | None = None,
    ) -> bool:
        """False when the task could not even be made; it is FAILED then. `prepare` fences older instances off
        (exactly-once)."""
        version = None
        try:
            if too_many is not None:
                raise ConnectError(too_many)
            config = self.transformer.transform(raw_connector)
            task_config = self.transformer.transform(raw_task)
            connector_class = self.plugins.connector_class(
                config.get(cc.CONNECTOR_CLASS) or "", config.get(cc.CONNECTOR_VERSION)
            )
            is_source = issubclass(connector_class, SourceConnector)
            parsed = self._parse(config, is_source)
            task = _make_task(connector_class)
            version = task.version
            if is_source:
                assert isinstance(task, SourceTask)
                thread = self._source_task(task_id, task, config, task_config, parsed, target, prepare)
            else:
                assert isinstance(task, SinkTask)
                thread = self._sink_task(task_id, task, config, task_config, parsed, target)
        except Exception as error:
            log.error("Task %s cannot be started", task_id, exc_info=error)
            self.metrics.attempt("task", False)
            self._put_task(task_id, states.FAILED, error, version)
            return False
        with self._lock:
            if self._closing.is_set():  # The worker did not wait for this call.
                return False
            self.tasks[task_id] = thread
            thread.start()
        return True

    def _errors(self, parsed: Mapping[str, Any]) -> ErrorPolicy:
        return ErrorPolicy.of(parsed)

    def _source_task(
        self,
        task_id: TaskId,
        task: SourceTask,
        config: Mapping[str, str],
        task_config: dict[str, str],
        parsed: Mapping[str, Any],
        target: str,
        prepare: Callable[[], None] | None,
    ) -> WorkerTask:
        exactly_once = self.config.exactly_once_source
        defaults: dict[str, Any] = {
            "acks": "all",
            "enable.idempotence": "false",
            "max.in.flight.requests.per.connection": "1",
            "delivery.timeout.ms": "2147483647",
            "client.id": f"connector-producer-{task_id}",
        }
        overrides = self._overrides("producer", config)
        props = client_props(self.config.strings, "producer", overrides, defaults)
        if exactly_once:
            props["enable.idempotence"] = "true"
            props["transactional.id"] = overrides.get(
                "transactional.id", transactional_id(self.config["group.id"], task_id)
            )
        groups = cc.topic_creation_groups(config) if self.config["topic.creation.enable"] else []
        admin = self.connector_admin(config, f"connector-adminclient-{task_id}") if groups else None
        store = self.offset_store_of(task_id.connector, config)
        settings = SourceSettings(
            task_config,
            None,  # type: ignore[arg-type]  # Made below, because it needs the task's error handler.
            lambda: make_producer(props),
            TopicCreator(admin, groups),
            store,
            self.config["offset.flush.interval.ms"],
            self.config["offset.flush.timeout.ms"],
            self.config["topic.tracking.enable"],
            self.status,
            lambda: self.transformer.transform(self._current_config(task_id)),
        )
        policy = self._errors(parsed)
        name = class_name(type(task))
        if exactly_once:
            interval = parsed["transaction.boundary.interval.ms"]
            transactions = TransactionSettings(
                parsed["transaction.boundary"].lower(),
                self.config["offset.flush.interval.ms"] if interval is None else interval,
                store.topic if isinstance(store, KafkaOffsetStore) else "",
                prepare or (lambda: None),
            )
            thread: SourceWorkerTask = ExactlyOnceSourceTask(
                task_id, task, name, policy, target, self, settings, transactions
            )
        else:
            thread = SourceWorkerTask(task_id, task, name, policy, target, self, settings)
        converters = self._converters(config)
        thread.settings = settings._replace(
            pipeline=SourcePipeline(self._stages(config, parsed), *converters, thread.errors)
        )
        return thread

    def _sink_task(
        self,
        task_id: TaskId,
        task: SinkTask,
        config: Mapping[str, str],
        task_config: dict[str, str],
        parsed: Mapping[str, Any],
        target: str,
    ) -> WorkerTask:
        values: dict[str, ConfigValue] = {key: ConfigValue(key) for key in ("topics", "topics.regex")}
        cc.validate_sink(task_config, values)
        for value in values.values():
            if value.error_messages:
                raise ConfigError(value.error_messages[0])
        defaults: dict[str, Any] = {
            "group.id": f"connect-{task_id.connector}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": "false",
            "client.id": f"connector-consumer-{task_id}",
            "partition.assignment.strategy": "range",
            "allow.auto.create.topics": "true",
            "metadata.max.age.ms": "300000",
        }
        props = client_props(self.config.strings, "consumer", self._overrides("consumer", config), defaults)
        dead_letters = parsed[cc.DEAD_LETTER_TOPIC]
        topics = parse_type("topics", task_config.get("topics"), Type.LIST) or []
        settings = SinkSettings(
            task_config,
            None,  # type: ignore[arg-type]  # Made below, because it needs the task's error handler.
            lambda: make_consumer(props),
            self._dead_letter_factory(task_id, config, parsed) if dead_letters else None,
            [topic for topic in topics if topic],
            task_config.get("topics.regex", ""),
            self.config["offset.flush.interval.ms"],
            int(props.get("max.poll.records", 500)),
            self.config["topic.tracking.enable"],
            self.status,
            lambda: self.transformer.transform(self._current_config(task_id)),
        )
        thread = SinkWorkerTask(
            task_id, task, class_name(type(task)), self._errors(parsed), target, self, settings
        )
        converters = self._converters(config)
        thread.settings = settings._replace(
            pipeline=SinkPipeline(self._stages(config, parsed), *converters, thread.errors)
        )
        return thread

    def _dead_letter_factory(
        self, task_id: TaskId, config: Mapping[str, str], parsed: Mapping[str, Any]
    ) -> Callable[[], DeadLetterTopic]:
        topic = parsed[cc.DEAD_LETTER_TOPIC]

        def make() -> DeadLetterTopic:
            admin = self.connector_admin(config, f"connector-adminclient-{task_id}")
            create_dead_letter_topic(admin, topic, parsed["errors.deadletterqueue.topic.replication.factor"])
            defaults = {
                "acks": "all",
                "enable.idempotence": "false",
                "max.in.flight.requests.per.connection": "1",
                "delivery.timeout.ms": "2147483647",
                "client.id": f"connector-dlq-producer-{task_id}",
            }
            overrides = self._overrides("producer", config)
            producer = make_producer(client_props(self.config.strings, "producer", overrides, defaults))
            headers = parsed["errors.deadletterqueue.context.headers.enable"]
            return DeadLetterTopic(topic, headers, task_id, producer)

        return make

    def _overrides(self, client: str, config: Mapping[str, str]) -> dict[str, str]:
        prefix = f"{client}.override."
        found = {key[len(prefix) :]: value for key, value in config.items() if key.startswith(prefix)}
        for value in self.policy(client, found):
            if value.error_messages:
                raise ConfigError(value.error_messages[0])
        return found

    def connector_admin(self, config: Mapping[str, str], client_id: str) -> AdminClient:
        defaults = {"client.id": client_id}
        overrides = self._overrides("admin", config)
        return make_admin(client_props(self.config.strings, "admin", overrides, defaults))

    def _converters(self, config: Mapping[str, str]) -> tuple[Converter, Converter, HeaderConverter]:
        key = self._converter("key.converter", config)
        value = self._converter("value.converter", config)
        header = self._converter("header.converter", config)
        assert isinstance(key, Converter)
        assert isinstance(value, Converter)
        assert isinstance(header, HeaderConverter)
        return key, value, header

    def _converter(self, key: str, config: Mapping[str, str]) -> Converter | HeaderConverter:
        kind = cc.CONVERTER_KEYS[key]
        assert kind in (CONVERTER, HEADER_CONVERTER)
        given: Mapping[str, str] = config if config.get(key) else self.config.strings
        name = given.get(key) or str(self.config[key])
        cls = self.plugins.find(kind, name)
        if cls is None:
            raise ConfigError(name=key, value=name, message=f"Class {name} could not be found.")
        self.plugins.require_version(cls, given.get(f"{key}.plugin.version"))
        prefix = key + "."
        settings = {
            name[len(prefix) :]: value
            for name, value in given.items()
            if name.startswith(prefix) and name != f"{key}.plugin.version"
        }
        settings["converter.type"] = key.partition(".")[0]
        converter: Converter | HeaderConverter = cls()
        converter.configure(settings, key == "key.converter")
        return converter

    def _stages(self, config: Mapping[str, str], parsed: Mapping[str, Any]) -> list[TransformStage]:
        def make(kind: str, chain: str, alias: str) -> Any:
            prefix = f"{chain}.{alias}."
            cls = self.plugins.find(kind, config[prefix + "type"])
            assert cls is not None
            self.plugins.require_version(cls, config.get(prefix + "plugin.version"))
            plugin = cls()
            plugin.configure({k[len(prefix) :]: v for k, v in config.items() if k.startswith(prefix)})
            return plugin

        stages = []
        for alias in parsed["transforms"]:
            predicate = None
            named = parsed.get(f"transforms.{alias}.predicate")
            if named:
                predicate = make(PREDICATE, "predicates", named)
            transformation = make(TRANSFORMATION, "transforms", alias)
            stages.append(
                TransformStage(transformation, predicate, bool(parsed.get(f"transforms.{alias}.negate")))
            )
        return stages

    def stop_tasks(self, task_ids: Iterable[TaskId]) -> None:
        """Stops tasks together, and gives up on those that do not stop in
        task.shutdown.graceful.timeout.ms."""
        stopping = []
        with self._lock:
            for task_id in task_ids:
                task = self.tasks.pop(task_id, None)
                if task is None or task.failed:
                    self._put_task(task_id, states.UNASSIGNED, None, task.version if task else None)
                if task is not None:
                    stopping.append(task)
        for task in stopping:
            task.request_stop()
        deadline = time.monotonic() + self.config["task.shutdown.graceful.timeout.ms"] / 1000
        for task in stopping:
            if not task.await_stop(deadline - time.monotonic()):
                log.error("Graceful stop of task %s failed.", task.id)
                task.cancel()
                self._put_task(task.id, states.UNASSIGNED, None, task.version)

    def _put_task(
        self, task_id: TaskId, state: str, error: BaseException | None, version: str | None
    ) -> None:
        if self._ended:
            return
        trace = trace_text(error) if error is not None else None
        status = Status(state, self.worker_id, self._generation(), trace, version)
        self.status.put_task(task_id, status, safe=state == states.UNASSIGNED)

    def _version_of(self, task_id: TaskId) -> str | None:
        task = self.tasks.get(task_id)
        return task.version if task is not None else None

    def on_startup(self, task: TaskId) -> None:
        self.metrics.attempt("task", True)
        self._put_task(task, states.RUNNING, None, self._version_of(task))

    def on_pause(self, task: TaskId) -> None:
        self._put_task(task, states.PAUSED, None, self._version_of(task))

    def on_resume(self, task: TaskId) -> None:
        self._put_task(task, states.RUNNING, None, self._version_of(task))

    def on_shutdown(self, task: TaskId) -> None:
        self._put_task(task, states.UNASSIGNED, None, self._version_of(task))

    def on_failure(self, task: TaskId, error: BaseException) -> None:
        known = self.tasks.get(task)
        if known is not None and not known.started_ok:
            self.metrics.attempt("task", False)
        self._put_task(task, states.FAILED, error, self._version_of(task))

    def mark_restarting(self, connectors: Iterable[str], tasks: Iterable[TaskId]) -> None:
        for name in connectors:
            self.status.put_connector(name, Status(states.RESTARTING, self.worker_id, self._generation()))
        for task_id in tasks:
            self.status.put_task(task_id, Status(states.RESTARTING, self.worker_id, self._generation()))

    def _serve(self) -> None:
        """Takes acknowledgements and stores offsets of source tasks whose own threads may be busy polling."""
        while not self._closing.wait(_SERVE_EVERY_S):
            with self._lock:
                tasks = [task for task in self.tasks.values() if isinstance(task, SourceWorkerTask)]
            for task in tasks:
                if not task.is_alive():
                    continue
                try:
                    task.serve()
                except Exception:
                    log.exception("Offsets of task %s could not be stored", task.id)

    def topics_were_reset(self, name: str) -> None:
        for task in self.tasks_of(name):
            if isinstance(task, SourceWorkerTask | SinkWorkerTask):
                task.topics_were_reset()

    # Offsets.

    def offset_store_of(self, name: str, config: Mapping[str, str]) -> OffsetStore:
        """The worker's store, or one on the connector's own topic."""
        topic = config.get("offsets.storage.topic")
        if not self.config.distributed or not topic or topic == self.config["offset.storage.topic"]:
            return self.offsets
        with self._lock:
            store = self._own_offset_stores.get(topic)
        if store is not None:
            return store
        admin = self.connector_admin(config, f"connector-worker-adminclient-{name}")
        base = {
            **worker_client_props(self.config.strings),
            **self._overrides("consumer", config),
            "client.id": f"connector-consumer-{name}",
            "group.id": f"connect-{name}",
        }
        if self.config.exactly_once_source:
            base["isolation.level"] = "read_committed"
        producer = client_props(
            self.config.strings,
            "producer",
            self._overrides("producer", config),
            {"acks": "all", "client.id": f"connector-offset-producer-{name}", "enable.idempotence": "false"},
        )
        store = KafkaOffsetStore(
            topic,
            admin,
            base,
            producer,
            (
                self.config["offset.storage.partitions"],
                self.config["offset.storage.replication.factor"],
                self.config.topic_settings("offset"),
            ),
        )
        store.start()
        with self._lock:
            return self._own_offset_stores.setdefault(topic, store)

    def connector_offsets(self, name: str, raw: Mapping[str, str]) -> list[dict[str, Any]]:
        """The body of GET offsets."""
        config = self.transformer.transform(raw)
        if self._is_sink(config):
            return [
                {
                    "partition": {"kafka_partition": p.partition, "kafka_topic": p.topic},
                    "offset": {"kafka_offset": offset},
                }
                for p, offset in sorted(self._group_offsets(name, config).items())
            ]
        return [
            {"partition": partition, "offset": offset}
            for partition, offset in self.offset_store_of(name, config).all(name)
        ]

    def _is_sink(self, config: Mapping[str, str]) -> bool:
        cls = self.plugins.connector_class(
            config.get(cc.CONNECTOR_CLASS) or "", config.get(cc.CONNECTOR_VERSION)
        )
        return issubclass(cls, SinkConnector)

    def _group_of(self, name: str, config: Mapping[str, str]) -> str:
        return self._overrides("consumer", config).get("group.id") or f"connect-{name}"

    def _group_offsets(self, name: str, config: Mapping[str, str]) -> dict[sink_api.TopicPartition, int]:
        admin = self.connector_admin(config, f"connector-worker-adminclient-{name}")
        group = self._group_of(name, config)
        try:
            futures = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
            listed = futures[group].result(30).topic_partitions or []
        except (KafkaException, FutureTimeoutError) as error:
            raise ConnectError(
                f"Failed to retrieve consumer group offsets for connector {name}: {error}"
            ) from (error)
        return {sink_api.TopicPartition(p.topic, p.partition): p.offset for p in listed if p.offset >= 0}

    def alter_source_offsets(
        self,
        name: str,
        raw: Mapping[str, str],
        offsets: list[tuple[dict[str, Any] | None, dict[str, Any] | None]] | None,
    ) -> bool:
        """Writes offsets, or with None resets all of them. True when the connector itself agreed."""
        config = self.transformer.transform(raw)
        store = self.offset_store_of(name, config)
        if offsets is None:
            offsets = [(partition, None) for partition, _ in store.all(name)]
        connector = self._connector(config)
        assert isinstance(connector, SourceConnector)
        wanted: dict[Any, dict[str, Any] | None] = {
            SourcePartition(partition or {}): offset for partition, offset in offsets
        }
        agreed = connector.alter_offsets(dict(config), wanted)
        last = {SourcePartition(partition or {}): (partition, offset) for partition, offset in offsets}
        if last:
            store.write_and_wait(name, list(last.values()))
            store.refresh()
        return agreed

    def alter_sink_offsets(
        self,
        name: str,
        raw: Mapping[str, str],
        offsets: dict[sink_api.TopicPartition, int | None] | None,
    ) -> bool:
        config = self.transformer.transform(raw)
        connector = self._connector(config)
        assert isinstance(connector, SinkConnector)
        admin = self.connector_admin(config, f"connector-worker-adminclient-{name}")
        group = self._group_of(name, config)
        known = self._group_offsets(name, config)
        if offsets is None:
            agreed = connector.alter_offsets(dict(config), dict.fromkeys(known))
            if known:
                self._delete_group(admin, group, name)
            return agreed
        agreed = connector.alter_offsets(dict(config), dict(offsets))
        kept = {p: o for p, o in offsets.items() if o is not None}
        removed = [p for p, o in offsets.items() if o is None and p in known]
        try:
            if kept:
                specs = {TopicPartition(p.topic, p.partition): OffsetSpec.earliest() for p in kept}
                found = admin.list_offsets(specs, isolation_level=IsolationLevel.READ_UNCOMMITTED)
                for future in found.values():
                    future.result(30)
                partitions = [TopicPartition(p.topic, p.partition, o) for p, o in kept.items()]
                self._alter_group(admin, group, partitions)
            if removed:
                # Dropping single partitions has no counterpart in the client: the others are written again.
                rest = {p: o for p, o in {**known, **kept}.items() if p not in removed}
                self._delete_group(admin, group, name)
                if rest:
                    partitions = [TopicPartition(p.topic, p.partition, o) for p, o in rest.items()]
                    self._alter_group(admin, group, partitions)
        except (KafkaException, FutureTimeoutError, ValueError) as error:
            raise ConnectError(
                f"Failed to alter consumer group offsets for connector {name}: {error}"
            ) from error
        return agreed

    @staticmethod
    def _alter_group(admin: AdminClient, group: str, partitions: list[TopicPartition]) -> None:
        wanted = [ConsumerGroupTopicPartitions(group, partitions)]
        result = admin.alter_consumer_group_offsets(wanted)[group].result(30)
        for partition in result.topic_partitions or []:
            if partition.error is not None:
                raise KafkaException(partition.error)

    @staticmethod
    def _delete_group(admin: AdminClient, group: str, name: str) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                admin.delete_consumer_groups([group])[group].result(30)
                return
            except KafkaException as error:
                code = error.args[0].name()
                if code == "GROUP_ID_NOT_FOUND":
                    return
                if code != "NON_EMPTY_GROUP" or time.monotonic() > deadline:
                    raise ConnectError(
                        f"Failed to reset consumer group offsets for connector {name}: {error}. If the "
                        "connector is in a stopped state, this operation can be safely retried."
                    ) from error
                time.sleep(0.2)

    def _connector(self, config: Mapping[str, str]) -> Connector:
        cls = self.plugins.connector_class(
            config.get(cc.CONNECTOR_CLASS) or "", config.get(cc.CONNECTOR_VERSION)
        )
        return cls()

    # The end.

    def stop(self) -> None:
        """Afterwards nothing is said any more by calls that are still under way: others take over."""
        with self._lock:
            self._closing.set()
        self.stop_tasks(list(self.tasks))
        self.stop_connectors(list(self.connectors))
        self._ended = True
        for store in self._own_offset_stores.values():
            with contextlib.suppress(Exception):
                store.stop()

    def samples(self) -> list[Sample]:
        """All figures of this worker."""
        found: list[Sample] = [(g, n, {}, v) for (g, n), v in self.metrics.samples().items()]
        with self._lock:
            connectors, tasks = dict(self.connectors), dict(self.tasks)
        group = "connect-worker-metrics"
        found.append((group, "connector-count", {}, len(connectors)))
        found.append((group, "task-count", {}, len(tasks)))
        for name, thread in connectors.items():
            status = self.status.connector(name)
            labels = {
                "connector": name,
                "connector_class": class_name(type(thread.connector)),
                "connector_version": thread.version,
                "connector_type": "source" if isinstance(thread.connector, SourceConnector) else "sink",
                "status": status.state.lower() if status else "unassigned",
            }
            found.append(("connector-metrics", "status", labels, 1))
            counts: dict[str, int] = dict.fromkeys(
                ("running", "paused", "failed", "unassigned", "destroyed", "restarting"), 0
            )
            mine = [task_id for task_id in tasks if task_id.connector == name]
            for task_id in mine:
                task_status = self.status.task(task_id)
                state = task_status.state.lower() if task_status else "unassigned"
                counts[state] = counts.get(state, 0) + 1
            label = {"connector": name}
            found.append((group, "connector-total-task-count", label, len(mine)))
            found += [(group, f"connector-{state}-task-count", label, n) for state, n in counts.items()]
        for task_id, task in tasks.items():
            label = {"connector": task_id.connector, "task": str(task_id.task)}
            task_status = self.status.task(task_id)
            info = {
                **label,
                "task_class": task.class_name,
                "task_version": task.version,
                "status": task_status.state.lower() if task_status else "unassigned",
            }
            if isinstance(task, SourceWorkerTask | SinkWorkerTask):
                plugins = task.settings.pipeline.plugins()
                for kind in ("key", "value", "header"):
                    converter = getattr(plugins, kind)
                    info[f"{kind}_converter_class"] = class_name(type(converter))
                    info[f"{kind}_converter_version"] = str(converter.version)
                for number, stage in enumerate(plugins.stages):
                    names = {
                        **label,
                        "position": str(number),
                        "class": class_name(type(stage.transformation)),
                    }
                    names["version"] = str(stage.transformation.version)
                    found.append(("connector-transform-metrics", "transform-class", names, 1))
                    if stage.predicate is not None:
                        names = {**names, "class": class_name(type(stage.predicate))}
                        names["version"] = str(stage.predicate.version)
                        found.append(("connector-predicate-metrics", "predicate-class", names, 1))
            found.append(("connector-task-metrics", "status", info, 1))
            samples = task.metrics.samples(task.is_source, self.config.exactly_once_source)
            found += [(g, n, label, v) for (g, n), v in samples.items()]
            errors = task.errors.metrics
            named = {
                "total-record-failures": errors.record_failures,
                "total-record-errors": errors.record_errors,
                "total-records-skipped": errors.records_skipped,
                "total-retries": errors.retries,
                "total-errors-logged": errors.errors_logged,
                "deadletterqueue-produce-requests": errors.dead_letter_requests,
                "deadletterqueue-produce-failures": errors.dead_letter_failures,
                "last-error-timestamp": errors.last_error_ms,
            }
            found += [("task-error-metrics", n, label, v) for n, v in named.items()]
        return found


def transactional_id(group: str, task_id: TaskId) -> str:
    return f"{group}-{task_id.connector}-{task_id.task}"


def _make_task(connector_class: type[Connector]) -> Task:
    connector = connector_class()
    return connector.task_class()()
