"""A network for a cluster of processes: each node in a network namespace of its own, on one bridge.

In: node numbers. Out: an address for each, commands that run in its namespace, and cuts: in both directions
or one, silent, as a broken switch is. Needs root and the `ip` command (the facility "netns"); without them a
cluster runs on loopback ports, where nothing can be cut. What must hold: nothing is left behind, also when the
run before was killed; runs beside each other do not meet.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess

# Nobody has this address: what is sent to it is lost without a word.
_NOWHERE = "02:00:00:00:00:ff"
_numbers = itertools.count()


def _ip(*arguments: str) -> str:
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    assert result.returncode == 0, f"ip {' '.join(arguments)}: {result.stderr}"
    return result.stdout


def works() -> bool:
    """Whether this machine lets us make namespaces, links and bridges."""
    name = f"pbt{os.getpid()}"
    try:
        _ip("netns", "add", name)
        _ip("link", "add", name, "type", "bridge")
    except (AssertionError, OSError):
        return False
    finally:
        with contextlib.suppress(AssertionError, OSError):
            _ip("netns", "del", name)
            _ip("link", "del", name)
    return True


class Network:
    """One bridge and a namespace for each node. `close` takes all of it away."""

    def __init__(self, nodes: list[int]) -> None:
        # Processes of one machine differ in this, and so do the networks of one process.
        number = next(_numbers)
        self.name = f"pb{os.getpid() % 100_000}x{number}"
        slot = (os.getpid() * 8 + number) % (64 * 256)
        self._prefix = f"10.{192 + slot // 256}.{slot % 256}"
        self._nodes = nodes
        self._cut: set[tuple[int, int]] = set()
        self.host = f"{self._prefix}.1"
        try:
            _ip("link", "add", self.name, "type", "bridge")
            _ip("addr", "add", f"{self.host}/24", "dev", self.name)
            _ip("link", "set", self.name, "up")
            for node in nodes:
                self._add(node)
            self._macs = {node: self._mac(node) for node in nodes}
        except BaseException:
            self.close()
            raise

    def _add(self, node: int) -> None:
        namespace, link = self._namespace(node), self._namespace(node)
        _ip("netns", "add", namespace)
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _ip("link", "set", link, "master", self.name, "up")
        _ip("-n", namespace, "addr", "add", f"{self.address(node)}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", namespace, "link", "set", device, "up")

    def _namespace(self, node: int) -> str:
        return f"{self.name}n{node}"

    def _mac(self, node: int) -> str:
        found = json.loads(_ip("-n", self._namespace(node), "-j", "link", "show", "eth0"))
        mac: str = found[0]["address"]
        return mac

    def address(self, node: int) -> str:
        return f"{self._prefix}.{10 + node}"

    def command(self, node: int) -> list[str]:
        """What goes before a command to run it in the namespace of a node."""
        return ["ip", "netns", "exec", self._namespace(node)]

    # --- cuts ---

    def cut(self, source: int, target: int) -> None:
        """What `source` sends to `target` is lost from now on; the other direction works."""
        self._cut.add((source, target))
        self._neighbour(source, target, _NOWHERE, "permanent")

    def partition(self, first: int, second: int) -> None:
        """Nothing between the two gets through."""
        self.cut(first, second)
        self.cut(second, first)

    def isolate(self, node: int) -> None:
        """The node reaches no other node; the host still reaches all of them."""
        for other in self._nodes:
            if other != node:
                self.partition(node, other)

    def unplug(self, node: int) -> None:
        """Not even the host reaches the node."""
        _ip("link", "set", self._namespace(node), "down")

    def heal(self) -> None:
        """Everybody reaches everybody again."""
        for source, target in sorted(self._cut):
            self._neighbour(source, target, self._macs[target], "reachable")
        self._cut.clear()
        for node in self._nodes:
            _ip("link", "set", self._namespace(node), "up")

    def _neighbour(self, source: int, target: int, mac: str, state: str) -> None:
        namespace = self._namespace(source)
        _ip(
            "-n",
            namespace,
            "neigh",
            "replace",
            self.address(target),
            "lladdr",
            mac,
            "dev",
            "eth0",
            "nud",
            state,
        )

    def close(self) -> None:
        for node in self._nodes:
            with contextlib.suppress(AssertionError):
                _ip("netns", "del", self._namespace(node))
        with contextlib.suppress(AssertionError):
            _ip("link", "del", self.name)
