"""What was sent to one log and what was promised of it: the truth that a recovered log is compared with.

In: batches before they are appended, answers, deletions. Out: for a log that ends at some offset, what has to
be there, what may be there, and what producers, transactions and epochs must look like. It never looks at the
broker's own state.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pybroker.records.batch import Record

SENT, STORED, FAILED = "sent", "stored", "failed"


@dataclass(slots=True)
class Sent:
    """One batch, stamped as it must be in the log. `marker`: None for data, else whether it commits."""

    base: int
    end: int
    data: bytes
    records: list[Record]
    sent_ms: int
    producer_id: int = -1
    producer_epoch: int = -1
    sequence: int = -1
    transactional: bool = False
    marker: bool | None = None
    state: str = SENT

    @property
    def last(self) -> int:
        return self.end - 1

    @property
    def max_timestamp(self) -> int:
        return max(record.timestamp for record in self.records)


@dataclass(slots=True)
class Transaction:
    """One transaction in one log; `committed` None while it is open, `end` the offset after its marker."""

    producer_id: int
    first: int
    committed: bool | None = None
    end: int = -1


@dataclass(slots=True)
class Ledger:
    """One log. `acked`: everything below was acknowledged; `stored`: everything below was taken; `exposed`:
    everything below was shown to readers."""

    batches: list[Sent] = field(default_factory=list)
    # What a crash or another leader took: a power loss may bring back what was cut and not written over.
    ghosts: list[Sent] = field(default_factory=list)
    acked: int = 0
    stored: int = 0
    exposed: int = 0
    # The log may start here at most (DeleteRecords, retention).
    allowed_start: int = 0
    # Where an empty log may have begun.
    starts: set[int] = field(default_factory=lambda: {0})
    # Below this the cleaner may have been.
    cleaned: int = 0
    # Next sequence of each producer.
    sequences: dict[int, int] = field(default_factory=dict)

    def live(self) -> list[Sent]:
        """The batches that were not refused, in the order of the log."""
        return [sent for sent in self.batches if sent.state != FAILED]

    def candidates(self, base: int) -> list[Sent]:
        return [sent for sent in (*self.batches, *self.ghosts) if sent.base == base]

    def allow_start(self, offset: int) -> None:
        self.allowed_start = max(self.allowed_start, offset)

    def cut(self, end: int) -> None:
        """The log ends at `end` now, after a crash or a truncation."""
        self.keep([sent for sent in self.live() if sent.end <= end])
        self.stored = end
        self.acked = min(self.acked, end)
        self.exposed = min(self.exposed, end)
        self.cleaned = min(self.cleaned, end)
        self.allowed_start = min(self.allowed_start, end)
        self.sequences = {}
        for sent in self.batches:
            if sent.sequence >= 0:
                self.sequences[sent.producer_id] = sent.sequence + len(sent.records)

    def start_again(self, start: int) -> None:
        """The log is empty and begins at `start` from now on, with what another leader has."""
        self.allow_start(start)
        self.starts.add(start)
        self.keep([])
        self.cut(start)
        self.cleaned = start
        self.exposed = start

    def keep(self, batches: list[Sent]) -> None:
        """These are in the log, or were until they were cleaned; of others nothing is known any more."""
        kept = {id(sent) for sent in batches}
        self.ghosts = [sent for sent in (*self.batches, *self.ghosts) if id(sent) not in kept]
        self.batches = sorted(batches, key=lambda sent: sent.base)
        for sent in self.batches:
            sent.state = STORED

    def transactions(self) -> list[Transaction]:
        """Of everything that was taken."""
        return transactions_of(self.live())


def transactions_of(batches: list[Sent]) -> list[Transaction]:
    found: list[Transaction] = []
    current: dict[int, Transaction] = {}
    for sent in batches:
        if not sent.transactional:
            continue
        if sent.marker is None:
            if sent.producer_id not in current:
                current[sent.producer_id] = Transaction(sent.producer_id, sent.base)
                found.append(current[sent.producer_id])
        elif sent.producer_id in current:
            transaction = current.pop(sent.producer_id)
            transaction.committed = sent.marker
            transaction.end = sent.end
    return found
