"""The analysis finds what it is made for: one small history per anomaly."""

from __future__ import annotations

import pytest

from tests.checker.analysis import Analysis
from tests.checker.history import FAIL, INFO, OK, Operation, Poll, Send


def txn(worker, *steps, outcome=OK, **fields):
    made = [Poll(step) if isinstance(step, dict) else Send(*step) for step in steps]
    return Operation(worker, "txn", outcome, made, **fields)


def read(records, worker=9, **fields):
    return Operation(worker, "poll", OK, [Poll(records)], **fields)


EVERYTHING = read({0: [(0, 1), (2, 2), (4, 3)], 1: [(0, 7)]}, final=True)
WRITES = [txn(1, (0, 1, 0)), txn(1, (0, 2, 2), (1, 7, 0)), txn(1, (0, 3, 4))]


def anomalies(*operations, complete=True):
    return set(Analysis(list(operations), complete=complete).run())


def test_a_good_history():
    assert anomalies(*WRITES, EVERYTHING) == set()
    follower = [
        Operation(2, "assign", OK, keys=(0, 1)),
        txn(2, {0: [(0, 1)]}),
        txn(2, {0: [(2, 2)]}, (0, 8, None), outcome=FAIL),
        txn(2, {0: [(2, 2), (4, 3)]}),
    ]
    assert anomalies(*WRITES, *follower, EVERYTHING) == set()


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("inconsistent-offsets", [*WRITES, read({0: [(0, 9)]}), EVERYTHING]),
        ("never-sent", [*WRITES, read({0: [(9, 99)]}), EVERYTHING]),
        ("duplicate", [*WRITES, read({0: [(0, 1), (2, 2), (4, 3), (6, 1)], 1: [(0, 7)]})]),
        ("G1a", [*WRITES, txn(2, (0, 5, None), outcome=FAIL), read({0: [(6, 5)]}), EVERYTHING]),
        ("precommitted-read", [txn(1, (0, 1, 0), {0: [(0, 1)]})]),
        ("G1b", [txn(1, (0, 1, 0), (1, 7, None), outcome=INFO), read({0: [(0, 1)]})]),
        ("lost-write", [*WRITES, read({0: [(0, 1), (4, 3)], 1: [(0, 7)]})]),
        ("unseen", [*WRITES, read({0: [(0, 1), (2, 2)], 1: [(0, 7)]})]),
        ("int-poll-skip", [*WRITES, read({0: [(0, 1), (4, 3)]}), EVERYTHING]),
        ("int-nonmonotonic-poll", [*WRITES, read({0: [(2, 2), (0, 1)]}), EVERYTHING]),
        ("offsets-of-a-poll", [*WRITES, read({0: [(2, 2), (2, 2)]}), EVERYTHING]),
        ("poll-skip", [*WRITES, txn(2, {0: [(0, 1)]}), txn(2, {0: [(4, 3)]}), EVERYTHING]),
        ("nonmonotonic-poll", [*WRITES, txn(2, {0: [(2, 2)]}), txn(2, {0: [(0, 1)]}), EVERYTHING]),
        (
            "nonmonotonic-send",
            [txn(1, (0, 2, 2)), txn(1, (0, 1, 0)), txn(1, (0, 3, 4), (1, 7, 0)), EVERYTHING],
        ),
        ("int-nonmonotonic-send", [txn(1, (0, 2, 2), (0, 1, 0)), txn(1, (0, 3, 4), (1, 7, 0)), EVERYTHING]),
        ("G1c", [txn(1, (0, 1, 0), {1: [(0, 7)]}), txn(2, (1, 7, 0), {0: [(0, 1)]})]),
    ],
)
def test_anomalies(name, operations):
    assert name in anomalies(*operations)


def test_a_subscribed_consumer_may_skip_and_go_back():
    moved = [
        txn(2, {0: [(0, 1)]}, assigned=False),
        txn(2, {0: [(4, 3)]}, assigned=False),
        txn(2, {0: [(2, 2)]}, assigned=False),
    ]
    assert anomalies(*WRITES, *moved, EVERYTHING) == set()


def test_a_new_assignment_forgets():
    again = [
        txn(2, {0: [(2, 2)]}),
        Operation(2, "assign", OK, keys=(0,)),
        txn(2, {0: [(0, 1)]}),
    ]
    assert anomalies(*WRITES, *again, EVERYTHING) == set()
    again[1].carried = (0,)
    assert anomalies(*WRITES, *again, EVERYTHING) == {"nonmonotonic-poll"}


def test_write_cycles_are_no_anomaly():
    first = txn(1, (0, 1, 0), (1, 8, 2))
    second = txn(2, (1, 7, 0), (0, 2, 2))
    assert anomalies(first, second, read({0: [(0, 1), (2, 2)], 1: [(0, 7), (2, 8)]})) == set()
