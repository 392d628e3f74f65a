"""A machine of its own for a server, as far as the network goes: a namespace, and a cable that can be pulled."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from app.cli.launch import SERVE
from tests.cluster.line import line

_HERE, _THERE = "198.18.77.1", "198.18.77.2"
"""The two ends of the cable: addresses of networks that are made for tests (RFC 2544)."""


class Machine:
    """A network namespace that reaches ports of this machine over a pair of virtual devices, and nothing else."""

    def __init__(self, name: str, stack: ExitStack, folder: Path) -> None:
        self._name, self._stack, self._folder = name, stack, folder
        self._doors = itertools.count()
        self.inside = ("ip", "netns", "exec", name)
        self.serve = (*self.inside, *SERVE)

    def reach(self, port: int) -> str:
        """Return the address at which programs over there find what listens here on the loopback address."""
        laid = self._stack.enter_context(line(f"{_HERE}:0", f"127.0.0.1:{port}"))
        return f"{_HERE}:{laid.port}"

    def let_in(self) -> int:
        """Return a port on which a program over there is to listen; then it is found here too, cable or not."""
        # files are the same on both sides, and so is a socket among them
        door = self._folder / f"door-{next(self._doors)}"
        port = self._stack.enter_context(line("127.0.0.1:0", str(door))).port
        self._stack.enter_context(line(str(door), f"127.0.0.1:{port}", self.inside))
        return port

    def pull_cable(self) -> None:
        """Let nothing through; nobody is told."""
        _ip("link", "set", self._name, "down")

    def plug_in(self) -> None:
        """Let everything through again."""
        _ip("link", "set", self._name, "up")


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Make one; the test is skipped where that is not allowed."""
    name = f"apart{os.getpid()}"
    if sys.platform != "linux" or not shutil.which("ip"):
        pytest.skip("there are no network namespaces: it takes Linux with iproute2")
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        pytest.skip("network namespaces are not allowed here: it takes root's right to make them")
    with ExitStack() as stack:
        stack.callback(_ip, "netns", "delete", name)
        _ip("link", "add", name, "type", "veth", "peer", "name", "cable", "netns", name)
        stack.callback(_ip, "link", "delete", name)
        _ip("address", "add", f"{_HERE}/30", "dev", name)
        _ip("link", "set", name, "up")
        for device in ("lo", "cable"):
            _ip("-netns", name, "link", "set", device, "up")
        _ip("-netns", name, "address", "add", f"{_THERE}/30", "dev", "cable")
        yield Machine(name, stack, folder)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
