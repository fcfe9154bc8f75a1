"""A file system in memory: the in-memory mode of the broker, and the base of tests.

It keeps the bytes of each file in one bytearray and never loses any; the simulated disk that loses
unsynced bytes is built on the same protocol by the simulation.
"""

from __future__ import annotations

import errno
import os.path
from collections.abc import Sequence

from pybroker.common.files import Buffer

_GROWTH_LIMIT_BYTES = 1 << 40


class _Node:
    """Content of one file; shared by all who have it open, so a removed file stays readable."""

    __slots__ = ("data", "modified_ms", "sparse_size")

    def __init__(self) -> None:
        self.data = bytearray()
        # Pre-allocated index files are extended by megabytes of zeros that nobody reads: they are
        # remembered as a length, not held as bytes.
        self.sparse_size = 0
        self.modified_ms = 0


class MemoryFile:
    """An open file of MemoryFileSystem."""

    __slots__ = ("_node", "_path", "_read_only")

    def __init__(self, path: str, node: _Node, read_only: bool) -> None:
        self._path = path
        self._node = node
        self._read_only = read_only

    @property
    def path(self) -> str:
        return self._path

    def size(self) -> int:
        return max(len(self._node.data), self._node.sparse_size)

    def pread(self, count: int, offset: int) -> bytes:
        data = self._node.data
        found = bytes(memoryview(data)[offset : offset + count])
        missing = min(count, self.size() - offset) - len(found)
        return found + bytes(missing) if missing > 0 else found

    def pread_cached(self, count: int, offset: int) -> bytes | None:
        return self.pread(count, offset)

    def pwrite(self, buffers: Sequence[Buffer], offset: int) -> int:
        if self._read_only:
            raise OSError(errno.EBADF, "file is open for reading only", self._path)
        data = self._node.data
        position = offset
        for buffer in buffers:
            end = position + len(buffer)
            if end > _GROWTH_LIMIT_BYTES:
                raise OSError(errno.EFBIG, "file too large", self._path)
            if position > len(data):
                data.extend(bytes(position - len(data)))
            data[position:end] = buffer
            position = end
        return position - offset

    def truncate(self, size: int) -> None:
        if self._read_only:
            raise OSError(errno.EBADF, "file is open for reading only", self._path)
        del self._node.data[size:]
        self._node.sparse_size = size

    def sync(self) -> None:
        """Memory has nothing to sync to."""

    def close(self) -> None:
        """Nothing is held."""


class MemoryFileSystem:
    """Directories and files in two dicts, keyed by normalised path."""

    def __init__(self) -> None:
        self._files: dict[str, _Node] = {}
        self._dirs: set[str] = {"/", "."}
        self._locked: set[str] = set()

    def open(self, path: str, *, create: bool = False, read_only: bool = False) -> MemoryFile:
        key = os.path.normpath(path)
        node = self._files.get(key)
        if node is None:
            if key in self._dirs:
                raise IsADirectoryError(errno.EISDIR, "is a directory", path)
            if not create:
                raise FileNotFoundError(errno.ENOENT, "no such file", path)
            if (os.path.dirname(key) or ".") not in self._dirs:
                raise FileNotFoundError(errno.ENOENT, "no such directory", path)
            node = self._files[key] = _Node()
        return MemoryFile(path, node, read_only)

    def exists(self, path: str) -> bool:
        key = os.path.normpath(path)
        return key in self._files or key in self._dirs

    def is_dir(self, path: str) -> bool:
        return os.path.normpath(path) in self._dirs

    def file_size(self, path: str) -> int:
        return self.open(path, read_only=True).size()

    def modified_ms(self, path: str) -> int:
        return self._files[os.path.normpath(path)].modified_ms

    def list_dir(self, path: str) -> list[str]:
        key = os.path.normpath(path)
        if key not in self._dirs:
            raise FileNotFoundError(errno.ENOENT, "no such directory", path)
        return sorted(
            os.path.basename(name)
            for name in (*self._files, *self._dirs)
            if name != key and (os.path.dirname(name) or ".") == key
        )

    def make_dirs(self, path: str) -> None:
        key = os.path.normpath(path)
        while key and key not in self._dirs:
            if key in self._files:
                raise FileExistsError(errno.EEXIST, "a file has this name", path)
            self._dirs.add(key)
            key = os.path.dirname(key)

    def rename(self, source: str, target: str) -> None:
        old, new = os.path.normpath(source), os.path.normpath(target)
        if old in self._files:
            self._files[new] = self._files.pop(old)
            return
        if old not in self._dirs:
            raise FileNotFoundError(errno.ENOENT, "no such file or directory", source)
        if self.exists(target):
            raise OSError(errno.ENOTEMPTY, "target exists", target)
        prefix = old + "/"
        for name in [name for name in self._files if name.startswith(prefix)]:
            self._files[new + name[len(old) :]] = self._files.pop(name)
        for name in sorted(name for name in self._dirs if name == old or name.startswith(prefix)):
            self._dirs.remove(name)
            self._dirs.add(new + name[len(old) :])

    def remove(self, path: str) -> None:
        if self._files.pop(os.path.normpath(path), None) is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)

    def remove_tree(self, path: str) -> None:
        key = os.path.normpath(path)
        prefix = key + "/"
        for name in [name for name in self._files if name == key or name.startswith(prefix)]:
            del self._files[name]
        self._dirs -= {name for name in self._dirs if name == key or name.startswith(prefix)}

    def sync_dir(self, path: str) -> None:
        """Memory has nothing to sync to."""

    def free_bytes(self, path: str) -> tuple[int, int]:
        return (-1, -1)

    def lock(self, path: str) -> None:
        key = os.path.normpath(path)
        if key in self._locked:
            raise BlockingIOError(errno.EAGAIN, "locked already", path)
        self.open(path, create=True)
        self._locked.add(key)

    def unlock(self, path: str) -> None:
        self._locked.discard(os.path.normpath(path))
