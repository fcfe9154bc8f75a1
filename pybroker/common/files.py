"""The disk boundary: every file that the cores touch goes through these two protocols.

Real files are `pybroker.runtime.disk.DiskFileSystem`, memory is `pybroker.common.memory_files`. Every
failure is an `OSError` with its errno, as from the system call; the rooms translate it to StorageError.
Paths are plain strings with "/" between the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

Buffer = bytes | bytearray | memoryview


class File(Protocol):
    """An open file with positioned reads and writes; it has no cursor."""

    @property
    def path(self) -> str:
        """Where it was opened; not updated by a rename."""

    def size(self) -> int:
        """Current length in bytes, from the file system."""

    def pread(self, count: int, offset: int) -> bytes:
        """At most `count` bytes from `offset`; fewer only at the end of the file."""

    def pread_cached(self, count: int, offset: int) -> bytes | memoryview | None:
        """As `pread`, but None when the bytes are not all in the page cache (so reading would block).

        The memory is used again when nobody holds it any more. On the loop thread only.
        """

    def pwrite(self, buffers: Sequence[Buffer], offset: int) -> int:
        """Write the buffers back to back at `offset`; returns the bytes written, which may be fewer."""

    def truncate(self, size: int) -> None:
        """Cut or extend with zeros to `size` bytes."""

    def sync(self) -> None:
        """Make data and length durable (fdatasync). Thread safe. Never to be retried after an error."""

    def close(self) -> None:
        """Release the descriptor. Harmless when closed already."""


class FileSystem(Protocol):
    """The directory operations and `open`."""

    def open(self, path: str, *, create: bool = False, read_only: bool = False) -> File:
        """Open a file; with `create` it is made when missing (mode 0644)."""

    def exists(self, path: str) -> bool: ...

    def is_dir(self, path: str) -> bool: ...

    def file_size(self, path: str) -> int: ...

    def modified_ms(self, path: str) -> int:
        """Wall-clock milliseconds of the last change."""

    def list_dir(self, path: str) -> list[str]:
        """Names in a directory, sorted, so that iteration is deterministic."""

    def make_dirs(self, path: str) -> None:
        """Create a directory and its parents; harmless when it exists."""

    def rename(self, source: str, target: str) -> None:
        """Atomic rename, replacing `target`. Works for directories too."""

    def remove(self, path: str) -> None:
        """Remove one file."""

    def remove_tree(self, path: str) -> None:
        """Remove a directory and all below it; harmless when missing."""

    def sync_dir(self, path: str) -> None:
        """Make the entries of a directory durable."""

    def free_bytes(self, path: str) -> tuple[int, int]:
        """(total, usable) bytes of the volume that holds `path`."""

    def lock(self, path: str) -> None:
        """Take an exclusive lock on a file, created when missing, until the process ends or `unlock`.
        BlockingIOError when somebody else has it."""

    def unlock(self, path: str) -> None: ...


def read_file(files: FileSystem, path: str) -> bytes:
    """The whole content of a file."""
    file = files.open(path, read_only=True)
    try:
        return file.pread(file.size(), 0)
    finally:
        file.close()


def write_file(files: FileSystem, path: str, content: bytes) -> None:
    """Replace a file atomically and durably: temporary file, sync, rename, sync of the directory."""
    temporary = path + ".tmp"
    file = files.open(temporary, create=True)
    try:
        file.truncate(0)
        write_fully(file, [content], 0)
        file.sync()
    finally:
        file.close()
    files.rename(temporary, path)
    files.sync_dir(path.rpartition("/")[0] or ".")


def make_dirs_durable(files: FileSystem, path: str) -> None:
    """Create a directory and its parents so that a power loss does not take them away again."""
    # Levels whose names may not be durable, the innermost first.
    unsynced: list[str] = []
    level = path.rstrip("/") or "/"
    while level and not files.exists(level):
        unsynced.append(level)
        level = level.rpartition("/")[0]
    # What is there may be of a process that was killed before it could sync the name.
    if level and level != "/":
        unsynced.append(level)
    for level in reversed(unsynced):
        files.make_dirs(level)
        # A parent that may be searched and not read cannot be synced; it was not ours to make.
        with suppress(PermissionError):
            files.sync_dir(level.rpartition("/")[0] or ("/" if level.startswith("/") else "."))


def write_fully(file: File, buffers: Sequence[Buffer], offset: int) -> int:
    """Write all buffers at `offset`, continuing after short writes; returns the bytes written.

    The system reports a full disk as a short write first and as ENOSPC on the next call, so the caller
    always sees an OSError in that case and never a silent cut.
    """
    total = sum(len(buffer) for buffer in buffers)
    written = file.pwrite(buffers, offset)
    if written < total:
        rest = memoryview(b"".join(buffers))
        while written < total:
            written += file.pwrite([rest[written:]], offset + written)
    return written
