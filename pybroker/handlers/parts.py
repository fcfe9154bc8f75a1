"""Cuts a request with many partitions into parts, and joins the topics of their answers.

In: the topics of a request, or of an answer. Out: lists of topics with at most `PART_PARTITIONS` partitions.
What must hold: the parts, one after the other, are the request, in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")

PART_PARTITIONS: Final = 200
# A topic without partitions costs too.
_TOPIC_COST: Final = 1


def parts(topics: list[T], count: Callable[[T], int], cut: Callable[[T, int, int], T]) -> Iterator[list[T]]:
    """`count(topic)` is its number of partitions, `cut(topic, start, end)` the topic with some of them."""
    part: list[T] = []
    room = PART_PARTITIONS
    for topic in topics:
        partitions = count(topic)
        start = 0
        while True:
            end = min(start + max(room - _TOPIC_COST, 0), partitions)
            whole = start == 0 and end == partitions
            if end > start or whole:
                part.append(topic if whole else cut(topic, start, end))
            room -= end - start + _TOPIC_COST
            start = end
            if room <= 0:
                yield part
                part, room = [], PART_PARTITIONS
            if start >= partitions:
                break
    if part:
        yield part


def join(joined: list[T], more: list[T], same: Callable[[T, T], bool], add: Callable[[T, T], None]) -> None:
    """Add the topics of the next part's answer; its first one may go on with the last one that is there."""
    if joined and more and same(joined[-1], more[0]):
        add(joined[-1], more[0])
        more = more[1:]
    joined += more
