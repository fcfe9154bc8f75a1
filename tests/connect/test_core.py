"""The synchronous core: assignment, group protocol, state of the config topic, plans, errors, signatures."""

from __future__ import annotations

import base64
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect.api.config_def import ConfigValue
from connect.api.errors import ConfigError, ConnectError, RetriableError
from connect.core import config_state as cs
from connect.core import protocol, signatures
from connect.core import status as states
from connect.core.assignment import IncrementalAssignor, Load, assign_eagerly
from connect.core.config_state import ConfigState, SessionKey, TaskId
from connect.core.error_policy import TASK_PUT, TRANSFORMATION, ErrorHandler, ErrorPolicy, ProcessingContext
from connect.core.herder import Running, make_plan, restart_plan
from connect.core.policies import AllowedPaths, ConfigTransformer, EnvVarConfigProvider, override_policy
from connect.core.protocol import Assignment, Subscription
from connect.core.status import Status, StatusTable
from connect.core.submitted_records import SubmittedRecords

# Assignment.


class Cluster:
    """Workers that do what the assignor says, at once or a round later."""

    def __init__(self, max_delay_ms: int) -> None:
        self.now = 1000
        self.assignor = IncrementalAssignor(max_delay_ms, lambda: self.now)
        self.running: dict[str, Load] = {}
        self.generation = 0

    def round(self, configured: Load) -> bool:
        """One rebalance; whether another one is needed at once."""
        self.generation += 1
        before = {member: load.copy() for member, load in self.running.items()}
        decision = self.assignor.assign(before, configured, self.generation - 1, self.generation)
        revoked = False
        for member, load in self.running.items():
            gone = decision.revoked.get(member, Load())
            revoked = revoked or bool(gone)
            kept = load.minus(gone)
            kept.add(decision.assigned[member])
            self.running[member] = kept
        # At no time does one thing run twice.
        everything = [item for load in self.running.values() for item in (*load.connectors, *load.tasks)]
        assert len(everything) == len(set(everything))
        return revoked

    def settle(self, configured: Load) -> None:
        for _ in range(60):
            if not self.round(configured):
                if self.assignor.delay_ms == 0:
                    return
                self.now += self.assignor.delay_ms
        raise AssertionError("the group does not settle")

    def check(self, configured: Load) -> None:
        assert sorted(n for load in self.running.values() for n in load.connectors) == sorted(
            configured.connectors
        )
        assert sorted(t for load in self.running.values() for t in load.tasks) == sorted(configured.tasks)
        for sizes in (
            [len(load.connectors) for load in self.running.values()],
            [len(load.tasks) for load in self.running.values()],
        ):
            assert max(sizes) - min(sizes) <= 1


def configuration(tasks: list[int]) -> Load:
    names = [f"c{n}" for n in range(len(tasks))]
    return Load(
        names, [TaskId(name, n) for name, count in zip(names, tasks, strict=True) for n in range(count)]
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("join"), st.integers(0, 5)),
            st.tuples(st.just("leave"), st.integers(0, 5)),
            st.tuples(st.just("tasks"), st.lists(st.integers(0, 5), min_size=1, max_size=5)),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([0, 5000]),
)
def test_nothing_twice_nothing_lost_even_shares(steps: list[tuple[str, Any]], max_delay_ms: int) -> None:
    cluster = Cluster(max_delay_ms)
    cluster.running["w"] = Load()
    configured = configuration([2, 3])
    for what, value in steps:
        if what == "join":
            cluster.running.setdefault(f"w{value}", Load())
        elif what == "leave":
            cluster.running.pop(f"w{value}", None)
        else:
            configured = configuration(value)
        cluster.settle(configured)
        cluster.check(configured)


def test_a_departed_workers_share_waits_for_it() -> None:
    cluster = Cluster(5000)
    cluster.running = {"a": Load(), "b": Load()}
    configured = configuration([2, 2])
    cluster.settle(configured)
    share = cluster.running.pop("b")
    kept = cluster.running["a"].copy()
    cluster.round(configured)
    assert (cluster.assignor.delay_ms, cluster.running["a"]) == (5000, kept)
    # It comes back within the delay, under another name, and gets what it had.
    cluster.now += 2000
    cluster.running["b2"] = Load()
    cluster.round(configured)
    assert (cluster.assignor.delay_ms, cluster.running["a"]) == (3000, kept)
    cluster.now += 3000
    cluster.round(configured)
    assert sorted(cluster.running["b2"].tasks) == sorted(share.tasks)
    assert cluster.running["a"] == kept


def test_eager() -> None:
    loads = assign_eagerly(["b", "a", "c"], configuration([2, 2]))
    assert sorted(t for load in loads.values() for t in load.tasks) == sorted(configuration([2, 2]).tasks)
    sizes = [len(load.connectors) + len(load.tasks) for load in loads.values()]
    assert max(sizes) - min(sizes) <= 1


# Protocol.


def test_golden_bytes() -> None:
    current = Assignment("leader", "http://l/", 7, ("c",), (TaskId("c", 0), TaskId("d", 1)), ("e",), (), 300)
    encoded = protocol.encode_assignment(current, 1)
    assert encoded == (
        b"\0\1" b"\0\0" b"\0\6leader" b"\0\x09http://l/" b"\0\0\0\0\0\0\0\7" b"\0\0\0\2"
        b"\0\1c\0\0\0\2\xff\xff\xff\xff\0\0\0\0" b"\0\1d\0\0\0\1\0\0\0\1" b"\0\0\0\1\0\1e\0\0\0\1\xff\xff\xff\xff" b"\0\0\1\x2c"
    )  # fmt: skip
    assert protocol.decode_assignment(encoded) == current
    v2 = protocol.encode_assignment(current, 2)
    assert (v2[:2], v2[2:]) == (b"\0\2", encoded[2:])
    subscription = Subscription("http://me/", 5, None)
    assert protocol.encode_subscription(subscription, 0) == b"\0\0\0\x0ahttp://me/\0\0\0\0\0\0\0\5"
    assert (
        protocol.encode_subscription(subscription, 2)
        == b"\0\2\0\x0ahttp://me/\0\0\0\0\0\0\0\5\xff\xff\xff\xff"
    )
    full = Subscription("http://me/", 5, current)
    assert protocol.decode_subscription(protocol.encode_subscription(full, 2)) == full


@given(st.binary(max_size=200))
def test_foreign_bytes(data: bytes) -> None:
    for decode in (protocol.decode_assignment, protocol.decode_subscription):
        try:
            decode(data)
        except protocol.ProtocolError:
            continue


# The config topic.


def feed(state: ConfigState, *records: cs.ConfigRecord) -> list[Any]:
    events: list[Any] = []
    for record in records:
        events += state.apply(record.key, record.value, max(state.offset, 0))
    return events


def test_golden_records() -> None:
    assert cs.connector_record("c", {"b": "1", "a": "é"}) == (
        "connector-c",
        '{"properties":{"b":"1","a":"é"}}'.encode(),
    )
    assert cs.target_state_record("c", cs.STOPPED) == (
        "target-state-c",
        b'{"state":"PAUSED","state.v2":"STOPPED"}',
    )
    assert cs.task_records("c", [{"x": "y"}]) == [("task-c-0", b'{"properties":{"x":"y"}}')]
    assert cs.commit_record("c", 2) == ("commit-c", b'{"tasks":2}')
    assert cs.fencing_record("c", 2) == ("tasks-fencing-c", b'{"task-count":2}')
    assert cs.restart_record("c", True, False) == (
        "restart-connector-c",
        b'{"include-tasks":true,"only-failed":false}',
    )
    assert cs.logger_record("a.b", "WARN") == ("logger-cluster-a.b", b'{"level":"WARN"}')
    key = SessionKey("a2V5", "HmacSHA256", 5)
    assert (
        cs.session_key_record(key).value == b'{"key":"a2V5","algorithm":"HmacSHA256","creation-timestamp":5}'
    )
    status = Status("RUNNING", "h:1", 3, None, "1.0")
    assert (
        status.to_bytes()
        == b'{"state":"RUNNING","trace":null,"worker_id":"h:1","generation":3,"version":"1.0"}'
    )


def test_tasks_count_only_when_committed() -> None:
    state = ConfigState()
    assert feed(state, cs.connector_record("c", {"x": "1"})) == [cs.ConnectorUpdated("c")]
    feed(state, *cs.task_records("c", [{"n": "0"}, {"n": "1"}]))
    assert state.tasks("c") == []
    assert feed(state, cs.commit_record("c", 2)) == [cs.TasksUpdated("c")]
    assert state.tasks("c") == [TaskId("c", 0), TaskId("c", 1)]
    assert not cs.tasks_changed(state, "c", [{"n": "0"}, {"n": "1"}])
    assert cs.tasks_changed(state, "c", [{"n": "0"}])
    feed(state, cs.connector_record("c", {"x": "2"}))
    assert cs.tasks_changed(state, "c", [{"n": "0"}, {"n": "1"}])  # The connector's own keys changed.
    # Compaction took the task records away.
    feed(state, cs.commit_record("c", 3))
    assert state.tasks("c") == []
    assert "c" in state.inconsistent
    feed(state, *cs.task_records("c", [{"n": "0"}]), cs.commit_record("c", 1))
    assert state.tasks("c") == [TaskId("c", 0)]
    assert feed(state, cs.connector_record("c", None)) == [cs.ConnectorRemoved("c")]
    feed(state, cs.commit_record("c", 1))
    assert state.tasks("c") == []


def test_target_states_old_and_new() -> None:
    state = ConfigState()
    feed(state, cs.connector_record("c", {}))
    assert state.target_state("c") == cs.STARTED
    assert feed(state, cs.ConfigRecord("target-state-c", b'{"state":"PAUSED"}')) == [
        cs.TargetStateChanged("c")
    ]
    assert feed(state, cs.target_state_record("c", cs.STOPPED)) == [cs.TargetStateChanged("c")]
    assert feed(state, cs.target_state_record("c", cs.STOPPED)) == []
    assert state.target_state("c") == cs.STOPPED


@pytest.mark.parametrize(
    "value",
    [b"{", b"[]", b'"x"', b"{}", b'{"properties":5}', b'{"tasks":"x"}', b'{"state":7}', b"\xff", None],
)
def test_broken_records_change_nothing(value: bytes | None) -> None:
    state = ConfigState()
    feed(state, cs.connector_record("c", {"a": "b"}))
    for key in (
        "task-c-x",
        "task-",
        "commit-c",
        "target-state-c",
        "session-key",
        "restart-connector-c",
        "logger-cluster-x",
        "tasks-fencing-c",
        "other",
        "",
    ):
        feed(state, cs.ConfigRecord(key, value))
    assert state.connectors == {"c": {"a": "b"}}
    assert state.tasks("c") == []


def test_fencing() -> None:
    state = ConfigState()
    feed(state, cs.connector_record("c", {}), *cs.task_records("c", [{}]), cs.commit_record("c", 1))
    assert state.pending_fencing == {"c"}
    feed(state, cs.fencing_record("c", 1))
    assert (state.pending_fencing, state.fenced_task_counts) == (set(), {"c": 1})


def test_status_table() -> None:
    table = StatusTable()
    table.apply("status-connector-c", Status("RUNNING", "h:1", 1).to_bytes())
    table.apply("status-task-a-b-0", Status("FAILED", "h:1", 1, "trace").to_bytes())
    table.apply(
        "status-topic-t:connector-c", b'{"topic":{"name":"t","connector":"c","task":0,"discoverTimestamp":5}}'
    )
    assert table.tasks[TaskId("a-b", 0)].trace == "trace"
    assert list(table.topics["c"]) == ["t"]
    for broken in (b"{", b"[]", b'{"state":"X"}', b"5"):
        table.apply("status-connector-c", broken)
    assert table.connectors["c"].state == "RUNNING"
    assert not table.may_write(Status("RUNNING", "other", 5), Status("UNASSIGNED", "me", 4))
    assert not table.may_write(Status("RUNNING", "other", 5), Status("UNASSIGNED", "me", 5))
    assert table.may_write(Status("RUNNING", "other", 5), Status("UNASSIGNED", "me", 6))
    assert table.may_write(Status("UNASSIGNED", "other", 5), Status("UNASSIGNED", "me", 5))
    assert table.may_write(Status("RUNNING", "me", 5), Status("UNASSIGNED", "me", 4))
    # A farewell of a worker that was slow, written before it saw its successor's word, is not believed.
    table.apply("status-task-c-0", Status("RUNNING", "new", 8).to_bytes())
    table.apply("status-task-c-0", Status("UNASSIGNED", "slow", 7).to_bytes())
    assert table.tasks[TaskId("c", 0)] == Status("RUNNING", "new", 8)
    table.apply("status-task-c-0", Status("UNASSIGNED", "new", 7).to_bytes())
    assert table.tasks.pop(TaskId("c", 0)).state == "UNASSIGNED"
    for key in ("status-connector-c", "status-task-a-b-0", "status-topic-t:connector-c"):
        table.apply(key, None)
    assert (table.connectors, table.tasks, table.topics["c"]) == ({}, {}, {})


# Plans.


def test_plan() -> None:
    state = ConfigState()
    feed(
        state,
        cs.connector_record("a", {"v": "1"}),
        *cs.task_records("a", [{}, {}]),
        cs.commit_record("a", 2),
        cs.connector_record("b", {}),
    )
    a0, a1 = TaskId("a", 0), TaskId("a", 1)
    nothing = Running({}, {}, {})
    plan = make_plan(state, ["a", "b"], [a0, a1], nothing)
    assert (plan.start_connectors, plan.start_tasks, plan.stop_tasks) == (["a", "b"], [a0, a1], [])
    revision = state.task_revisions["a"]
    steady = Running(
        {"a": {"v": "1"}, "b": {}}, {a0: revision, a1: revision}, {"a": cs.STARTED, "b": cs.STARTED}
    )
    assert not make_plan(state, ["a", "b"], [a0, a1], steady)
    assert make_plan(state, ["b"], [a1], steady).stop_tasks == [a0]
    feed(state, cs.connector_record("a", {"v": "2"}), *cs.task_records("a", [{}]), cs.commit_record("a", 1))
    changed = make_plan(state, ["a", "b"], [a0, a1], steady)
    assert (changed.stop_connectors, changed.start_connectors) == (["a"], ["a"])
    assert (changed.stop_tasks, changed.start_tasks) == ([a0, a1], [a0])
    feed(state, cs.target_state_record("b", cs.PAUSED), cs.connector_record("a", None))
    gone = make_plan(state, ["a", "b"], [a0], steady)
    assert (gone.stop_connectors, gone.retarget, gone.start_tasks) == (["a"], ["b"], [])


@pytest.mark.parametrize(
    ("include", "failed", "connector", "tasks"),
    [(False, False, True, 0), (True, False, True, 2), (True, True, False, 1), (False, True, False, 0)],
)
def test_restart_plan(include: bool, failed: bool, connector: bool, tasks: int) -> None:
    known = {TaskId("c", 0): Status(states.RUNNING, "w", 1), TaskId("c", 1): Status(states.FAILED, "w", 1)}
    plan = restart_plan(include, failed, Status(states.RUNNING, "w", 1), known)
    assert (plan.connector, len(plan.tasks)) == (connector, tasks)


# Records that were sent.


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=40), st.randoms(use_true_random=False))
def test_offsets_never_pass_an_unacknowledged_record(sent: list[tuple[int, bool]], random: Random) -> None:
    submitted = SubmittedRecords()
    made = [(submitted.submit({"p": p}, {"o": n}), acked) for n, (p, acked) in enumerate(sent)]
    order = [record for record, acked in made if acked]
    random.shuffle(order)
    stored: dict[int, int] = {}
    for record in order:
        submitted.ack(record)
        stored.update({p["p"]: o["o"] for p, o in submitted.committable()})
    for partition in range(3):
        mine = [(n, acked) for n, (p, acked) in enumerate(sent) if p == partition]
        expected = None
        for n, acked in mine:
            if not acked:
                break
            expected = n
        assert stored.get(partition) == expected
    assert submitted.unacked == sum(not acked for _, acked in sent)


# Errors.


class FakeTime:
    def __init__(self) -> None:
        self.now = 0
        self.waits: list[int] = []

    def wait(self, milliseconds: int) -> bool:
        self.waits.append(milliseconds)
        self.now += milliseconds
        return False


def handler(time: FakeTime, **policy: Any) -> ErrorHandler:
    return ErrorHandler(ErrorPolicy(**policy), lambda: time.now, time.wait, Random(1))


def raising(error: Exception, times: int = 10**9) -> Any:
    left = [times]

    def operation() -> str:
        if left[0]:
            left[0] -= 1
            raise error
        return "done"

    return operation


def test_retries_double_and_end() -> None:
    time = FakeTime()
    errors = handler(time, retry_timeout_ms=-1, retry_delay_max_ms=1000)
    assert errors.execute(ProcessingContext(), raising(RetriableError("x"), 6), TASK_PUT, "c") == "done"
    assert time.waits[:2] == [300, 600]
    assert all(wait <= 1000 for wait in time.waits)
    limited = handler(FakeTime(), retry_timeout_ms=1000)
    with pytest.raises(ConnectError, match="Tolerance exceeded"):
        limited.execute(ProcessingContext(), raising(RetriableError("x")), TASK_PUT, "c")
    assert limited.metrics.retries == 3


def test_tolerance() -> None:
    strict = handler(FakeTime())
    with pytest.raises(ConnectError, match="Tolerance exceeded"):
        strict.execute(ProcessingContext(), raising(ValueError("x")), TRANSFORMATION, "c")
    reported: list[ProcessingContext] = []
    tolerant = handler(FakeTime(), tolerate_all=True)
    tolerant.reporters.append(reported.append)
    context = ProcessingContext("record")
    assert tolerant.execute(context, raising(ValueError("x")), TRANSFORMATION, "c") is None
    assert (context.failed, context.stage, len(reported), tolerant.metrics.records_skipped) == (
        True,
        TRANSFORMATION,
        1,
        1,
    )
    # Outside conversion and transforms only retriable errors are tolerated.
    with pytest.raises(ValueError, match="x"):
        tolerant.execute(ProcessingContext(), raising(ValueError("x")), TASK_PUT, "c")


# Policies, providers, signatures.


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("All", []), ("None", ["acks", "sasl.jaas.config"]), ("Principal", ["acks"]), ("Allowlist", ["sasl.jaas.config"]),
        ("org.apache.kafka.connect.connector.policy.NoneConnectorClientConfigOverridePolicy", ["acks", "sasl.jaas.config"]),
    ],
)  # fmt: skip
def test_override_policies(name: str, refused: list[str]) -> None:
    checked: list[ConfigValue] = override_policy(name, ["acks"])(
        "producer", {"acks": "1", "sasl.jaas.config": "x"}
    )
    assert [value.name for value in checked if value.error_messages] == refused
    with pytest.raises(ConfigError):
        override_policy("Mine", [])


def test_references() -> None:
    provider = EnvVarConfigProvider("A.*", {"AX": "1", "B": "2"})
    transformed = ConfigTransformer({"env": provider}).transform(
        {"a": "x${env:AX}y", "b": "${env:B}", "c": "${other:AX}", "d": "plain"}
    )
    assert transformed == {"a": "x1y", "b": "${env:B}", "c": "${other:AX}", "d": "plain"}


def test_allowed_paths() -> None:
    paths = AllowedPaths("/a/b", lambda path: path)
    assert paths.check("/a/b/c") == "/a/b/c"
    for path in ("/a/bc", "/a", "/"):
        with pytest.raises(ConfigError, match="not allowed"):
            paths.check(path)


def test_signatures() -> None:
    key = SessionKey(base64.b64encode(b"k" * 32).decode(), "HmacSHA256", 0)
    body = b'[{"a":"b"}]'
    signature = base64.b64encode(signatures.sign(key, "HmacSHA256", body)).decode()
    signatures.verify(key, ["HmacSHA256"], signature, "HmacSHA256", body)
    for status, arguments in (
        (400, (key, ["HmacSHA256"], None, "HmacSHA256", body)), (400, (key, ["HmacSHA256"], signature, None, body)),
        (400, (key, ["HmacSHA256"], "?", "HmacSHA256", body)), (400, (key, ["HmacSHA512"], signature, "HmacSHA256", body)),
        (403, (key, ["HmacSHA256"], signature, "HmacSHA256", body + b" ")), (503, (None, ["HmacSHA256"], signature, "HmacSHA256", body)),
    ):  # fmt: skip
        with pytest.raises(signatures.SignatureError) as caught:
            signatures.verify(*arguments)
        assert caught.value.status == status
