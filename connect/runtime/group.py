"""Membership in a group of workers: join, sync, heartbeat, and what the assignments mean.

In: the config store (how far this worker has read), and the herder, which is told what to give up. Out: the
assignment of this worker, who leads, and who runs what. What must hold: what is revoked has stopped before
this worker joins again; a worker that is behind the configuration does not act on it; a worker that has not
reached its coordinator for a whole session stops what it runs, because somebody else may run it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from connect.api.errors import ConnectError
from connect.core import protocol
from connect.core.assignment import IncrementalAssignor, Load, assign_eagerly
from connect.core.config_state import ConfigState, TaskId
from connect.core.metrics import Sample, WorkerMetrics
from connect.core.protocol import Assignment, Subscription
from connect.core.worker_config import WorkerConfig
from connect.runtime.blocking import run_blocking
from connect.runtime.clients import worker_client_props
from connect.runtime.membership import Assigned
from connect.runtime.stores import ConfigStore
from connect.runtime.wire_client import Security, WireConnection, WireError, open_any
from pybroker.wire.messages.find_coordinator import FindCoordinatorRequest
from pybroker.wire.messages.heartbeat import HeartbeatRequest
from pybroker.wire.messages.init_producer_id import InitProducerIdRequest
from pybroker.wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from pybroker.wire.messages.leave_group import LeaveGroupRequest, MemberIdentity
from pybroker.wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment

log = logging.getLogger(__name__)

_FIND_COORDINATOR: Final = 10
_JOIN_GROUP: Final = 11
_HEARTBEAT: Final = 12
_LEAVE_GROUP: Final = 13
_SYNC_GROUP: Final = 14
_INIT_PRODUCER_ID: Final = 22

_GROUP_KEY: Final = 0
_TRANSACTION_KEY: Final = 1

_COORDINATOR_LOAD_IN_PROGRESS: Final = 14
_COORDINATOR_NOT_AVAILABLE: Final = 15
_NOT_COORDINATOR: Final = 16
_ILLEGAL_GENERATION: Final = 22
_UNKNOWN_MEMBER_ID: Final = 25
_REBALANCE_IN_PROGRESS: Final = 27
_CONCURRENT_TRANSACTIONS: Final = 51
_MEMBER_ID_REQUIRED: Final = 79
_FENCED_INSTANCE_ID: Final = 82
_COORDINATOR_MOVED: Final = (_COORDINATOR_LOAD_IN_PROGRESS, _COORDINATOR_NOT_AVAILABLE, _NOT_COORDINATOR)
_REJOIN: Final = (_REBALANCE_IN_PROGRESS, _ILLEGAL_GENERATION, _UNKNOWN_MEMBER_ID)

Revoke = Callable[[Sequence[str], Sequence[TaskId]], Awaitable[None]]


class _CoordinatorLostError(ConnectError):
    """The coordinator has to be found again."""


class GroupMembership:
    """`run` joins and stays; everything else answers from what is known at the moment."""

    def __init__(
        self,
        config: WorkerConfig,
        url: str,
        client_id: str,
        store: ConfigStore,
        metrics: WorkerMetrics,
    ) -> None:
        self._config = config
        self._url = url
        self._client_id = client_id
        self._store = store
        self._metrics = metrics
        self._props = worker_client_props(config.strings)
        self._security = Security(self._props)
        self._group_id: str = config["group.id"]
        versions = {"eager": protocol.EAGER, "compatible": protocol.COMPATIBLE}
        highest = versions.get(config["connect.protocol"], protocol.SESSIONED)
        self._offered = [version for version in protocol.PROTOCOL_NAMES if version <= highest]
        self._version = highest
        self._assignor = IncrementalAssignor(
            config["scheduled.rebalance.max.delay.ms"], lambda: int(time.monotonic() * 1000)
        )
        self._connection: WireConnection | None = None
        self._member_id = ""
        self._generation = -1
        self._last_completed = -1
        self._assignment: Assignment | None = None
        self._owners: dict[str | TaskId, str] = {}
        self._settled = asyncio.Event()
        self._rejoin = asyncio.Event()
        self._rejoin.set()
        self._scheduled: float | None = None
        self._last_contact = time.monotonic()
        self._closing = False
        self.revoke: Revoke | None = None
        self.changed: Callable[[], None] = lambda: None

    # What others ask.

    @property
    def is_leader(self) -> bool:
        known = self._assignment
        return known is not None and bool(self._member_id) and known.leader == self._member_id

    @property
    def leader_url(self) -> str | None:
        return self._assignment.leader_url if self._assignment is not None else None

    @property
    def generation(self) -> int:
        return self._generation

    @property
    def rebalancing(self) -> bool:
        return not self._settled.is_set()

    async def settled(self) -> None:
        await self._settled.wait()

    @property
    def sessioned(self) -> bool:
        return self._version >= protocol.SESSIONED

    def assigned(self, state: ConfigState) -> Assigned | None:
        known = self._assignment
        if known is None:
            return Assigned((), ())
        if known.error or state.offset < known.config_offset:
            return None
        return Assigned(known.connectors, known.tasks)

    def owner_of_connector(self, name: str) -> str | None:
        return self._owners.get(name) if self.is_leader else self.leader_url

    def owner_of_task(self, task: TaskId) -> str | None:
        return self._owners.get(task) if self.is_leader else self.leader_url

    def request_rejoin(self, reason: str) -> None:
        log.debug("Joining the group again: %s", reason)
        self._settled.clear()
        self._rejoin.set()

    def samples(self) -> list[Sample]:
        """The group connect-worker-rebalance-metrics."""
        group = "connect-worker-rebalance-metrics"
        metrics = self._metrics
        info = {
            "connect_protocol": protocol.PROTOCOL_NAMES[self._version],
            "leader_name": self.leader_url or "",
        }
        found: list[Sample] = [
            (group, "leader-name", info, 1),
            (group, "epoch", {}, metrics.epoch),
            (group, "completed-rebalances-total", {}, metrics.completed_rebalances),
            (group, "rebalancing", {}, int(metrics.rebalancing)),
            (group, "rebalance-max-time-ms", {}, metrics.rebalance_ms.maximum),
            (group, "rebalance-avg-time-ms", {}, metrics.rebalance_ms.average),
        ]
        if metrics.last_rebalance_ms is not None:
            since = int(time.monotonic() * 1000) - metrics.last_rebalance_ms
            found.append((group, "time-since-last-rebalance-ms", {}, since))
        return found

    # Life.

    async def run(self) -> None:
        backoff = 0.1
        while not self._closing:
            try:
                await self._stay()
                backoff = 0.1
            except (WireError, _CoordinatorLostError) as error:
                log.info("Group %s: %s", self._group_id, error)
                self._drop_connection()
                await self._give_up_when_cut_off()
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, 1.0)
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("Group %s: an error that nobody expected", self._group_id)
                self._drop_connection()
                await asyncio.sleep(1)

    async def _give_up_when_cut_off(self) -> None:
        """Without its coordinator for a session, this worker counts as gone: it must not go on as if not."""
        silent_ms = (time.monotonic() - self._last_contact) * 1000
        if silent_ms < self._config["session.timeout.ms"] or self._assignment is None:
            return
        known, self._assignment = self._assignment, None
        self._settled.clear()
        self._rejoin.set()
        log.warning("The coordinator was not reached for %d ms: all connectors and tasks stop", silent_ms)
        if self.revoke is not None:
            await self.revoke(known.connectors, known.tasks)

    async def _stay(self) -> None:
        await self._find_coordinator()
        if self._generation >= 0 and not self._rejoin.is_set():
            self._settled.set()
        while not self._closing:
            if self._rejoin.is_set():
                await self._join()
                continue
            wait = self._config["heartbeat.interval.ms"] / 1000
            if self._scheduled is not None:
                wait = min(wait, max(0.0, self._scheduled - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rejoin.wait(), wait)
            if self._scheduled is not None and time.monotonic() >= self._scheduled:
                self._scheduled = None
                self.request_rejoin("the scheduled rebalance is due")
            if not self._rejoin.is_set():
                await self._heartbeat()

    async def _find_coordinator(self) -> None:
        if self._connection is not None and not self._connection.closed:
            return
        host, port = await self._coordinator_of(self._group_id, _GROUP_KEY)
        self._connection = await WireConnection.open(host, port, self._client_id, self._security)

    async def _coordinator_of(self, key: str, kind: int) -> tuple[str, int]:
        bootstrap = await open_any(self._props["bootstrap.servers"], self._client_id, self._security)
        try:
            version = bootstrap.best_version(_FIND_COORDINATOR, 4)
            request = FindCoordinatorRequest(key=key, key_type=kind)
            if version >= 4:
                request = FindCoordinatorRequest(key_type=kind, coordinator_keys=[key])
            answer: Any = await bootstrap.request(_FIND_COORDINATOR, request, version=version)
        finally:
            bootstrap.close()
        found = answer.coordinators[0] if version >= 4 else answer
        if found.error_code:
            raise _CoordinatorLostError(f"no coordinator for {key} (error {found.error_code})")
        return found.host, found.port

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _reset(self) -> None:
        """The group knows this member no more; what it runs is told at the next join."""
        self._member_id, self._generation = "", -1
        self.request_rejoin("the group knows this member no more")

    async def _request(self, api_key: int, message: Any, at_most: int, timeout_s: float | None = None) -> Any:
        if self._connection is None:
            raise _CoordinatorLostError("the coordinator is not known")
        limit = timeout_s if timeout_s is not None else self._config["request.timeout.ms"] / 1000
        answer = await self._connection.request(api_key, message, at_most=at_most, timeout_s=limit)
        self._last_contact = time.monotonic()
        return answer

    def _check(self, code: int, what: str) -> None:
        if code in _COORDINATOR_MOVED:
            raise _CoordinatorLostError(f"{what}: the coordinator is elsewhere (error {code})")
        if code:
            raise ConnectError(f"{what} failed with error {code}")

    async def _heartbeat(self) -> None:
        answer = await self._request(
            _HEARTBEAT,
            HeartbeatRequest(
                group_id=self._group_id, generation_id=self._generation, member_id=self._member_id
            ),
            4,
        )
        code = answer.error_code
        if code == _REBALANCE_IN_PROGRESS:
            self.request_rejoin("the group is rebalancing")
        elif code in (_ILLEGAL_GENERATION, _UNKNOWN_MEMBER_ID, _FENCED_INSTANCE_ID):
            self._reset()
        else:
            self._check(code, "Heartbeat")

    async def _join(self) -> None:
        begin = time.monotonic()
        self._settled.clear()
        self._rejoin.clear()
        self._scheduled = None
        self._metrics.rebalancing = True
        try:
            if self._version == protocol.EAGER and self._assignment is not None:
                # First nobody may start it again, then it stops.
                known, self._assignment = self._assignment, None
                await self._revoke(known.connectors, known.tasks)
            joined = await self._send_join()
            if joined is None:
                self._rejoin.set()
                return
            assignment = await self._sync(joined)
            if assignment is None:
                self._rejoin.set()
                return
            await self._take(assignment)
        except BaseException:
            self._rejoin.set()
            raise
        finally:
            self._metrics.rebalancing = False
            self._metrics.rebalance_ms.record((time.monotonic() - begin) * 1000)

    async def _send_join(self) -> Any:
        state = self._store.snapshot()
        subscription = Subscription(self._url, state.offset, self._assignment)
        protocols = [
            JoinGroupRequestProtocol(
                name=protocol.PROTOCOL_NAMES[version],
                metadata=protocol.encode_subscription(subscription, version),
            )
            for version in self._offered
        ]
        rebalance_ms = self._config["rebalance.timeout.ms"]
        answer = await self._request(
            _JOIN_GROUP,
            JoinGroupRequest(
                group_id=self._group_id,
                session_timeout=self._config["session.timeout.ms"],
                rebalance_timeout=rebalance_ms,
                member_id=self._member_id,
                protocol_type="connect",
                protocols=protocols,
            ),
            9,
            rebalance_ms / 1000 + 10,
        )
        code = answer.error_code
        if code == _MEMBER_ID_REQUIRED:
            self._member_id = answer.member_id
            return None
        if code in (_UNKNOWN_MEMBER_ID, _FENCED_INSTANCE_ID):
            self._reset()
            return None
        if code == _REBALANCE_IN_PROGRESS:
            return None
        self._check(code, "JoinGroup")
        self._member_id, self._generation = answer.member_id, answer.generation_id
        self._version = protocol.VERSIONS.get(answer.protocol_name, protocol.EAGER)
        return answer

    async def _sync(self, joined: Any) -> Assignment | None:
        assignments = []
        if joined.leader == self._member_id:
            decided = await self._decide(joined)
            assignments = [
                SyncGroupRequestAssignment(
                    member_id=member, assignment=protocol.encode_assignment(assignment, self._version)
                )
                for member, assignment in decided.items()
            ]
        else:
            self._owners = {}
        answer = await self._request(
            _SYNC_GROUP,
            SyncGroupRequest(
                group_id=self._group_id,
                generation_id=self._generation,
                member_id=self._member_id,
                protocol_type="connect",
                protocol_name=joined.protocol_name,
                assignments=assignments,
            ),
            5,
            self._config["rebalance.timeout.ms"] / 1000 + 10,
        )
        code = answer.error_code
        if code in _REJOIN:
            if code != _REBALANCE_IN_PROGRESS:
                self._reset()
            return None
        self._check(code, "SyncGroup")
        return protocol.decode_assignment(answer.assignment)

    async def _decide(self, joined: Any) -> dict[str, Assignment]:
        """The leader's part."""
        members = {m.member_id: protocol.decode_subscription(m.metadata) for m in joined.members}
        newest = max(member.config_offset for member in members.values())
        state = self._store.snapshot()
        url = members[self._member_id].url
        if state.offset < newest:
            with contextlib.suppress(ConnectError):
                await run_blocking(self._store.refresh, self._config["worker.sync.timeout.ms"] / 1000)
            state = self._store.snapshot()
        if state.offset < newest:
            mismatch = Assignment(self._member_id, url, newest, error=protocol.CONFIG_MISMATCH)
            return dict.fromkeys(members, mismatch)
        names = sorted(state.connectors)
        configured = Load(names, [task for name in names for task in state.tasks(name)])
        offset = state.offset
        if self._version == protocol.EAGER:
            complete = assign_eagerly(members, configured)
            self._remember_owners(members, complete)
            return {
                member: Assignment(self._member_id, url, offset, tuple(load.connectors), tuple(load.tasks))
                for member, load in complete.items()
            }
        current = {
            member: Load(list(s.current.connectors), list(s.current.tasks)) if s.current else Load()
            for member, s in members.items()
        }
        decision = self._assignor.assign(current, configured, self._last_completed, self._generation)
        nothing = Load()
        self._remember_owners(members, decision.complete)
        return {
            member: Assignment(
                self._member_id,
                url,
                offset,
                tuple(decision.assigned[member].connectors),
                tuple(decision.assigned[member].tasks),
                tuple(decision.revoked.get(member, nothing).connectors),
                tuple(decision.revoked.get(member, nothing).tasks),
                decision.delay_ms,
            )
            for member in members
        }

    def _remember_owners(self, members: dict[str, Subscription], complete: dict[str, Load]) -> None:
        self._owners = {}
        for member, load in complete.items():
            self._owners.update(dict.fromkeys(load.connectors, members[member].url))
            self._owners.update(dict.fromkeys(load.tasks, members[member].url))

    async def _take(self, fresh: Assignment) -> None:
        """Acts on an assignment: gives up, merges, catches up."""
        generation = self._generation
        before = self._assignment
        complete = fresh
        if self._version != protocol.EAGER:
            kept_connectors = [
                name for name in (before.connectors if before else ()) if name not in fresh.revoked_connectors
            ]
            kept_tasks = [
                task for task in (before.tasks if before else ()) if task not in fresh.revoked_tasks
            ]
            if fresh.revoked_connectors or fresh.revoked_tasks:
                if before is not None:
                    # First nobody may start it again, then it stops.
                    self._assignment = dataclasses.replace(
                        before, connectors=tuple(kept_connectors), tasks=tuple(kept_tasks)
                    )
                await self._revoke(fresh.revoked_connectors, fresh.revoked_tasks)
            complete = Assignment(
                fresh.leader,
                fresh.leader_url,
                fresh.config_offset,
                tuple(dict.fromkeys((*fresh.connectors, *kept_connectors))),
                tuple(dict.fromkeys((*fresh.tasks, *kept_tasks))),
                error=fresh.error,
            )
        self._assignment = complete
        self._last_completed = generation
        self._metrics.completed_rebalances += 1
        self._metrics.epoch = generation
        self._metrics.last_rebalance_ms = int(time.monotonic() * 1000)
        if self.is_leader and (before is None or before.leader != self._member_id):
            await run_blocking(self._store.claim_write_privileges)
        if fresh.error or self._store.snapshot().offset < fresh.config_offset:
            await self._catch_up(fresh)
            return
        if fresh.delay_ms > 0:
            self._scheduled = time.monotonic() + fresh.delay_ms / 1000
        if fresh.revoked_connectors or fresh.revoked_tasks:
            self.request_rejoin("what was revoked here is free for others")
        if not self._rejoin.is_set():
            self._settled.set()
        self.changed()

    async def _catch_up(self, fresh: Assignment) -> None:
        """Reads on until the configuration is as new as the assignment; leaves the group for a while when
        that takes too long."""
        try:
            await run_blocking(self._store.refresh, self._config["worker.sync.timeout.ms"] / 1000)
        except ConnectError as error:
            log.warning("The configuration could not be read to its end, leaving the group: %s", error)
            await self._leave("the configuration is out of date")
            self._assignment = None
            await asyncio.sleep(self._config["worker.unsync.backoff.ms"] / 1000)
            self._reset()
            return
        if fresh.error:
            self.request_rejoin("the leader was behind the configuration")
            return
        if fresh.delay_ms > 0:
            self._scheduled = time.monotonic() + fresh.delay_ms / 1000
        if fresh.revoked_connectors or fresh.revoked_tasks:
            self.request_rejoin("what was revoked here is free for others")
        if not self._rejoin.is_set():
            self._settled.set()
        self.changed()

    async def _revoke(self, connectors: Sequence[str], tasks: Sequence[TaskId]) -> None:
        if self.revoke is None:
            return
        revoking = asyncio.create_task(_ignore(self.revoke(connectors, tasks)))
        # Stopping may take longer than a session: the group has to hear of this member meanwhile.
        while not revoking.done():
            await asyncio.wait((revoking,), timeout=self._config["heartbeat.interval.ms"] / 1000)
            if not revoking.done() and self._member_id and self._generation >= 0:
                with contextlib.suppress(ConnectError):
                    await self._heartbeat()
        await revoking

    async def _leave(self, reason: str) -> None:
        if self._connection is None or not self._member_id:
            return
        version = self._connection.best_version(_LEAVE_GROUP, 5)
        request = LeaveGroupRequest(group_id=self._group_id, member_id=self._member_id)
        if version >= 3:
            request = LeaveGroupRequest(
                group_id=self._group_id, members=[MemberIdentity(member_id=self._member_id)]
            )
        with contextlib.suppress(WireError):
            await self._connection.request(_LEAVE_GROUP, request, version=version, timeout_s=5)
        log.info("Left group %s: %s", self._group_id, reason)
        self._member_id, self._generation = "", -1

    async def close(self) -> None:
        """Leaves the group; what this worker ran has been stopped before."""
        self._closing = True
        self._rejoin.set()
        await self._leave("the worker stops")
        self._drop_connection()

    # Zombies.

    async def fence_producers(self, transactional_ids: Sequence[str]) -> None:
        """Takes the transactional ids over, so that whoever used them can commit no more (KIP-618)."""
        for transactional_id in transactional_ids:
            await self._fence_producer(transactional_id)

    async def _fence_producer(self, transactional_id: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                host, port = await self._coordinator_of(transactional_id, _TRANSACTION_KEY)
                connection = await WireConnection.open(host, port, self._client_id, self._security)
                try:
                    answer: Any = await connection.request(
                        _INIT_PRODUCER_ID,
                        InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout=60_000),
                        at_most=4,
                    )
                finally:
                    connection.close()
                code = answer.error_code
                if code == 0:
                    return
                if code not in (*_COORDINATOR_MOVED, _CONCURRENT_TRANSACTIONS):
                    raise ConnectError(f"Fencing {transactional_id} failed with error {code}")
            except (WireError, _CoordinatorLostError) as error:
                if time.monotonic() > deadline:
                    raise ConnectError(f"Fencing {transactional_id} failed: {error}") from error
            if time.monotonic() > deadline:
                raise ConnectError(f"Fencing {transactional_id} took longer than a minute")
            await asyncio.sleep(0.1)


async def _ignore(work: Awaitable[None]) -> None:
    try:
        await work
    except Exception:
        log.exception("Giving up connectors and tasks was not clean")
