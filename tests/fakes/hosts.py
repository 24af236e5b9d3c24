"""Three hosts on one machine: a network namespace each, the mesh's server on the first.

They share the file system, so that what agents write there is seen from outside of every mesh.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from fakes.node import Node, wait_until
from sparkplug.bus.binary import find_server

#: The private server listens on loopback; for these hosts it listens on all of its host.
_WRAPPER = """#!/bin/sh
if [ "$1" = "-c" ]; then sed -i 's/^listen: "127.0.0.1:/listen: "0.0.0.0:/' "$2"; fi
exec {binary} "$@"
"""


def may_have_namespaces() -> bool:
    """Whether this user may make network namespaces here, and the tool for it is there."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"sp-{secrets.token_hex(3)}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return False
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return True


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class HostNode(Node):
    """A node whose processes all live in a network namespace."""

    def __init__(self, home: Path, namespace: str, environ: Mapping[str, str]) -> None:
        super().__init__(home, environ)
        self.namespace = namespace

    def command(self, *words: str) -> list[str]:
        """Run Python there."""
        return ["ip", "netns", "exec", self.namespace, sys.executable, *words]

    def kill_all(self) -> None:
        """The host dies: every process of it at once."""
        assert wait_until(lambda: not _kill_all(self.namespace))

    def lives(self, pid: int) -> bool:
        """Whether a process runs in this namespace."""
        try:
            there = os.stat(f"/proc/{pid}/ns/net").st_ino  # noqa: PTH116
        except OSError:
            return False
        return _runs(pid) and there == os.stat(f"/run/netns/{self.namespace}").st_ino  # noqa: PTH116


class ThreeHosts:
    """Hosts a (with the server), b and c; b and c reach only a."""

    def __init__(self, folder: Path) -> None:
        mark = secrets.token_hex(2)
        self.folder = folder
        self._links: dict[str, str] = {}
        self._namespaces = {name: f"sp{mark}{name}" for name in "abc"}
        self.nodes: dict[str, HostNode] = {}
        for namespace in self._namespaces.values():
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        for number, name in enumerate("bc", 1):
            here, there = self._namespaces["a"], self._namespaces[name]
            link = self._links[name] = f"v{mark}{name}"
            _ip("link", "add", link, "netns", here, "type", "veth", "peer", "eth0", "netns", there)
            _ip("-n", here, "addr", "add", f"10.77.{number}.1/24", "dev", link)
            _ip("-n", there, "addr", "add", f"10.77.{number}.2/24", "dev", "eth0")
            _ip("-n", here, "link", "set", link, "up")
            _ip("-n", there, "link", "set", "eth0", "up")

    def up(self) -> None:
        """Start the three nodes."""
        wrapper = self.folder / "nats-server"
        wrapper.write_text(_WRAPPER.format(binary=find_server().path))
        wrapper.chmod(0o755)
        first = self._node("a", {"SPARKPLUG_NATS_SERVER": str(wrapper)})
        first.up()
        port = first.json("status")["url"].rpartition(":")[2]
        creds = self.folder / "mesh.creds"
        shutil.copy(first.paths.keys / "face.creds", creds)
        for number, name in enumerate("bc", 1):
            url = f"nats://10.77.{number}.1:{port}"
            self._node(name, {"SPARKPLUG_NATS_URL": url, "SPARKPLUG_NATS_CREDS": str(creds)}).up()

    def _node(self, name: str, environ: Mapping[str, str]) -> HostNode:
        node = self.nodes[name] = HostNode(
            self.folder / name,
            self._namespaces[name],
            {**environ, "SPARKPLUG_NODE_NAME": name},
        )
        return node

    def cut(self, name: str) -> None:
        """The link of a host takes everything and brings nothing."""
        _ip("-n", self._namespaces["a"], "link", "set", self._links[name], "down")

    def heal(self, name: str) -> None:
        """The link works again."""
        _ip("-n", self._namespaces["a"], "link", "set", self._links[name], "up")

    def host_of(self, pid: int) -> str:
        """The host a process runs on."""
        return next((name for name, node in self.nodes.items() if node.lives(pid)), "")

    def close(self) -> None:
        """End all there is."""
        for name in self._links:
            self.heal(name)
        try:
            for node in reversed(self.nodes.values()):
                node.close()
        finally:
            for namespace in self._namespaces.values():
                wait_until(lambda namespace=namespace: not _kill_all(namespace))  # type: ignore[misc]
                _ip("netns", "del", namespace)


def _kill_all(namespace: str) -> list[int]:
    """Kill what runs there; one starts another until all are gone. Those that were found."""
    listed = subprocess.run(
        ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=True
    ).stdout
    found = [pid for pid in map(int, listed.split()) if _runs(pid)]
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
