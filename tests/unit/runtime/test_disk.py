"""Real files: the same contract as the files in memory, and what only a real disk has."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from pybroker.common.files import read_file, write_file, write_fully
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.runtime import disk
from pybroker.runtime.disk import DiskFileSystem


@pytest.fixture(params=["disk", "memory"])
def place(request, tmp_path):
    """(file system, a directory in it)"""
    if request.param == "disk":
        return DiskFileSystem(), str(tmp_path)
    files = MemoryFileSystem()
    files.make_dirs("/data")
    return files, "/data"


def test_positioned_reads_and_writes(place):
    files, base = place
    file = files.open(base + "/a", create=True)
    assert file.pwrite([b"hello ", bytearray(b"big "), memoryview(b"world")], 0) == 15
    assert file.pwrite([b"BIG"], 6) == 3
    assert file.size() == 15
    assert file.pread(100, 0) == b"hello BIG world"
    assert file.pread(3, 6) == b"BIG"
    assert file.pread(10, 15) == b""
    assert file.pread_cached(9, 6) == b"BIG world"
    assert file.pread_cached(100, 11) == b"orld"
    file.truncate(5)
    assert file.pread(100, 0) == b"hello"
    file.truncate(8)
    assert file.pread(100, 0) == b"hello\0\0\0"
    file.sync()
    file.close()
    file.close()
    assert read_file(files, base + "/a") == b"hello\0\0\0"
    assert files.file_size(base + "/a") == 8


def test_more_buffers_than_the_kernel_takes(place):
    files, base = place
    file = files.open(base + "/a", create=True)
    buffers = [bytes([number % 256]) * (number % 7) for number in range(3000)]
    assert write_fully(file, buffers, 10) == sum(map(len, buffers))
    assert file.pread(100_000, 10) == b"".join(buffers)
    file.close()


def test_missing_files_and_read_only(place):
    files, base = place
    with pytest.raises(FileNotFoundError):
        files.open(base + "/missing")
    with pytest.raises(FileNotFoundError):
        files.open(base + "/no/such/dir/file", create=True)
    write_file(files, base + "/a", b"content")
    file = files.open(base + "/a", read_only=True)
    with pytest.raises(OSError) as caught:
        file.pwrite([b"x"], 0)
    assert caught.value.errno == errno.EBADF
    file.close()


def test_directories(place):
    files, base = place
    files.make_dirs(base + "/t-0/deep")
    files.make_dirs(base + "/t-0")
    write_file(files, base + "/t-0/b", b"1")
    write_file(files, base + "/t-0/a", b"2")
    assert files.list_dir(base + "/t-0") == ["a", "b", "deep"]
    assert files.is_dir(base + "/t-0")
    assert not files.is_dir(base + "/t-0/a")
    files.rename(base + "/t-0", base + "/t-1")
    files.rename(base + "/t-1/a", base + "/t-1/b")
    assert read_file(files, base + "/t-1/b") == b"2"
    assert not files.exists(base + "/t-0")
    files.sync_dir(base)
    files.remove(base + "/t-1/b")
    with pytest.raises(FileNotFoundError):
        files.remove(base + "/t-1/b")
    files.remove_tree(base + "/t-1")
    files.remove_tree(base + "/t-1")
    assert files.list_dir(base) == []


def test_lock_twice_in_one_process(place):
    files, base = place
    files.lock(base + "/.lock")
    with pytest.raises(BlockingIOError):
        files.lock(base + "/.lock")
    files.unlock(base + "/.lock")
    files.lock(base + "/.lock")
    files.unlock(base + "/.lock")


def test_two_file_systems_on_one_directory_exclude_each_other(tmp_path):
    first, second = DiskFileSystem(), DiskFileSystem()
    first.lock(str(tmp_path / ".lock"))
    with pytest.raises(BlockingIOError):
        second.lock(str(tmp_path / ".lock"))
    first.unlock(str(tmp_path / ".lock"))
    second.lock(str(tmp_path / ".lock"))
    second.unlock(str(tmp_path / ".lock"))


def test_close_releases_what_is_still_locked(tmp_path):
    first, second = DiskFileSystem(), DiskFileSystem()
    first.lock(str(tmp_path / "a"))
    first.lock(str(tmp_path / "b"))
    first.close()
    second.lock(str(tmp_path / "a"))
    second.lock(str(tmp_path / "b"))
    second.close()


def test_lock_of_a_dead_process_is_free(tmp_path):
    path = str(tmp_path / ".lock")
    script = (
        "import os; from pybroker.runtime.disk import DiskFileSystem; "
        f"DiskFileSystem().lock({path!r}); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    files = DiskFileSystem()
    files.lock(path)
    files.unlock(path)


def test_bytes_that_are_not_in_the_page_cache_are_not_waited_for(tmp_path, monkeypatch):
    file = DiskFileSystem().open(str(tmp_path / "a"), create=True)
    file.pwrite([b"0123456789"], 0)

    def would_block(*_):
        raise BlockingIOError(errno.EAGAIN, "not cached")

    monkeypatch.setattr(disk.os, "preadv", would_block)
    assert file.pread_cached(4, 0) is None
    # Part of the range is cached: as good as none, unless the file ends there.
    monkeypatch.setattr(disk.os, "preadv", lambda _fd, buffers, offset, flags: 2)
    assert file.pread_cached(4, 0) is None
    assert file.pread_cached(4, 8) == b"\0\0"
    file.close()


def test_file_systems_without_nowait_reads(tmp_path, monkeypatch):
    file = DiskFileSystem().open(str(tmp_path / "a"), create=True)
    file.pwrite([b"0123456789"], 0)
    calls = []

    def unsupported(*_):
        calls.append(1)
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(disk.os, "preadv", unsupported)
    assert file.pread_cached(4, 2) == b"2345"
    assert file.pread_cached(4, 4) == b"4567"
    # It is asked once.
    assert calls == [1]
    file.close()


def test_read_errors_are_not_hidden(tmp_path, monkeypatch):
    file = DiskFileSystem().open(str(tmp_path / "a"), create=True)

    def broken(*_):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(disk.os, "preadv", broken)
    with pytest.raises(OSError) as caught:
        file.pread_cached(4, 2)
    assert caught.value.errno == errno.EIO
    file.close()


def test_free_bytes(tmp_path):
    total, usable = DiskFileSystem().free_bytes(str(tmp_path))
    assert total >= usable > 0


def test_descriptors_are_not_inherited(tmp_path):
    file = DiskFileSystem().open(str(tmp_path / "a"), create=True)
    assert not os.get_inheritable(file._descriptor)
    file.close()


def test_large_reads_share_memory_one_after_the_other(tmp_path):
    files = DiskFileSystem()
    file = files.open(str(tmp_path / "a"), create=True)
    content = os.urandom(3 << 20)
    file.pwrite([content], 0)
    size = 1 << 20

    def read(offset, count=size):
        view = file.pread_cached(count, offset)
        assert bytes(view) == content[offset : offset + count]
        return view

    first = read(0)
    if isinstance(first, bytes):
        pytest.fail("this file system cannot say what is in memory")
    with pytest.raises(TypeError):
        first[0] = 1
    memory = first.obj
    del first
    second = read(size)
    assert second.obj is memory
    # Lent: also to a slice of the view.
    part = second[10:20]
    del second
    third = read(2 * size)
    assert third.obj is not memory
    assert bytes(part) == content[size + 10 : size + 20]
    # More than there are buffers, larger than one, and beyond the end.
    held = [read(100 * number) for number in range(10)]
    assert len({id(view.obj) for view in held}) == 10
    read(0, 2 * size)
    assert bytes(file.pread_cached(size, len(content) - 100_000)) == content[-100_000:]
    assert [bytes(view) for view in held] == [
        content[100 * number : 100 * number + size] for number in range(10)
    ]
    file.close()
