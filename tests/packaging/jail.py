"""A program: runs another in a root of its own, read-only but for /data, as nobody. Linux, for root only.

    python jail.py ROOT DATA [--proc] PROGRAM [ARGUMENT...]

In: a folder that becomes /, a folder that appears as /data. What must hold: the mounts are in a namespace of
this process, so nothing of them is left; the program replaces this one and dies with the caller.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_NEW_MOUNTS = 0x00020000
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 32, 4096, 16384, 1 << 18
_DEATH_SIGNAL = 1
_NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True)


def _check(status: int) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    name = kind.encode() if kind else None
    _check(_libc.mount(source.encode(), target.encode(), name, ctypes.c_ulong(flags), None))


def main() -> None:
    root, data, *command = sys.argv[1:]
    _check(_libc.unshare(_NEW_MOUNTS))
    mount("none", "/", None, _RECURSIVE | _PRIVATE)
    mount(root, root, None, _BIND)
    if command[0] == "--proc":
        del command[0]
        mount("proc", f"{root}/proc", "proc", 0)
    mount(root, root, None, _BIND | _REMOUNT | _READ_ONLY)
    mount(data, f"{root}/data", None, _BIND)
    os.chroot(root)
    os.chdir("/")
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
    # A change of the user undoes it.
    _check(_libc.prctl(_DEATH_SIGNAL, signal.SIGKILL))
    os.execve(command[0], command, {"PATH": "/bin"})


if __name__ == "__main__":
    main()
