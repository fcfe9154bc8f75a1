"""Who votes: the set of voters, and its history along the log.

In: the voters of the configuration, control records of the log and of snapshots. Out: the set that counts at
an offset, and the control records that state it. What must hold: the newest set in the log counts at once,
committed or not (KIP-853); when the log is cut, the sets above the cut are forgotten.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from pybroker.common.errors import CorruptionError, ProtocolError
from pybroker.records.control import ControlRecord, ControlType
from pybroker.wire.message import ZERO_UUID
from pybroker.wire.schemas.metadata_records import (
    Endpoint,
    KRaftVersionFeature,
    KRaftVersionRecord,
    VotersRecord,
    VotersVoter,
    decode_control,
    encode_control,
)

KRAFT_VERSION_MAX: Final = 1
"""The highest level of the feature `kraft.version` here: 1 is voters on record, with directory ids."""


class ReplicaKey(NamedTuple):
    """A replica: node and log directory. The zero id stands for a directory that is not known."""

    node_id: int
    directory_id: bytes = ZERO_UUID

    def __str__(self) -> str:
        """As Kafka's messages show it."""
        directory = base64.urlsafe_b64encode(self.directory_id).rstrip(b"=").decode()
        shown = "<undefined>" if self.directory_id == ZERO_UUID else directory
        return f"ReplicaKey(id={self.node_id}, directoryId={shown})"


class Voter(NamedTuple):
    """A member of the quorum; endpoints are (listener name, host, port), the quorum's own listener first."""

    voter_id: int
    directory_id: bytes = ZERO_UUID
    endpoints: tuple[tuple[str, str, int], ...] = ()
    kraft_versions: tuple[int, int] = (0, KRAFT_VERSION_MAX)

    @property
    def key(self) -> ReplicaKey:
        return ReplicaKey(self.voter_id, self.directory_id)


class VoterSet(tuple[Voter, ...]):
    """Voters in the order of their ids; immutable."""

    __slots__ = ()

    def __new__(cls, voters: Iterable[Voter] = ()) -> VoterSet:
        ordered = sorted(voters, key=lambda voter: voter.voter_id)
        if len({voter.voter_id for voter in ordered}) != len(ordered):
            raise CorruptionError(f"a voter is named twice in {[voter.voter_id for voter in ordered]}")
        return super().__new__(cls, ordered)

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(voter.voter_id for voter in self)

    def __str__(self) -> str:
        """As Kafka's messages show their keys."""
        return f"[{', '.join(str(voter.key) for voter in self)}]"

    @property
    def majority(self) -> int:
        """How many voters decide."""
        return len(self) // 2 + 1

    def get(self, voter_id: int) -> Voter | None:
        return next((voter for voter in self if voter.voter_id == voter_id), None)

    def has(self, key: ReplicaKey) -> bool:
        """Whether the replica votes: the id, and the directory where the set names one."""
        voter = self.get(key.node_id)
        return voter is not None and voter.directory_id in (ZERO_UUID, key.directory_id)

    def with_voter(self, voter: Voter) -> VoterSet:
        return VoterSet((*self, voter))

    def without(self, key: ReplicaKey) -> VoterSet:
        return VoterSet(voter for voter in self if voter.key != key)

    def replaced(self, voter: Voter) -> VoterSet:
        return VoterSet(voter if old.voter_id == voter.voter_id else old for old in self)


NO_VOTERS: Final = VoterSet()


class VoterHistory:
    """The sets and levels of `kraft.version` that the log and its snapshot state, by offset."""

    __slots__ = ("_levels", "_sets", "_static")

    def __init__(self, static: VoterSet) -> None:
        """`static` counts as long as the log states no set (kraft.version 0)."""
        self._static = static
        self._sets: list[tuple[int, VoterSet]] = []
        self._levels: list[tuple[int, int]] = []

    @property
    def voters(self) -> VoterSet:
        """The set that counts now."""
        return self._sets[-1][1] if self._sets else self._static

    @property
    def voters_offset(self) -> int:
        """Where the set that counts now is stated; -1 for one that is not in the log."""
        return self._sets[-1][0] if self._sets else -1

    @property
    def voters_before(self) -> VoterSet | None:
        """The set that the newest one in the log has replaced."""
        if not self._sets:
            return None
        return self._sets[-2][1] if len(self._sets) > 1 else self._static

    @property
    def kraft_version(self) -> int:
        return self._levels[-1][1] if self._levels else 0

    def at(self, offset: int) -> tuple[int, VoterSet | None]:
        """(kraft.version, set on record) as the records below `offset` state them: what a snapshot holds."""
        sets = [voters for at, voters in self._sets if at < offset]
        levels = [level for at, level in self._levels if at < offset]
        return levels[-1] if levels else 0, sets[-1] if sets else None

    def add(self, offset: int, record: ControlRecord) -> None:
        """Take a control record of the log in; others than the two kinds are ignored. CorruptionError."""
        try:
            if record.type == ControlType.KRAFT_VERSION:
                version = decode_control(record.type, record.value)
                assert isinstance(version, KRaftVersionRecord)
                self._levels.append((offset, version.k_raft_version))
            elif record.type == ControlType.KRAFT_VOTERS:
                voters = decode_control(record.type, record.value)
                assert isinstance(voters, VotersRecord)
                self._sets.append((offset, decode_voters(voters)))
        except ProtocolError as error:
            raise CorruptionError(f"control record at offset {offset} cannot be read: {error}") from error

    def truncate_from_end(self, end_offset: int) -> None:
        """Forget what is stated at or above `end_offset`."""
        self._sets = [item for item in self._sets if item[0] < end_offset]
        self._levels = [item for item in self._levels if item[0] < end_offset]

    def truncate_from_start(self, start_offset: int) -> None:
        """Keep one statement below `start_offset`, where a snapshot has it."""
        for items in (self._sets, self._levels):
            while len(items) > 1 and items[1][0] < start_offset:
                del items[0]

    def reset(self, end_offset: int, records: Iterable[ControlRecord]) -> None:
        """Start anew from the control records of a snapshot that ends at `end_offset`."""
        self._sets, self._levels = [], []
        for record in records:
            self.add(end_offset - 1, record)


def decode_voters(record: VotersRecord) -> VoterSet:
    return VoterSet(
        Voter(
            voter.voter_id,
            voter.voter_directory_id,
            tuple((endpoint.name, endpoint.host, endpoint.port) for endpoint in voter.endpoints),
            (
                voter.k_raft_version_feature.min_supported_version,
                voter.k_raft_version_feature.max_supported_version,
            ),
        )
        for voter in record.voters
    )


def encode_voters(voters: Sequence[Voter]) -> tuple[int, bytes]:
    """(type, value) of the control record that states the set."""
    members = [
        VotersVoter(
            voter_id=voter.voter_id,
            voter_directory_id=voter.directory_id,
            endpoints=[Endpoint(name=name, host=host, port=port) for name, host, port in voter.endpoints],
            k_raft_version_feature=KRaftVersionFeature(
                min_supported_version=voter.kraft_versions[0], max_supported_version=voter.kraft_versions[1]
            ),
        )
        for voter in voters
    ]
    return int(ControlType.KRAFT_VOTERS), encode_control(VotersRecord(voters=members))


def voter_records(voters: Sequence[Voter], kraft_version: int = KRAFT_VERSION_MAX) -> list[tuple[int, bytes]]:
    """The control records that state the level of `kraft.version` and the set of voters."""
    level = encode_control(KRaftVersionRecord(k_raft_version=kraft_version))
    return [(int(ControlType.KRAFT_VERSION), level), encode_voters(voters)]
