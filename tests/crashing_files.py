"""A disk in memory that stops at the Nth change, and what of it a kill or a power loss leaves behind.

In: the number of the change before which everything stops. Out: `Crash`, then `after_kill()` (the system's
cache survives) or `after_power_loss(rng)`: of every file what was synced is there and of the rest nothing, all,
or a piece; a name that was made, renamed or removed is as it was at the last sync of its directory, or as it is
now.
"""

from __future__ import annotations

import os.path
import random
from collections.abc import Sequence

from pybroker.common.files import Buffer
from pybroker.common.memory_files import MemoryFile, MemoryFileSystem, _Node


class Crash(BaseException):
    """Nothing may be done after it; no handler of errors may catch it."""


class CrashingFile(MemoryFile):
    __slots__ = ("_system",)

    def __init__(self, system: CrashingFileSystem, path: str, node: _Node, read_only: bool) -> None:
        super().__init__(path, node, read_only)
        self._system = system

    def pwrite(self, buffers: Sequence[Buffer], offset: int) -> int:
        data = b"".join(buffers)
        if self._system.next_crashes():
            # The kill met the system call half way.
            super().pwrite([data[: len(data) // 2]], offset)
        self._system.change()
        return super().pwrite([data], offset)

    def truncate(self, size: int) -> None:
        self._system.change()
        super().truncate(size)

    def sync(self) -> None:
        self._system.change()
        self._system.synced[self._node] = (bytes(self._node.data), self._node.sparse_size)


class CrashingFileSystem(MemoryFileSystem):
    def __init__(self) -> None:
        super().__init__()
        self.changes = 0
        self.crash_at: int | None = None
        self.crashed = False
        self.synced: dict[_Node, tuple[bytes, int]] = {}
        # Names that survive a power loss.
        self.durable_names: dict[str, _Node] = {}

    def settle(self) -> None:
        """Everything that is there now is durable; counting starts."""
        self.durable_names = dict(self._files)
        self.synced = {node: (bytes(node.data), node.sparse_size) for node in self._files.values()}
        self.changes = 0

    def next_crashes(self) -> bool:
        return self.crash_at is not None and self.changes + 1 >= self.crash_at

    def change(self) -> None:
        if self.crashed or self.next_crashes():
            self.crashed = True
            raise Crash
        self.changes += 1

    def open(self, path: str, *, create: bool = False, read_only: bool = False) -> CrashingFile:
        if create and not self.exists(path):
            self.change()
        super().open(path, create=create, read_only=read_only)
        return CrashingFile(self, path, self._files[os.path.normpath(path)], read_only)

    def rename(self, source: str, target: str) -> None:
        self.change()
        super().rename(source, target)

    def remove(self, path: str) -> None:
        self.change()
        super().remove(path)

    def sync_dir(self, path: str) -> None:
        self.change()
        directory = os.path.normpath(path)
        for names in (self.durable_names, self._files):
            for name in list(names):
                if (os.path.dirname(name) or ".") != directory:
                    continue
                if name in self._files:
                    self.durable_names[name] = self._files[name]
                else:
                    del self.durable_names[name]

    def after_kill(self) -> MemoryFileSystem:
        return self._copy({name: (bytes(n.data), n.sparse_size) for name, n in self._files.items()})

    def after_power_loss(self, rng: random.Random) -> MemoryFileSystem:
        files: dict[str, tuple[bytes, int]] = {}
        for name in sorted({*self._files, *self.durable_names}):
            now, before = self._files.get(name), self.durable_names.get(name)
            node = before if now is before or rng.random() < 0.5 else now
            if node is not None:
                files[name] = self._survives(node, rng)
        return self._copy(files)

    def _survives(self, node: _Node, rng: random.Random) -> tuple[bytes, int]:
        content = bytes(node.data)
        durable, sparse = self.synced.get(node, (b"", 0))
        kind = rng.randrange(4)
        if kind == 0 or content == durable:
            return durable, sparse
        if kind == 1 or len(content) <= len(durable):
            return content, node.sparse_size
        cut = rng.randrange(len(durable), len(content))
        # A torn tail, or one whose length made it to the disk and whose bytes did not.
        return (content[:cut], 0) if kind == 2 else (content[:cut] + bytes(len(content) - cut), 0)

    def _copy(self, files: dict[str, tuple[bytes, int]]) -> MemoryFileSystem:
        result = MemoryFileSystem()
        result._dirs = set(self._dirs)
        for name, (data, sparse) in files.items():
            node = result._files[name] = _Node()
            node.data[:] = data
            node.sparse_size = sparse
        return result
