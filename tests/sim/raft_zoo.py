"""The zoo: mistakes that Raft and KRaft implementations have made, each put into the core by a patch.

In: nothing. Out: `ZOO`, a mutation and the number of seeds within which the random explorer must catch it (some
three times as many as it takes now; docs/testing.md has those); `HARMLESS`, which cannot do any harm here. What must
hold: a mutation is the mistake and nothing else; without any, no seed fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from pybroker.raft import checks, requests, responses, voter_changes
from pybroker.raft.hard_state import NOBODY, HardState
from pybroker.raft.leader import LeaderState
from pybroker.raft.node import NO_VOTE, Node, Reply
from pybroker.raft.role import Role
from pybroker.raft.voters import VoterHistory

Patch = tuple[Any, str, Any]


class Mutation(NamedTuple):
    """`seeds`: it is caught by one of the seeds below this number, counted from 0."""

    name: str
    origin: str
    seeds: int
    patches: Callable[[], list[Patch]]


@contextmanager
def mutated(mutation: Mutation) -> Iterator[None]:
    """The core with the mistake in it."""
    with ExitStack() as stack:
        for owner, name, value in mutation.patches():
            stack.enter_context(patch.object(owner, name, value))
        yield


def _vote_not_stored() -> list[Patch]:
    def remember(node: Node) -> None:
        node._hard_state = HardState(node.leader_id, node.epoch)
        node._state_version += 1

    return [(Node, "_remember", remember)]


def _told_before_stored() -> list[Patch]:
    def reply(node: Node, token: object, message: Any) -> None:
        node._outbox.append((0, Reply(token, message)))

    return [(Node, "reply", reply)]


def _votes_twice() -> list[Patch]:
    original = Node.can_grant

    def can_grant(node: Node, candidate: Any, up_to_date: bool, *, pre_vote: bool) -> bool:
        voted, node.voted = node.voted, NO_VOTE
        granted = original(node, candidate, up_to_date, pre_vote=pre_vote)
        if not granted or pre_vote:
            node.voted = voted
        return granted

    return [(Node, "can_grant", can_grant)]


def _shorter_log_wins() -> list[Patch]:
    return [(Node, "log_is_up_to_date", lambda node, last_epoch, end_offset: True)]


def _longest_log_wins() -> list[Patch]:
    return [
        (Node, "log_is_up_to_date", lambda node, last_epoch, end_offset: end_offset >= node.log.end_offset)
    ]


def _pre_votes_elect() -> list[Patch]:
    original = Node.count_vote

    def count_vote(node: Node, voter_id: int, granted: bool) -> None:
        if node.role is Role.PROSPECTIVE:
            node.votes[voter_id] = granted
            if node._is_granted():
                node.epoch = max(node.epoch, 1)
                node._win()
                return
        original(node, voter_id, granted)

    return [(Node, "count_vote", count_vote)]


def _former_leader_leads_on() -> list[Patch]:
    original = Node._restore

    def restore(node: Node) -> None:
        original(node)
        if node.role is Role.RESIGNED:
            node._win()

    return [(Node, "_restore", restore)]


def _former_leader_votes() -> list[Patch]:
    original = Node._restore

    def restore(node: Node) -> None:
        original(node)
        if node.role is Role.RESIGNED:
            node.role, node.leader_id, node.voted = Role.UNATTACHED, NOBODY, NO_VOTE

    return [(Node, "_restore", restore)]


def _old_epoch_by_count() -> list[Patch]:
    return [(LeaderState, "may_commit", lambda leader, offset: leader.active and offset > 0)]


def _leader_counts_unsynced() -> list[Patch]:
    original = Node._appended

    def appended(node: Node) -> None:
        if node.leader is not None and node.leader.flushed(node.log.end_offset):
            node.high_watermark_moved()
        original(node)

    return [(Node, "_appended", appended)]


def _follower_fetches_unsynced() -> list[Patch]:
    original = Node._send_fetch

    def send_fetch(node: Node, node_id: int) -> None:
        durable, node.persisted_end_offset = node.persisted_end_offset, node.log.end_offset
        original(node, node_id)
        node.persisted_end_offset = durable

    return [(Node, "_send_fetch", send_fetch)]


def _stale_sync_counts() -> list[Patch]:
    def flushed(node: Node, flush: Any) -> None:
        if flush == node._flush_given:
            node._flush_given = None
        node.persisted(min(flush.end_offset, node.log.end_offset))
        node._advance()

    return [(Node, "flushed", flushed)]


def _cut_at_high_watermark() -> list[Patch]:
    original = Node.become_follower

    def become_follower(node: Node, epoch: int, leader_id: int, endpoints: Any) -> None:
        original(node, epoch, leader_id, endpoints)
        node.log.truncate(max(node.high_watermark, node.log.start_offset))
        node.generation += 1
        node.persisted_end_offset = min(node.persisted_end_offset, node.log.end_offset)

    return [(Node, "become_follower", become_follower)]


def _cut_without_epochs() -> list[Patch]:
    original = Node.end_offset_for_epoch

    def end_offset_for_epoch(node: Node, epoch: int) -> tuple[int, int]:
        return (epoch, node.log.end_offset) if node.role is Role.FOLLOWER else original(node, epoch)

    return [(Node, "end_offset_for_epoch", end_offset_for_epoch)]


def _no_divergence() -> list[Patch]:
    original = Node.end_offset_for_epoch

    def end_offset_for_epoch(node: Node, epoch: int) -> tuple[int, int]:
        return (epoch, node.log.end_offset) if node.role is Role.LEADER else original(node, epoch)

    return [(Node, "end_offset_for_epoch", end_offset_for_epoch)]


def _no_fencing() -> list[Patch]:
    def leader_only(node: Node, epoch: int) -> int:
        return 0 if node.is_leader else 6

    return [(requests, "leader_only", leader_only), (checks, "leader_only", leader_only)]


def _stale_answers_count() -> list[Patch]:
    original = responses._settled

    def settled(node: Node, error: int, leader_id: int, epoch: int, endpoints: Any) -> bool | None:
        return original(
            node, error, leader_id if epoch >= node.epoch else -1, max(epoch, node.epoch), endpoints
        )

    def response(node: Node, node_id: int, correlation_id: int, message: Any) -> None:
        node._in_flight.pop(node_id, None)
        responses.handle(node, node_id, message)
        node._advance()

    return [(responses, "_settled", settled), (Node, "response", response)]


def _high_watermark_above_the_log() -> list[Patch]:
    def follower_high_watermark(node: Node, high_watermark: int) -> None:
        node.high_watermark = max(node.high_watermark, high_watermark)

    return [(Node, "follower_high_watermark", follower_high_watermark)]


def _half_is_a_majority() -> list[Patch]:
    def majority_end_offset(leader: LeaderState) -> int:
        ends = sorted((replica.end_offset for replica in leader.voters_by_id.values()), reverse=True)
        return ends[max(0, len(ends) // 2 - 1)] if ends else -1

    return [(LeaderState, "majority_end_offset", majority_end_offset)]


def _old_voters_decide() -> list[Patch]:
    return [(LeaderState, "change_voters", lambda leader, voters: None)]


def _change_before_own_epoch() -> list[Patch]:
    original = voter_changes._not_now

    def not_now(node: Node) -> Any:
        leader = node.leader
        assert leader is not None
        known, leader.high_watermark = leader.high_watermark, max(leader.high_watermark, node.high_watermark)
        try:
            return original(node)
        finally:
            leader.high_watermark = known

    return [(voter_changes, "_not_now", not_now)]


def _changes_overlap() -> list[Patch]:
    def not_now(node: Node) -> Any:
        node.pending_change = None
        return None if node.history.kraft_version else (42, "")

    return [(voter_changes, "_not_now", not_now)]


def _voters_survive_truncation() -> list[Patch]:
    return [(VoterHistory, "truncate_from_end", lambda history, end_offset: None)]


def _snapshot_without_voters() -> list[Patch]:
    original = Node.snapshot_installed

    def installed(node: Node, snapshot: Any, controls: Any) -> None:
        sets, levels = node.history._sets, node.history._levels
        with patch.object(VoterHistory, "reset", lambda *_: None):
            original(node, snapshot, controls)
        node.history._sets, node.history._levels = sets, levels

    return [(Node, "snapshot_installed", installed)]


def _snapshot_beside_a_longer_log() -> list[Patch]:
    return [(Node, "_log_contains", lambda node, snapshot: snapshot.end_offset <= node.log.end_offset)]


def _snapshot_epoch_ignored() -> list[Patch]:
    return [
        (
            requests,
            "_needs_snapshot",
            lambda node, offset, epoch: (
                offset < node.log.start_offset or (offset == 0 and node.log.start_offset > 0)
            ),
        )
    ]


def _epoch_below_the_log_unknown() -> list[Patch]:
    return [(Node, "end_offset_for_epoch", lambda node, epoch: node.log.end_offset_for_epoch(epoch))]


def _removed_voters_stand_still() -> list[Patch]:
    return [(Node, "has_right_to_vote", lambda node: node.is_voter)]


def _snapshot_overwritten_while_installed() -> list[Patch]:
    return [(Node, "is_installing", False)]


ZOO: tuple[Mutation, ...] = (
    Mutation("vote not stored", "testing.md, quorum", 10, _vote_not_stored),
    Mutation("told before stored", "vote without a durable file", 10, _told_before_stored),
    Mutation("votes twice in an epoch", "Raft 5.2", 30, _votes_twice),
    Mutation("log not compared for a vote", "Raft 5.4.1", 30, _shorter_log_wins),
    Mutation("log compared by length alone", "Raft 5.4.1", 150, _longest_log_wins),
    Mutation("pre-votes elect", "KIP-996", 20, _pre_votes_elect),
    Mutation("former leader leads on", "KIP-595, Resigned", 40, _former_leader_leads_on),
    Mutation("former leader votes in its epoch", "KIP-595, Resigned", 20, _former_leader_votes),
    Mutation("old epoch committed by count", "Raft figure 8", 400, _old_epoch_by_count),
    Mutation("leader counts what is not synced", "flush first", 50, _leader_counts_unsynced),
    Mutation(
        "follower fetches past what is synced",
        "acknowledge before durability",
        10,
        _follower_fetches_unsynced,
    ),
    Mutation("cut at the high watermark", "KIP-101", 60, _cut_at_high_watermark),
    Mutation("cut without own epochs", "KIP-279", 60, _cut_without_epochs),
    Mutation("divergence not told", "KIP-595, DivergingEpoch", 20, _no_divergence),
    Mutation("epoch of a Fetch not checked", "KIP-320", 40, _no_fencing),
    Mutation("answers of earlier epochs count", "KAFKA-17754 in kind", 10, _stale_answers_count),
    Mutation("high watermark above the log", "KIP-595", 10, _high_watermark_above_the_log),
    Mutation("half is a majority", "off by one", 10, _half_is_a_majority),
    Mutation("old voters decide a change", "KIP-853", 300, _old_voters_decide),
    Mutation(
        "change before a record of the own epoch",
        "Raft single-server change, 2015",
        3_000,
        _change_before_own_epoch,
    ),
    Mutation("two changes at once", "KIP-853", 40, _changes_overlap),
    Mutation("voters survive a cut", "KIP-853", 40, _voters_survive_truncation),
    Mutation("snapshot without its voters", "KIP-853", 150, _snapshot_without_voters),
    Mutation("snapshot beside a longer, other log", "KAFKA-12158 in kind", 30, _snapshot_beside_a_longer_log),
    Mutation("epoch below the log ignored", "KIP-630", 30, _snapshot_epoch_ignored),
    Mutation("epoch below the log unknown", "found here, seed 288", 700, _epoch_below_the_log_unknown),
    Mutation(
        "who removed itself cannot stand",
        "found here, seed 137; Raft dissertation 4.2.2",
        600,
        _removed_voters_stand_still,
    ),
    Mutation(
        "snapshot overwritten while it is installed",
        "found here",
        2_000,
        _snapshot_overwritten_while_installed,
    ),
)

HARMLESS: tuple[Mutation, ...] = (
    # A Fetch leaves only when the whole log is synced, and only its answer cuts the log: no sync is under way then.
    # The one that an installed snapshot overtakes ends below it. None of 18,819 syncs of 300 seeds was of before a
    # cut.
    Mutation("sync from before a cut counts", "sync and truncation race", 300, _stale_sync_counts),
)
