"""Run the image for nodes of Ray as docker/compose.cluster.yaml says: a head, a node, and a job of a server there."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.http.several import TRAINING
from tests.image_proof import building
from tests.image_proof.running import Rooms

HEAD, NODE = "127.0.0.2", "127.0.0.3"
_SECONDS = 300.0
_KEEPER = building.ROOT / "tests" / "cluster" / "ray_keeper.py"


def works(rooms: Rooms, data: Path) -> str:
    """Start what the file says, train on it, and return what went wrong, empty where all went well."""
    text = (building.ROOT / "docker" / "compose.cluster.yaml").read_text(encoding="utf-8")
    services = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))["services"]
    token, key = secrets.token_hex(32), secrets.token_hex(32)
    (data / "token").write_text(token)
    (data / "token").chmod(0o444)
    environment = services["ray-head"]["environment"] | {"RAY_AUTH_TOKEN_PATH": "/data/token"}
    # where every container has an address of its own, these two share those of this machine
    head = [word.replace("0.0.0.0", HEAD) for word in services["ray-head"]["command"]]  # noqa: S104
    node = [word.replace("ray-head", HEAD) for word in services["ray-worker"]["command"]]
    health = [word.replace("127.0.0.1", HEAD) for word in services["ray-head"]["healthcheck"]["test"][1:]]
    with ExitStack() as stack:

        def client(url: str, password: str) -> httpx.Client:
            headers = {"Authorization": f"Bearer {password}"}
            made = httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=10)
            return stack.enter_context(made)

        ray, http = client(f"http://{HEAD}:8265", token), client("http://127.0.0.1:18081", key)
        keep(stack, rooms.command("ray", *head, f"--node-ip-address={HEAD}", **environment))
        until(lambda: ray.get("/api/jobs/").is_success, "the head")
        until(lambda: rooms.run(*health).returncode == 0, "health of the head")
        own = (f"--node-ip-address={NODE}", "--dashboard-agent-listen-port=52366")
        keep(stack, rooms.command("ray", *node, *own, **environment))
        settings = {
            "CONVSERVE_API_KEY": key,
            "CONVSERVE_PORT": "18081",
            "CONVSERVE_LAUNCHER": "ray",
            "CONVSERVE_RAY_ADDRESS": f"http://{HEAD}:8265",
            "CONVSERVE_RAY_TOKEN_FILE": "/data/token",
        }
        keep(stack, rooms.command("convserve", "serve", **settings))
        until(lambda: http.get("/readyz").is_success, "the server")
        place = http.post("/v1/training-jobs", json=TRAINING).headers["Location"]
        job = until(lambda: (job := http.get(place).json())["finished_at"] and job, "the end of the job")
        assert job["status"] == "succeeded", f"{job['error']}: {http.get(f'{place}/log').text}"
    return ""


def keep(stack: ExitStack, command: list[str]) -> None:
    """Run something until the end of the stack, with all that it starts."""
    quiet = subprocess.DEVNULL
    kept = subprocess.Popen(
        [sys.executable, str(_KEEPER), *command], stdin=subprocess.PIPE, stdout=quiet, stderr=quiet
    )
    stack.callback(kept.communicate)


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something to become true, and return it."""
    limit = time.monotonic() + _SECONDS
    while time.monotonic() < limit:
        try:
            if found := condition():
                return found
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come")
