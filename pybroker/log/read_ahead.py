"""Reading on behind a consumer: while it works on one piece of a segment, the next is brought into memory.

In: the large reads of consumers, a way to be called when the answer is on its way. Out: bytes that the next
read finds ready. What must hold: nothing waits for a disk, memory is bounded, bytes of a segment that was cut
or closed are not given out, and readers that jump about cost no second read: only one that went on where it
was expected to is read for in advance.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from pybroker.common.clock import Clock
from pybroker.common.errors import CorruptionError
from pybroker.common.files import File
from pybroker.records.batch import iter_headers

if TYPE_CHECKING:
    from pybroker.log.segment import Segment

# Below, the time to read is little beside that of the request; above, it would hold up the loop.
LEAST_BYTES: Final = 64 << 10
_MOST_BYTES: Final = 1 << 20
_READY_MAX: Final = 4
_EXPECTED_MAX: Final = 64
# A piece that nobody came for in this time makes room for another reader's.
_KEPT_MS: Final = 1000
# From an entry of the index to the end of what was read there are 4 KiB and one batch.
_WALKED_MAX: Final = 64

_Place = tuple["Segment", int]


class ReadAhead:
    """Of all logs of a broker. `soon` calls back once the answer under way has been written."""

    __slots__ = ("_clock", "_expected", "_ready", "_soon")

    def __init__(self, clock: Clock, soon: Callable[[Callable[[], None]], None]) -> None:
        self._clock = clock
        self._soon = soon
        # Where consumers will read next: without and with the bytes, the latter since a time.
        self._expected: OrderedDict[_Place, None] = OrderedDict()
        self._ready: OrderedDict[_Place, tuple[bytes | memoryview, float]] = OrderedDict()

    def read(self, segment: Segment, count: int, position: int, end: int) -> bytes | memoryview | None:
        """`count` bytes of a segment, from where a batch begins; None if not in memory. `end`: where
        those end that the consumer may have. OSError."""
        file = segment.read_handle()
        if not LEAST_BYTES <= count <= _MOST_BYTES:
            return file.pread_cached(count, position)
        place = segment, position
        data, _ = self._ready.pop(place, (None, 0))
        in_order = data is not None or place in self._expected
        self._expected.pop(place, None)
        if data is None or len(data) < count:
            data = file.pread_cached(count, position)
        elif len(data) > count:
            data = data[:count]
        if data is not None and position + count < end:
            # Worked out at once, so that the memory is free when the next piece is read.
            whole = _whole_bytes(segment, position, data)
            if whole:
                self._soon(partial(self._go_on, (segment, position + whole), file, count, in_order))
            elif in_order:
                # The first batch alone is longer; it is asked for next, whole.
                self._expect(place)
        return data

    def forget(self, segment: Segment) -> None:
        """The segment was cut, closed or removed."""
        for places in (self._ready, self._expected):
            for place in [place for place in places if place[0] is segment]:
                del places[place]

    def _go_on(self, place: _Place, file: File, count: int, in_order: bool) -> None:
        """A consumer will ask for `place`, as it seems."""
        segment, position = place
        if in_order and place not in self._ready and position + count <= segment.size and self._has_room():
            # What cannot be read now is met again, and reported, by the read itself.
            with suppress(OSError):
                ahead = file.pread_cached(count, position)
                if ahead is not None and len(ahead) == count:
                    self._ready[place] = ahead, self._clock.monotonic_ms()
                    return
        self._expect(place)

    def _expect(self, place: _Place) -> None:
        self._expected[place] = None
        if len(self._expected) > _EXPECTED_MAX:
            self._expected.popitem(last=False)

    def _has_room(self) -> bool:
        ready = self._ready
        if len(ready) < _READY_MAX:
            return True
        oldest, (_, since_ms) = next(iter(ready.items()))
        if self._clock.monotonic_ms() - since_ms < _KEPT_MS:
            return False
        del ready[oldest]
        return True


def _whole_bytes(segment: Segment, position: int, data: bytes | memoryview) -> int:
    """Bytes of the batches that are whole in `data`, as far as a short walk from the index tells."""
    end = max(segment.offset_index.before_position(position + len(data)) - position, 0)
    # Whoever reads on meets the damage; where the walk ends early, nobody comes to the place it tells.
    with suppress(CorruptionError):
        for here, header in islice(iter_headers(data, end), _WALKED_MAX):
            end = here + header.size
    return end
