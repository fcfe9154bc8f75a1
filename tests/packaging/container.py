"""A program: runs another as a container runtime would run an image. Linux, for root only.

    python container.py ROOT NAME UID PROGRAM [ARGUMENT...]

In: the image's root (or / for this machine's), the container's host name, the user. The program gets namespaces
of its own for mounts, host name and network; in the latter there is a loopback, and the host name is an address
on it. What must hold: nothing of this is left when the program ends, and it dies with the caller.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
import tempfile

_NEW_MOUNTS, _NEW_HOST_NAME, _NEW_NETWORK = 0x00020000, 0x04000000, 0x40000000
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_DEATH_SIGNAL = 1
_SET_FLAGS, _UP_AND_RUNNING = 0x8914, 0x41

_libc = ctypes.CDLL(None, use_errno=True)


def _check(status: int) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _mount(source: str, target: str, flags: int) -> None:
    _check(_libc.mount(source.encode(), target.encode(), None, ctypes.c_ulong(flags), None))


def main() -> None:
    root, name, user, *command = sys.argv[1:]
    _check(_libc.unshare(_NEW_MOUNTS | _NEW_HOST_NAME | _NEW_NETWORK))
    _mount("none", "/", _RECURSIVE | _PRIVATE)
    socket.sethostname(name)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))
    with tempfile.NamedTemporaryFile("w") as hosts:
        hosts.write(f"127.0.0.1 localhost\n127.0.0.2 {name}\n")
        hosts.flush()
        os.chmod(hosts.name, 0o644)
        # The mount keeps the file when its name is gone.
        _mount(hosts.name, os.path.join(root, "etc/hosts"), _BIND)
    if root != "/":
        os.chroot(root)
        os.chdir("/")
    os.setgroups([])
    os.setgid(int(user))
    os.setuid(int(user))
    _check(_libc.prctl(_DEATH_SIGNAL, signal.SIGKILL))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
