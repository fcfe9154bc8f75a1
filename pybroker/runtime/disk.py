"""Real files: `FileSystem` and `File` of pybroker.common.files over system calls.

In go paths and buffers, out come bytes and OSError with its errno. What must hold: no user-space buffer
between a write and the kernel, no cursor, no retry of a failed sync. This is the only module that calls
the operating system's file functions.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence

from pybroker.common.files import Buffer

# The kernel refuses a vector of more than IOV_MAX (1024 on Linux) buffers.
_VECTOR_MAX = 1024
# No system call is given more than this at a time: Linux moves at most 0x7ffff000 bytes in one.
_READ_MAX_BYTES = 1 << 30
# Reads from here on go into buffers that are used again; clients ask for a mebibyte of a partition.
_LARGE_READ_BYTES = 64 << 10
_READ_BUFFER_BYTES = 1 << 20
# Those that are read in advance (log/read_ahead.py), and two for the replies under way.
_READ_BUFFERS_MAX = 6

_RWF_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)
_NO_NOWAIT_ERRNOS = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


class ReadBuffers:
    """Memory for large reads: neither cleared nor copied, and still in the processor's cache from last time.

    A buffer is lent until nobody holds a view of it. When all are lent, new memory is taken. One thread.
    """

    __slots__ = ("_buffers",)

    def __init__(self) -> None:
        self._buffers: list[bytearray] = []

    def lend(self, count: int) -> memoryview:
        """Writable memory of `count` bytes with any content."""
        if _LARGE_READ_BYTES <= count <= _READ_BUFFER_BYTES:
            for buffer in self._buffers:
                try:
                    # A bytearray refuses to be resized while there are views of it.
                    buffer.pop()
                except BufferError:
                    continue
                buffer.append(0)
                return memoryview(buffer)[:count]
            if len(self._buffers) < _READ_BUFFERS_MAX:
                buffer = bytearray(_READ_BUFFER_BYTES)
                self._buffers.append(buffer)
                return memoryview(buffer)[:count]
        return memoryview(bytearray(count))


class DiskFile:
    """An open file descriptor with positioned reads and writes."""

    __slots__ = ("_buffers", "_descriptor", "_nowait", "_path")

    def __init__(self, path: str, descriptor: int, buffers: ReadBuffers) -> None:
        self._path = path
        self._descriptor = descriptor
        self._buffers = buffers
        self._nowait = _RWF_NOWAIT != 0 and hasattr(os, "preadv")

    @property
    def path(self) -> str:
        return self._path

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def pread(self, count: int, offset: int) -> bytes:
        data = os.pread(self._descriptor, min(count, _READ_MAX_BYTES), offset)
        if len(data) == count or not data:
            return data
        # Short reads happen at the end of the file and when a signal arrives: go on until nothing comes.
        chunks = [data]
        have = len(data)
        while have < count:
            data = os.pread(self._descriptor, min(count - have, _READ_MAX_BYTES), offset + have)
            if not data:
                break
            chunks.append(data)
            have += len(data)
        return b"".join(chunks)

    def pread_cached(self, count: int, offset: int) -> bytes | memoryview | None:
        if not self._nowait:
            return self.pread(count, offset)
        buffer = self._buffers.lend(count)
        try:
            have = os.preadv(self._descriptor, [buffer], offset, _RWF_NOWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in _NO_NOWAIT_ERRNOS:
                raise
            # tmpfs and others do not know the flag; what they hold is in memory or has to be waited for.
            self._nowait = False
            return self.pread(count, offset)
        if have == count or offset + have >= self.size():
            return buffer[:have].toreadonly()
        return None

    def pwrite(self, buffers: Sequence[Buffer], offset: int) -> int:
        if len(buffers) == 1:
            return os.pwrite(self._descriptor, buffers[0], offset)
        if len(buffers) <= _VECTOR_MAX:
            return os.pwritev(self._descriptor, buffers, offset)
        written = 0
        for start in range(0, len(buffers), _VECTOR_MAX):
            part = buffers[start : start + _VECTOR_MAX]
            count = os.pwritev(self._descriptor, part, offset + written)
            written += count
            if count < sum(len(buffer) for buffer in part):
                break
        return written

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class DiskFileSystem:
    """The machine's file system. Locks are flock's, so they end with the process."""

    __slots__ = ("_buffers", "_locks")

    def __init__(self) -> None:
        self._buffers = ReadBuffers()
        self._locks: dict[str, int] = {}

    def open(self, path: str, *, create: bool = False, read_only: bool = False) -> DiskFile:
        flags = os.O_CLOEXEC | (os.O_RDONLY if read_only and not create else os.O_RDWR)
        if create:
            flags |= os.O_CREAT
        return DiskFile(path, os.open(path, flags, 0o644), self._buffers)

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def is_dir(self, path: str) -> bool:
        return os.path.isdir(path)

    def file_size(self, path: str) -> int:
        return os.stat(path).st_size

    def modified_ms(self, path: str) -> int:
        return os.stat(path).st_mtime_ns // 1_000_000

    def list_dir(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def make_dirs(self, path: str) -> None:
        try:
            os.mkdir(path, 0o755)
        except OSError:
            # There already, or without a parent: the slower call knows.
            os.makedirs(path, mode=0o755, exist_ok=True)

    def rename(self, source: str, target: str) -> None:
        os.replace(source, target)

    def remove(self, path: str) -> None:
        os.remove(path)

    def remove_tree(self, path: str) -> None:
        # Late: it is rarely needed, and slow to import.
        import shutil

        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            # Missing from the start, or removed by someone else half way: the second try settles it.
            if os.path.exists(path):
                shutil.rmtree(path)

    def sync_dir(self, path: str) -> None:
        descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, path: str) -> tuple[int, int]:
        status = os.statvfs(path)
        return status.f_frsize * status.f_blocks, status.f_frsize * status.f_bavail

    def lock(self, path: str) -> None:
        key = os.path.realpath(path)
        if key in self._locks:
            raise BlockingIOError(errno.EAGAIN, "locked already by this process", path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        self._locks[key] = descriptor

    def unlock(self, path: str) -> None:
        descriptor = self._locks.pop(os.path.realpath(path), -1)
        if descriptor >= 0:
            os.close(descriptor)

    def close(self) -> None:
        """Release every lock that is still held, as the end of the process would."""
        while self._locks:
            os.close(self._locks.popitem()[1])
