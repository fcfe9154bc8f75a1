"""A simulated disk behind the FileSystem seam: it knows what would survive, and fails as it is told to.

In: the calls of the broker, a seed, and what is to go wrong. Out: bytes and OSErrors; and, at any moment, the
disk as a kill (`after_kill`: the page cache survives) or a power loss (`after_power_loss`) would leave it.
What must hold: the same seed and calls give the same trace; nothing that was synced is ever lost.

Its model, which is what POSIX promises and not what a friendly file system gives:

- a file has durable bytes and unsynced changes; of these a power loss keeps nothing, all, a prefix torn at any
  byte, any subset of sectors, or the length without the bytes (zeros, or rubbish);
- a name that was made, renamed or removed is durable only after a sync of its directory; until then each such
  change survives or not by itself, except that changes of the same name keep their order and a rename is atomic;
- a failed sync marks the changes clean: some reached the disk, the next sync succeeds without writing the rest;
- a full disk writes a part first and refuses then.
"""

from __future__ import annotations

import errno
import random
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pybroker.common.clock import ManualClock
from pybroker.common.files import Buffer

SECTOR_BYTES = 128
# A write is ("w", position, bytes), a truncation ("t", size).
Change = tuple[str, int, bytes]
# What an operation is called, for faults and traces, where it changes something; others are "open", "read", "list_dir"
# and "size".
CHANGES = ("write", "truncate", "sync", "create", "rename", "remove", "make_dir", "remove_dir", "sync_dir")
# (slowest, fastest) microseconds of the operations that reach the device.
LATENCY_US = {"sync": (100, 20_000), "sync_dir": (100, 20_000), "write": (5, 200), "read": (3, 400)}


class Crash(BaseException):
    """The process is dead: nothing may be done any more, and no handler of errors may catch it."""


class FileNode:
    """A file. `size` may exceed `data`: the rest is a hole of zeros."""

    __slots__ = ("data", "durable", "durable_size", "lost", "modified_ms", "pending", "size")

    def __init__(self) -> None:
        self.data = bytearray()
        self.size = 0
        self.durable = b""
        self.durable_size = 0
        self.pending: list[Change] = []
        # A sync failed: the cache has bytes that the disk does not have and that nobody will write.
        self.lost = False
        self.modified_ms = 0


class DirectoryNode:
    """A directory. A change is a tuple of (name, node or None) that happen together."""

    __slots__ = ("durable", "entries", "pending")

    def __init__(self) -> None:
        self.entries: dict[str, Node] = {}
        self.durable: dict[str, Node] = {}
        self.pending: list[tuple[tuple[str, Node | None], ...]] = []

    def change(self, *entries: tuple[str, Node | None]) -> None:
        _apply_entries(self.entries, entries)
        self.pending.append(entries)


Node = FileNode | DirectoryNode


def _apply_entries(names: dict[str, Node], entries: tuple[tuple[str, Node | None], ...]) -> None:
    for name, node in entries:
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _apply_change(data: bytearray, size: int, change: Change) -> int:
    """Make a change; returns the new size."""
    kind, number, content = change
    if kind == "t":
        del data[number:]
        return number
    if number > len(data):
        data.extend(bytes(number - len(data)))
    data[number : number + len(content)] = content
    return max(size, len(data))


class SimFile:
    """An open file of SimDisk."""

    __slots__ = ("_disk", "_open", "_path", "_read_only", "node")

    def __init__(self, disk: SimDisk, path: str, node: FileNode, read_only: bool) -> None:
        self._disk = disk
        self._path = path
        self._read_only = read_only
        self._open = True
        self.node = node

    @property
    def path(self) -> str:
        return self._path

    def _check(self, writing: bool) -> None:
        if not self._open or (writing and self._read_only):
            raise OSError(errno.EBADF, "closed, or open for reading only", self._path)

    def size(self) -> int:
        self._check(False)
        return self.node.size

    def pread(self, count: int, offset: int) -> bytes:
        self._check(False)
        self._disk.operation("read", self._path)
        node = self.node
        found = bytes(memoryview(node.data)[offset : offset + count])
        missing = min(count, node.size - offset) - len(found)
        return found + bytes(missing) if missing > 0 else found

    def pread_cached(self, count: int, offset: int) -> bytes | None:
        if self._disk.cold and self._disk.rng.random() < 0.5:
            return None
        return self.pread(count, offset)

    def pwrite(self, buffers: Sequence[Buffer], offset: int) -> int:
        self._check(True)
        disk, node = self._disk, self.node
        data = b"".join(buffers)
        disk.writing = (node, offset, data)
        try:
            disk.operation("write", self._path, f"{offset}+{len(data)}:{zlib.crc32(data)}")
        except OSError:
            # Nobody knows how much of it arrived.
            self._store(data[: disk.rng.randint(0, len(data))], offset)
            raise
        finally:
            disk.writing = None
        growth = offset + len(data) - len(node.data)
        if disk.space is not None and growth > disk.space:
            data = data[: max(len(data) - (growth - disk.space), 0)]
            if not data:
                raise OSError(errno.ENOSPC, "no space left on device", self._path)
        self._store(data, offset)
        return len(data)

    def _store(self, data: bytes, offset: int) -> None:
        node = self.node
        before = len(node.data)
        change = ("w", offset, data)
        node.size = _apply_change(node.data, node.size, change)
        node.pending.append(change)
        self._disk.used(len(node.data) - before)
        self._disk.touched(node)

    def truncate(self, size: int) -> None:
        self._check(True)
        self._disk.operation("truncate", self._path, str(size))
        node = self.node
        if size == node.size:
            return
        before = len(node.data)
        change = ("t", size, b"")
        node.size = _apply_change(node.data, node.size, change)
        node.pending.append(change)
        self._disk.used(len(node.data) - before)
        self._disk.touched(node)

    def sync(self) -> None:
        self._check(True)
        disk, node = self._disk, self.node
        try:
            disk.operation("sync", self._path)
        except OSError:
            if node.pending:
                node.durable, node.durable_size = disk.survivors(node, disk.rng)
                node.pending = []
                node.lost = True
            raise
        if node.lost:
            data = bytearray(node.durable)
            size = node.durable_size
            for change in node.pending:
                size = _apply_change(data, size, change)
            node.durable, node.durable_size = bytes(data), size
        elif node.pending:
            node.durable, node.durable_size = bytes(node.data), node.size
        node.pending = []

    def close(self) -> None:
        if self._open:
            self._open = False
            del self._disk.open_files[self]


class SimDisk:
    """The file system. Everything in it is reached from one root; no hard links, no moves between directories."""

    def __init__(self, seed: int | str = 0, *, clock: ManualClock | None = None) -> None:
        self.root = DirectoryNode()
        self.rng = random.Random(f"disk {seed}")
        self.clock = clock
        self.locked: set[str] = set()
        self.open_files: dict[SimFile, None] = {}
        # What goes wrong: (kind, path, number of the operation) -> errno or 0.
        self.fault: Callable[[str, str, int], int] | None = None
        # Called before every change that is about to be made, with (kind, path): a moment to crash at.
        self.on_change: Callable[[str, str], None] | None = None
        # Called before every operation: the moment when another thread may go on.
        self.on_operation: Callable[[], None] | None = None
        # Bytes that are left, None for plenty; descriptors that a process may have.
        self.space: int | None = None
        self.descriptors: int | None = None
        self.cold = False
        self.slow = False
        self.elapsed_us = 0
        self.dead = False
        self.operations = 0
        self.changes = 0
        self.trace = 0
        self.recent: deque[str] = deque(maxlen=400)
        self.writing: tuple[FileNode, int, bytes] | None = None

    # ---- what every operation goes through -------------------------------------------------------------

    def operation(self, kind: str, path: str, detail: str = "") -> None:
        """Count, record, delay, and fail if it is to fail."""
        if self.dead:
            raise Crash
        if self.on_operation is not None:
            self.on_operation()
        self.operations += 1
        changing = kind in CHANGES
        if changing:
            self.changes += 1
            if self.on_change is not None:
                self.on_change(kind, path)
        line = f"{kind} {path} {detail}"
        self.trace = zlib.crc32(line.encode(), self.trace)
        if changing:
            self.recent.append(line)
        if self.slow and kind in LATENCY_US:
            self._take_time(self.rng.randint(*LATENCY_US[kind]))
        number = self.fault(kind, path, self.operations) if self.fault is not None else 0
        if number:
            self.recent.append(f"    fails with {errno.errorcode[number]}")
            raise OSError(number, errno.errorcode[number], path)

    def _take_time(self, microseconds: int) -> None:
        before = self.elapsed_us // 1000
        self.elapsed_us += microseconds
        if self.clock is not None:
            self.clock.advance(self.elapsed_us // 1000 - before)

    @property
    def open_count(self) -> int:
        return len(self.open_files)

    def used(self, count: int) -> None:
        if self.space is not None:
            self.space -= count

    def touched(self, node: FileNode) -> None:
        if self.clock is not None:
            node.modified_ms = self.clock.wall_ms()

    # ---- names -------------------------------------------------------------------------------------------

    def _find(self, path: str) -> Node | None:
        node: Node = self.root
        for name in path.strip("/").split("/"):
            if name in ("", "."):
                continue
            if not isinstance(node, DirectoryNode):
                return None
            found = node.entries.get(name)
            if found is None:
                return None
            node = found
        return node

    def _directory(self, path: str) -> DirectoryNode:
        node = self._find(path)
        if not isinstance(node, DirectoryNode):
            raise FileNotFoundError(errno.ENOENT, "no such directory", path)
        return node

    def _parent(self, path: str) -> tuple[DirectoryNode, str]:
        parent, _, name = path.rstrip("/").rpartition("/")
        return self._directory(parent), name

    def _file(self, path: str) -> FileNode:
        node = self._find(path)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        if not isinstance(node, FileNode):
            raise IsADirectoryError(errno.EISDIR, "is a directory", path)
        return node

    def open(self, path: str, *, create: bool = False, read_only: bool = False) -> SimFile:
        self.operation("open", path)
        if self.descriptors is not None and self.open_count >= self.descriptors:
            raise OSError(errno.EMFILE, "too many open files", path)
        node = self._find(path)
        if node is None and create:
            parent, name = self._parent(path)
            self.operation("create", path)
            if self.space is not None and self.space <= 0:
                raise OSError(errno.ENOSPC, "no space left on device", path)
            node = FileNode()
            self.touched(node)
            parent.change((name, node))
        else:
            node = self._file(path)
        file = SimFile(self, path, node, read_only)
        self.open_files[file] = None
        return file

    def exists(self, path: str) -> bool:
        return self._find(path) is not None

    def is_dir(self, path: str) -> bool:
        return isinstance(self._find(path), DirectoryNode)

    def file_size(self, path: str) -> int:
        self.operation("size", path)
        return self._file(path).size

    def modified_ms(self, path: str) -> int:
        return self._file(path).modified_ms

    def list_dir(self, path: str) -> list[str]:
        self.operation("list_dir", path)
        return sorted(self._directory(path).entries)

    def make_dirs(self, path: str) -> None:
        parts = path.strip("/").split("/")
        for count in range(1, len(parts) + 1):
            part = "/" + "/".join(parts[:count])
            if not self.exists(part):
                self.operation("make_dir", part)
                parent, name = self._parent(part)
                parent.change((name, DirectoryNode()))
            elif not self.is_dir(part):
                raise FileExistsError(errno.EEXIST, "a file has this name", path)

    def rename(self, source: str, target: str) -> None:
        parent, old = self._parent(source)
        other, new = self._parent(target)
        if parent is not other:
            raise OSError(errno.EXDEV, "the simulated disk moves nothing between directories", source)
        self.operation("rename", source, target)
        node = parent.entries.get(old)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, "no such file or directory", source)
        there = parent.entries.get(new)
        if isinstance(there, DirectoryNode) and (there.entries or isinstance(node, FileNode)):
            raise OSError(errno.ENOTEMPTY, "target exists", target)
        if isinstance(there, FileNode):
            self.used(-len(there.data))
        parent.change((old, None), (new, node))

    def remove(self, path: str) -> None:
        parent, name = self._parent(path)
        self.operation("remove", path)
        node = self._file(path)
        self.used(-len(node.data))
        parent.change((name, None))

    def remove_tree(self, path: str) -> None:
        node = self._find(path)
        if node is None:
            return
        if isinstance(node, DirectoryNode):
            for name in sorted(node.entries):
                self.remove_tree(f"{path}/{name}")
            parent, name = self._parent(path)
            self.operation("remove_dir", path)
            parent.change((name, None))
        else:
            self.remove(path)

    def sync_dir(self, path: str) -> None:
        directory = self._directory(path)
        try:
            self.operation("sync_dir", path)
        except OSError:
            directory.durable = _surviving_names(directory, self.rng)
            directory.pending = []
            raise
        directory.durable = dict(directory.entries)
        directory.pending = []

    def free_bytes(self, path: str) -> tuple[int, int]:
        return (-1, -1) if self.space is None else (1 << 40, max(self.space, 0))

    def lock(self, path: str) -> None:
        if path in self.locked:
            raise BlockingIOError(errno.EAGAIN, "locked already", path)
        self.open(path, create=True).close()
        self.locked.add(path)

    def unlock(self, path: str) -> None:
        self.locked.discard(path)

    # ---- what survives -----------------------------------------------------------------------------------

    def kill(self) -> None:
        """From now on every operation raises Crash."""
        self.dead = True

    @contextmanager
    def dies_after(self, changes: int) -> Iterator[None]:
        """Whatever runs within ends where it would make one change more than so many; the disk is `dead` then."""

        def count(kind: str, path: str) -> None:
            nonlocal changes
            changes -= 1
            if changes < 0:
                self.kill()
                raise Crash

        self.on_change = count
        try:
            with suppress(Crash):
                yield
        finally:
            self.on_change = None

    def after_kill(self, rng: random.Random) -> SimDisk:
        """The process died, the system lives: all is as it was, synced or not. A write under way may be cut."""
        cut = None
        if self.writing is not None and rng.random() < 0.5:
            node, offset, data = self.writing
            cut = (node, ("w", offset, data[: rng.randint(0, len(data))]))
        copies: dict[int, Node] = {}

        def copy(node: Node) -> Node:
            known = copies.get(id(node))
            if known is not None:
                return known
            if isinstance(node, FileNode):
                new = copies[id(node)] = FileNode()
                new.data[:] = node.data
                new.size = node.size
                new.durable, new.durable_size = node.durable, node.durable_size
                new.pending = list(node.pending)
                new.modified_ms = node.modified_ms
                new.lost = node.lost
                if node.lost and rng.random() < 0.5:
                    # Nobody keeps clean pages for ever: what the disk has is read again.
                    new.data[:], new.size = node.durable, node.durable_size
                    for change in node.pending:
                        new.size = _apply_change(new.data, new.size, change)
                if cut is not None and cut[0] is node:
                    new.size = _apply_change(new.data, new.size, cut[1])
                    new.pending.append(cut[1])
                return new
            directory = copies[id(node)] = DirectoryNode()
            directory.entries = {name: copy(child) for name, child in node.entries.items()}
            directory.durable = {name: copy(child) for name, child in node.durable.items()}
            directory.pending = [
                tuple((name, None if child is None else copy(child)) for name, child in change)
                for change in node.pending
            ]
            return directory

        return self._image(copy(self.root), rng)

    def after_power_loss(self, rng: random.Random) -> SimDisk:
        """What was synced is there, and of the rest what chance says. All of it is durable now."""

        def copy(node: Node) -> Node:
            if isinstance(node, FileNode):
                new = FileNode()
                new.durable, new.durable_size = self.survivors(node, rng)
                new.data[:], new.size = new.durable, new.durable_size
                new.modified_ms = node.modified_ms
                return new
            directory = DirectoryNode()
            names = _surviving_names(node, rng)
            directory.entries = {name: copy(child) for name, child in names.items()}
            directory.durable = dict(directory.entries)
            return directory

        return self._image(copy(self.root), rng)

    def _image(self, root: Node, rng: random.Random) -> SimDisk:
        assert isinstance(root, DirectoryNode)
        disk = SimDisk(rng.getrandbits(32), clock=self.clock)
        disk.root = root
        return disk

    def survivors(self, node: FileNode, rng: random.Random) -> tuple[bytes, int]:
        """Content and size of a file after a power loss."""
        changes = node.pending
        if self.writing is not None and self.writing[0] is node and rng.random() < 0.5:
            changes = [*changes, ("w", self.writing[1], self.writing[2])]
        if not changes:
            return node.durable, node.durable_size
        kind = rng.randrange(6)
        if kind == 0:
            return node.durable, node.durable_size
        data = bytearray(node.durable)
        size = node.durable_size
        if kind == 2:
            # A prefix, the last write of it torn.
            last = rng.randrange(len(changes))
            for change in changes[:last]:
                size = _apply_change(data, size, change)
            action, number, content = changes[last]
            if action == "w":
                content = content[: rng.randint(0, len(content))]
            size = _apply_change(data, size, (action, number, content))
            return bytes(data), size
        sizes = [size]
        for change in changes:
            size = _apply_change(data, size, change)
            sizes.append(size)
        if kind == 1:
            return bytes(data), size
        # Each sector by itself; the length is one that the file had.
        size = sizes[-1] if kind == 3 or rng.random() < 0.5 else rng.choice(sizes)
        old = node.durable
        out = bytearray()
        for start in range(0, min(size, max(len(data), len(old))), SECTOR_BYTES):
            end = start + SECTOR_BYTES
            new = bytes(data[start:end])
            before = old[start:end]
            if kind != 3 and rng.random() < 0.5:
                before = new
            elif len(before) < len(new):
                # Never written: zeros, or whatever the disk had there before.
                rest = len(new) - len(before)
                before += rng.randbytes(rest) if kind == 5 else bytes(rest)
            out += before.ljust(SECTOR_BYTES, b"\0")
        return bytes(out[:size]), size

    def flip_bit(self, path: str, position: int, bit: int) -> None:
        """Damage what is on the disk and in the cache."""
        node = self._file(path)
        node.data[position] ^= 1 << bit
        node.durable = bytes(node.data)

    def flips(self) -> list[tuple[str, int, int]]:
        """What `flip_bit` can do to files that hold something: (path, position, bit)."""
        return [
            (path, position, bit)
            for path, (data, _) in self.contents().items()
            if not path.endswith((".lock", ".pybroker-ballast"))
            for position in range(len(data))
            for bit in range(8)
        ]

    # ---- to look at --------------------------------------------------------------------------------------

    def contents(self, path: str = "") -> dict[str, tuple[bytes, int]]:
        """(data, size) of every file below a directory, without counting as an operation."""
        found: dict[str, tuple[bytes, int]] = {}

        def walk(node: Node, name: str) -> None:
            if isinstance(node, FileNode):
                found[name] = bytes(node.data).rstrip(b"\0"), node.size
                return
            for child in sorted(node.entries):
                walk(node.entries[child], f"{name}/{child}")

        walk(self._directory(path), path)
        return found


def _surviving_names(directory: DirectoryNode, rng: random.Random) -> dict[str, Node]:
    """The entries after a power loss."""
    pending = directory.pending
    if not pending:
        return directory.durable
    kind = rng.randrange(4)
    if kind == 0:
        return directory.durable
    if kind == 1:
        return directory.entries
    names = dict(directory.durable)
    if kind == 2:
        for change in pending[: rng.randrange(len(pending))]:
            _apply_entries(names, change)
        return names
    dropped: set[str] = set()
    for change in pending:
        touched = {name for name, _ in change}
        if touched & dropped or rng.random() < 0.5:
            dropped |= touched
        else:
            _apply_entries(names, change)
    return names


def is_on_disk(disk: SimDisk, log: Any, end_offset: int) -> bool:
    """Whether a loss of power now leaves everything of a partition's log below an offset, under its name."""
    directory = disk._directory(log.directory)
    for segment in log.segments:
        if segment.base_offset >= end_offset:
            break
        name = segment.path(".log").rpartition("/")[2]
        file = directory.entries[name]
        size = segment.position_of(end_offset)
        # A log that starts again later has nothing yet that could be lost.
        if not size:
            continue
        assert isinstance(file, FileNode)
        # What the cleaner has put in place is durable as `.swap` before it is anything else.
        names = (name, f"{name}.swap", name.removesuffix(".swap"))
        if all(directory.durable.get(other) is not file for other in names) or file.durable[:size] != bytes(
            file.data[:size]
        ):
            return False
    return True
