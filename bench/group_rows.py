"""The rows about groups and transactions: groups of 1, 10 and 100 members that form and rebalance, commits of
offsets, consumers in a group, transactions of one and of ten producers.

In: a `Bench`. Out: figures. What must hold: members and committers are the raw client of the protocol tests, so
that what is measured is the broker and not a client's timers; every answer is checked.
"""

from __future__ import annotations

import statistics
import struct
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench import machine
from bench.load_tools import java_transactions, rdkafka_group_consume
from bench.subjects import PROPERTIES
from tests.protocol import groups, raw, schema

if TYPE_CHECKING:
    from bench.rows import Bench

_REBALANCES = 15
_JOINS = 5
_ASSIGNMENT = bytes(60)


def rebalance(bench: Bench, members: int) -> dict[str, float]:
    """All members of a stable group join again with new metadata, and get their assignments."""
    server = bench.subject.server()
    times: list[float] = []
    with ExitStack() as stack:
        with raw.Connection(server.bootstrap) as connection:
            groups.find_coordinator(connection, bench.topic)
        everyone = [
            groups.Member(server.bootstrap, bench.topic, session=60_000, rebalance=60_000)
            for _ in range(members)
        ]
        for member in everyone:
            stack.callback(member.close)
        for member in everyone:
            member.start_join()
        for member in everyone:
            assert member.end_join()["error_code"] == 0, member.answer
        (leader,) = [member for member in everyone if member.leader == member.member_id]
        assert len(leader.members) == members, "not all members are in one generation"
        # The leader is asked last, so that the others wait for it.
        everyone.sort(key=lambda member: member is leader)
        _ask([_frame(groups.SYNC_GROUP, 5, _sync_values(member, everyone)) for member in everyone], everyone)
        before = 0.0
        for number in range(_REBALANCES + 3):
            if number == 3:
                before = machine.process_cpu_s(server.pid)
            # Written beforehand: the next generation is known.
            joins, syncs = [], []
            for member in everyone:
                member.generation += 1
                offered = groups.protocols("range", metadata=b"%d" % number)
                values = groups.join_request(
                    bench.topic, member.member_id, session=60_000, rebalance=60_000, offered=offered
                )
                joins.append(_frame(groups.JOIN_GROUP, 9, values))
                syncs.append(_frame(groups.SYNC_GROUP, 5, _sync_values(member, everyone)))
            start = time.perf_counter()
            answers = _ask(joins, everyone)
            assigned = _ask(syncs, everyone)
            times.append(time.perf_counter() - start)
            for member, answer in zip(everyone, answers, strict=True):
                joined = schema.decode(schema.response_schema(groups.JOIN_GROUP, 9), answer, 5)
                assert (joined["error_code"], joined["generation_id"]) == (0, member.generation), joined
            assert all(answer.endswith(_ASSIGNMENT + b"\0") for answer in assigned)
        cost = (machine.process_cpu_s(server.pid) - before) / (_REBALANCES * members) * 1e6
        for member in everyone:
            member.leave()
    return {"p50_ms": statistics.median(times[3:]) * 1000, "broker_cpu_us": cost}


def join(bench: Bench, members: int) -> dict[str, float]:
    """New members form a new group: member ids, joins, assignments, without the delay for late comers."""
    server = bench.subject.server()
    delay_s = int(PROPERTIES["group.initial.rebalance.delay.ms"]) / 1000
    # The first delay is the last: no rebalance may take longer than this.
    timeouts = {"session": 60_000, "rebalance": int(delay_s * 1000)}
    times: list[float] = []
    cost = 0.0
    for number in range(_JOINS + 1):
        group = f"{bench.topic}-{number}"
        with ExitStack() as stack:
            with raw.Connection(server.bootstrap) as connection:
                groups.find_coordinator(connection, group)
            everyone = [groups.Member(server.bootstrap, group, **timeouts) for _ in range(members)]
            for member in everyone:
                stack.callback(member.close)
            before = machine.process_cpu_s(server.pid)
            start = time.perf_counter()
            asked = _frame(groups.JOIN_GROUP, 9, groups.join_request(group, **timeouts))
            for member, answer in zip(everyone, _ask([asked] * members, everyone), strict=True):
                joined = schema.decode(schema.response_schema(groups.JOIN_GROUP, 9), answer, 5)
                member.member_id = joined["member_id"]
            requests = [groups.join_request(group, member.member_id, **timeouts) for member in everyone]
            for member, answer in zip(
                everyone,
                _ask([_frame(groups.JOIN_GROUP, 9, values) for values in requests], everyone),
                strict=True,
            ):
                joined = schema.decode(schema.response_schema(groups.JOIN_GROUP, 9), answer, 5)
                assert (joined["error_code"], joined["generation_id"]) == (0, 1), joined
                member.generation, member.leader = 1, joined["leader"]
            # The leader is asked last, so that the others wait for it.
            everyone.sort(key=lambda member: member.member_id == member.leader)
            syncs = [_frame(groups.SYNC_GROUP, 5, _sync_values(member, everyone)) for member in everyone]
            assert all(answer.endswith(_ASSIGNMENT + b"\0") for answer in _ask(syncs, everyone))
            if number:
                times.append(time.perf_counter() - start - delay_s)
                cost += (machine.process_cpu_s(server.pid) - before) / (_JOINS * members) * 1e6
            for member in everyone:
                member.leave()
    return {"p50_ms": statistics.median(times) * 1000, "broker_cpu_us": cost}


def transactions(bench: Bench, producers: int) -> dict[str, float]:
    """Java's producers: one record a transaction, each of them in step."""
    server = bench.subject.server()
    bench.topic_for(server, partitions=producers)
    before = machine.process_cpu_s(server.pid)
    figures = java_transactions(server.bootstrap, bench.topic, producers, bench.seconds, bench.timeout_s)
    figures["broker_cpu_us"] = (machine.process_cpu_s(server.pid) - before) / figures["total"] * 1e6
    bench.load(server, "delete", topic=bench.topic)
    return figures


def _sync_values(member: groups.Member, everyone: list[groups.Member]) -> dict[str, object]:
    leads = member is everyone[-1]
    assignments = {other.member_id: _ASSIGNMENT for other in everyone} if leads else None
    return groups.sync_request(member.group, member.generation, member.member_id, assignments)


def _frame(key: int, version: int, values: dict[str, object]) -> bytes:
    body = schema.encode(schema.request_schema(key, version), groups.fitted(key, version, values))
    return raw.request_header(key, version, 1) + body


def _ask(frames: list[bytes], members: list[groups.Member]) -> list[bytes]:
    """One request of each member, sent before any answer is read."""
    for member, frame in zip(members, frames, strict=True):
        member.connection.send_frame(frame)
    return [member.connection.read_frame() for member in members]


def commits(bench: Bench, inflight: int, partitions: int) -> dict[str, float]:
    """One connection commits offsets of some partitions again and again."""
    server = bench.subject.server()
    with raw.Connection(server.bootstrap, timeout=60) as connection:
        groups.find_coordinator(connection, bench.topic)
        raw.create_topic(connection, bench.topic, partitions=partitions)
        values = groups.commit_request(bench.topic, bench.topic, *range(partitions))
        frame = _frame(groups.OFFSET_COMMIT, 8, values)
        request = struct.pack(">i", len(frame)) + frame
        assert set(groups.commit(connection, bench.topic, bench.topic, *range(partitions))) == {0}
        _commit_for(connection, request, inflight, min(1.0, bench.seconds))
        before = machine.process_cpu_s(server.pid)
        count, seconds = _commit_for(connection, request, inflight, bench.seconds)
        cost = (machine.process_cpu_s(server.pid) - before) / count * 1e6
        raw.delete_topic(connection, bench.topic)
    return {"commits_per_s": count / seconds, "broker_cpu_us": cost}


def _commit_for(
    connection: raw.Connection, request: bytes, inflight: int, seconds: float
) -> tuple[int, float]:
    """(requests answered, seconds) with a number of requests under way."""
    send, receive = connection.socket.sendall, connection.socket.recv
    start = time.perf_counter()
    end = start + seconds
    count = 0
    rest = b""
    send(request * inflight)
    waiting = inflight
    while waiting:
        rest += receive(1 << 16)
        position = answered = 0
        while len(rest) - position >= 4:
            (length,) = struct.unpack_from(">i", rest, position)
            if len(rest) - position - 4 < length:
                break
            position += 4 + length
            answered += 1
        rest = rest[position:]
        count += answered
        waiting -= answered
        if time.perf_counter() < end and answered:
            send(request * answered)
            waiting += answered
    return count, time.perf_counter() - start


def consume_in_a_group(bench: Bench, size: int) -> dict[str, float]:
    """A librdkafka consumer that subscribes, from its first record on."""
    from bench.rows import consumer_count, transfer_figures

    server = bench.subject.server()
    before = machine.process_cpu_s(server.pid)
    run = rdkafka_group_consume(
        server.bootstrap,
        bench.topic,
        f"{bench.topic}-{time.monotonic_ns()}",
        count=consumer_count(bench, size, "none"),
        timeout_s=bench.timeout_s,
    )
    return transfer_figures(server, before, run)
