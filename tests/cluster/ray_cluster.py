"""A Ray cluster of a head and nodes on loopback addresses of this machine, each of which can be killed by itself.

The head has no cores for jobs, so that what dies with a node is a node, and what dies with the head is the head.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

HEAD = "127.0.0.2"
"""Not 127.0.0.1, in whose place Ray takes an address of the network."""
NODES = ("127.0.0.3", "127.0.0.4")
PATIENCE = 600.0
"""Seconds, of a machine that is busy with other things."""
ROOT = Path(__file__).parents[2]
_OBJECT_STORE = "80000000"
_LOST_SECONDS = "5"
"""For how long nodes look for a head that is gone; a minute by default."""
_LOCK = Path(tempfile.gettempdir()) / f"convserve-ray-{os.getuid()}.lock"
"""Held by whoever has a cluster: two would want more memory and cores than a machine for tests has."""


def free_port(host: str) -> int:
    """Return a port of an address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


class RayCluster:
    """Started by `start`; `close` ends every process of it.

    Args:
        folder: where the output of its processes goes.
        path: what its nodes import, beside what is installed.
    """

    def __init__(self, folder: Path, path: str = str(ROOT)) -> None:
        self.folder, self.path = folder, path
        self.token = secrets.token_hex(32)
        # sockets of Ray lie below it, whose names may have 107 characters
        self._temporary = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
        self._port, self._dashboard = free_port(HEAD), free_port(HEAD)
        self._keepers: dict[str, subprocess.Popen[bytes]] = {}
        self._starts: dict[str, Callable[[], None]] = {}
        headers = {"Authorization": f"Bearer {self.token}"}
        self._client = httpx.Client(base_url=self.url, headers=headers, timeout=30.0, trust_env=False)

    @property
    def url(self) -> str:
        """Where its REST interface is."""
        return f"http://{HEAD}:{self._dashboard}"

    def settings(self) -> dict[str, str]:
        """Return what a server has to know, as settings without their prefix."""
        return {"LAUNCHER": "ray", "RAY_ADDRESS": self.url, "RAY_TOKEN": self.token}

    def start(self, *nodes: str, cores: int = 1) -> None:
        """Start the head, and a node on each of some addresses; return when all are there."""
        self.start_head()
        for count, node in enumerate(nodes, start=1):
            # one after the other: of two that start at once on one machine one does not come
            self.start_node(node, cores)
            self.wait_for(HEAD, *nodes[:count])

    def start_head(self) -> None:
        """Start the head, on the same ports as the one before it, and wait until it takes jobs."""
        arguments = (
            "--head",
            "--num-cpus=0",
            f"--port={self._port}",
            f"--dashboard-host={HEAD}",
            f"--dashboard-port={self._dashboard}",
            "--include-dashboard=true",
            f"--ray-client-server-port={free_port(HEAD)}",
            "--no-monitor",
            f"--temp-dir={self._temporary.name}",
        )
        self._start(HEAD, arguments, {})
        self._until(self._answers, "the head")

    def start_node(self, address: str, cores: int = 1, **environment: str) -> None:
        """Start a node on a loopback address, with variables of its own."""
        self._start(address, (f"--address={HEAD}:{self._port}", f"--num-cpus={cores}"), environment)

    def wait_for(self, *addresses: str) -> None:
        """Wait until these are its nodes, the head among them, and no others."""
        self._until(lambda: self._alive() == sorted(addresses), f"nodes {', '.join(addresses)}")

    def kill(self, address: str) -> None:
        """Kill a node, or the head, with all that runs on it."""
        del self._starts[address]
        keeper = self._keepers.pop(address)
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(PATIENCE)

    def wait_for_lost_nodes(self) -> None:
        """Wait until all nodes have ended by themselves, as they do when the head has been gone for long enough."""
        for address in [each for each in self._keepers if each != HEAD]:
            self._keepers[address].wait(PATIENCE)
            self.kill(address)

    def pids(self) -> list[int]:
        """Return the processes that have started all others of it."""
        return [keeper.pid for keeper in self._keepers.values()]

    def agent_of(self, identifier: str) -> str:
        """Return where the agent is of the node that a job is on."""
        job = self._client.get(f"/api/jobs/{identifier}").raise_for_status().json()
        return str(job["driver_agent_http_address"])

    def node_of(self, identifier: str) -> str:
        """Return the address of the node that a job is on."""
        return httpx.URL(self.agent_of(identifier)).host

    def jobs(self) -> dict[str, str]:
        """Return the status of each job that Ray knows."""
        return {identifier: job["status"] for identifier, job in self.records().items()}

    def records(self) -> dict[str, dict[str, Any]]:
        """Return all that Ray says of each job that it knows."""
        found = self._client.get("/api/jobs/").raise_for_status().json()
        return {job["submission_id"]: job for job in found if job["submission_id"]}

    def close(self) -> None:
        """End all of it, and remove what it left."""
        for address in list(self._keepers):
            self.kill(address)
        self._client.close()
        self._temporary.cleanup()

    def _start(self, address: str, arguments: tuple[str, ...], own: dict[str, str]) -> None:
        self._starts[address] = lambda: self._start(address, arguments, own)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CONVSERVE_")}
        environment |= {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": self.path,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT": str(PATIENCE),
            "RAY_agent_register_timeout_ms": str(int(PATIENCE) * 1000),
            "RAY_enable_metrics_collection": "0",
            "RAY_gcs_rpc_server_reconnect_timeout_s": _LOST_SECONDS,
            "RAY_health_check_failure_threshold": "3",
            "RAY_health_check_initial_delay_ms": "1000",
            "RAY_health_check_period_ms": "1000",
        }
        options = (
            f"--node-ip-address={address}",
            f"--object-store-memory={_OBJECT_STORE}",
            # the fixed one of its agent would be that of the other nodes on this machine, too
            f"--dashboard-agent-listen-port={free_port(address)}",
            "--min-worker-port=0",
            "--max-worker-port=0",
            "--include-log-monitor=false",
            "--disable-usage-stats",
            "--block",
        )
        ray = (sys.executable, "-m", "ray.scripts.scripts", "start", *arguments, *options)
        with (self.folder / f"ray-{address}.log").open("ab") as log:
            self._keepers[address] = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("ray_keeper.py")), *ray],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment | own,
                start_new_session=True,
            )

    def _answers(self) -> bool:
        with suppress(httpx.HTTPError):
            return self._client.get("/api/jobs/").is_success
        return False

    def _alive(self) -> list[str]:
        try:
            answer = self._client.get("/nodes", params={"view": "summary"}).raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            return []
        nodes = answer["data"]["summary"]
        return sorted(node["ip"] for node in nodes if "ip" in node and node["raylet"].get("state") == "ALIVE")

    def _until(self, condition: Callable[[], Any], what: str) -> None:
        deadline, again = time.monotonic() + PATIENCE, 3
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come within {PATIENCE} s: see {self.folder}"
            for address, keeper in list(self._keepers.items()):
                if keeper.poll() is not None:
                    # it gives a node thirty seconds to start, which is little on a machine that is busy
                    again -= 1
                    assert again, (self.folder / f"ray-{address}.log").read_text()[-2000:]
                    start = self._starts[address]
                    self.kill(address)
                    start()
            time.sleep(0.2)


def missing() -> str | None:
    """Return why there can be no cluster on this machine, if that is so."""
    if find_spec("ray") is None:
        return "there is no Ray: make cluster-tools installs it"
    if not sys.platform.startswith("linux"):
        return "only Linux has loopback addresses for several nodes"
    return None


@contextmanager
def running(folder: Path, *nodes: str, cores: int = 1) -> Iterator[RayCluster]:
    """Run a cluster, the only one on this machine; where there is no Ray the tests that want it are skipped."""
    if why := missing():
        pytest.skip(why)
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = RayCluster(folder)
        try:
            made.start(*nodes, cores=cores)
            yield made
        finally:
            made.close()


@pytest.fixture(scope="module")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    """A cluster with two nodes of one core each, that the tests of a file share; each leaves it whole."""
    with running(tmp_path_factory.mktemp("ray"), *NODES) as made:
        yield made
