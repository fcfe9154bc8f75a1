"""What a voter must never forget: the file `quorum-state`.

In: its bytes, or a HardState. Out: the other. What must hold: an epoch or a vote is in this file, durably,
before anybody is told of it or a record of that epoch is written; otherwise a restart could vote twice.

    {"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}
"""

from __future__ import annotations

import base64
import json
from typing import Final, NamedTuple

from pybroker.common.errors import CorruptionError
from pybroker.common.files import FileSystem, read_file, write_file

QUORUM_STATE: Final = "quorum-state"
NOBODY: Final = -1


class HardState(NamedTuple):
    """The epoch, its leader if known, and the vote given in it; -1 and the zero id mean nobody."""

    leader_id: int = NOBODY
    leader_epoch: int = 0
    voted_id: int = NOBODY
    voted_directory_id: bytes = bytes(16)


def encode_hard_state(state: HardState) -> bytes:
    """One line of JSON without spaces or newline, the keys in Kafka's order."""
    voted = base64.urlsafe_b64encode(state.voted_directory_id).rstrip(b"=").decode()
    return json.dumps(
        {
            "leaderId": state.leader_id,
            "leaderEpoch": state.leader_epoch,
            "votedId": state.voted_id,
            "votedDirectoryId": voted,
            "data_version": 1,
        },
        separators=(",", ":"),
    ).encode()


def decode_hard_state(content: bytes) -> HardState:
    """CorruptionError when it is not such a file. Version 0 (before Kafka 3.9) has no directory id."""
    try:
        fields = json.loads(content)
        version = fields["data_version"]
        if version not in (0, 1):
            raise CorruptionError(f"{QUORUM_STATE} has data_version {version}")
        text = fields["votedDirectoryId"] if version else ""
        voted = base64.b64decode(text + "==", b"-_", validate=True) if text else bytes(16)
        state = HardState(fields["leaderId"], fields["leaderEpoch"], fields["votedId"], voted)
        if len(voted) != 16 or any(type(number) is not int for number in state[:3]):
            raise CorruptionError(f"{QUORUM_STATE} has {fields}")
        if state.leader_epoch < 0 or min(state.leader_id, state.voted_id) < NOBODY:
            raise CorruptionError(f"{QUORUM_STATE} has {fields}")
        return state
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptionError(f"{QUORUM_STATE} is unreadable: {error!r}") from error


def load_hard_state(files: FileSystem, directory: str) -> HardState | None:
    """The state in `directory`; None when there is none yet. CorruptionError, which names the file."""
    path = f"{directory}/{QUORUM_STATE}"
    if not files.exists(path):
        return None
    try:
        return decode_hard_state(read_file(files, path))
    except CorruptionError as error:
        raise CorruptionError(f"{path}: {error}") from error


def store_hard_state(files: FileSystem, directory: str, state: HardState) -> None:
    """Replace it durably: temporary file, sync, rename, sync of the directory."""
    write_file(files, f"{directory}/{QUORUM_STATE}", encode_hard_state(state))
