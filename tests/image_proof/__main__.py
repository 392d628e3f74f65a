"""Build the image, hold it against what docs/image.md promises, run it, and write what came of it there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from tests.image_proof import building, looks, nodes
from tests.image_proof.running import MemoryGroup, Rooms

PAGE = building.ROOT / "docs" / "image.md"
MARK = "<!-- written by make image-proof -->\n"
KEY = "a-key-for-the-proof-of-the-image"
LIMIT = 1 << 30
APART = "CONVSERVE_PROOF_APART"


def main() -> int:
    """Do all of it; return how many checks failed."""
    missing = [name for name in ("buildah", "debootstrap", "setpriv", "unshare") if not shutil.which(name)]
    if os.geteuid() or missing:
        sys.stderr.write(
            f"It needs root, and Debian's packages buildah and debootstrap (missing: {missing or 'root'}).\n"
        )
        return 2
    if APART not in os.environ:
        # what is mounted goes with the namespace, whatever happens
        command = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            sys.executable,
            "-m",
            "tests.image_proof",
        ]
        return subprocess.run(command, env={**os.environ, APART: "1"}, check=False).returncode
    building.make_base()
    config = building.build()
    try:
        with tempfile.TemporaryDirectory() as folder:
            return report(*prove(config, Path(folder)))
    finally:
        building.clean()


def prove(config: dict[str, Any], folder: Path) -> tuple[Mapping[str, int], Mapping[str, str]]:
    """Return the sizes, and the fault of each check, empty where there is none."""
    root = building.mounted()
    sizes = looks.sizes(root, building.BASE)
    rooms = Rooms(root, folder / "data", config["Env"])
    checks: dict[str, Callable[[], str]] = {
        "at most 330 MB unpacked": lambda: over(sizes["unpacked"], looks.MOST_UNPACKED),
        "at most 120 MB compressed": lambda: over(sizes["compressed"], looks.MOST_COMPRESSED),
        "no program gives rights, nothing can be written by all, no tools of the build, the right bill of materials, "
        "and each library's licence": lambda: "; ".join(looks.faults(root, tuple(rooms.command("python")))),
        "user, volume, port, health check and signal are set": lambda: configured(config),
        "root's files cannot be written, and there are no capabilities": lambda: confined(rooms),
        "`convserve demo` trains and predicts": lambda: demo(rooms),
        "serves behind a key, healthy, within its bound of memory, and ends with status 0": lambda: serves(
            rooms, config
        ),
        "the target `cluster`: with the commands of `docker/compose.cluster.yaml` a head and a node of Ray start, and "
        "a job of a server runs there": lambda: on_ray(folder, sizes),
    }
    found = {}
    for name, check in checks.items():
        try:
            found[name] = check()
        except (OSError, subprocess.SubprocessError, httpx.HTTPError, AssertionError) as error:
            found[name] = f"{type(error).__name__}: {error}"
        sys.stdout.write(f"{name}: {found[name] or 'yes'}\n")
        sys.stdout.flush()
    return sizes, found


def over(size: int, most: int) -> str:
    """Say by how much a size is too large."""
    return f"{size / looks.MB:.0f} MB" if size > most else ""


def configured(config: dict[str, Any]) -> str:
    """Compare the image's configuration with what it should be."""
    wanted = {
        "User": "10001:10001",
        "Volumes": {"/data": {}},
        "ExposedPorts": {"8000/tcp": {}},
        "Entrypoint": ["convserve"],
        "Cmd": ["serve"],
        "StopSignal": "SIGTERM",
    }
    wrong = {name: config.get(name) for name, value in wanted.items() if config.get(name) != value}
    if not config.get("Healthcheck", {}).get("Test"):
        wrong["Healthcheck"] = None
    return str(wrong) if wrong else ""


def confined(rooms: Rooms) -> str:
    """Try what nobody in the container may."""
    code = (
        "import os, pathlib, tempfile\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "assert 'CapEff:\\t0000000000000000' in status and 'CapBnd:\\t0000000000000000' in status, status\n"
        "assert 'NoNewPrivs:\\t1' in status and os.getuid() == 10001, status\n"
        "tempfile.TemporaryFile().close()\n"
        "pathlib.Path('/data/file').write_text('a'); pathlib.Path('/data/file').unlink()\n"
        "for place in ('/', '/opt/convserve', '/etc', '/var', '/usr'):\n"
        "    try:\n"
        "        pathlib.Path(place, 'file').write_text('a')\n"
        "    except OSError as error:\n"
        "        assert error.errno in (13, 30), error\n"
        "    else:\n"
        "        raise AssertionError(place)\n"
    )
    done = rooms.run("python", "-c", code)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def demo(rooms: Rooms) -> str:
    """Run the demonstration."""
    done = rooms.run("convserve", "demo", CONVSERVE_HOST="127.0.0.1", CONVSERVE_PORT="0", TMPDIR="/data")
    ended = done.returncode == 0 and "The service has stopped." in done.stdout
    return "" if ended else (done.stdout + done.stderr)[-1500:]


def serves(rooms: Rooms, config: dict[str, Any]) -> str:
    """Start the image's own command under a bound of memory, ask it, check its health, and stop it."""
    group = MemoryGroup(LIMIT)
    command = [*config["Entrypoint"], *config["Cmd"]]
    settings = {"CONVSERVE_API_KEY": KEY, "CONVSERVE_PORT": "18080"}
    # the shell enters the group, and becomes the command
    enter = ["sh", "-c", f'echo $$ > {group.place}/cgroup.procs && exec "$@"', "sh"]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen([*enter, *rooms.command(*command, **settings)], stdout=log, stderr=log)
        try:
            with httpx.Client(base_url="http://127.0.0.1:18080", trust_env=False, timeout=5) as client:
                limit = time.monotonic() + 60
                while not ready(client):
                    assert server.poll() is None, "it ended"
                    assert time.monotonic() < limit, "it is not ready within a minute"
                    time.sleep(0.1)
                assert client.get("/v1/models").status_code == 401, "it answers without a key"
                client.headers["Authorization"] = f"Bearer {KEY}"
                assert client.get("/v1/models/model_example").status_code == 200
                memory = client.get("/v1/system").json()["memory_bytes"]
                assert memory == LIMIT, f"it takes {memory} bytes for the memory that there is"
            health = config["Healthcheck"]["Test"][1:]
            assert rooms.run(*health, **settings).returncode == 0, "the health check fails"
        finally:
            server.send_signal(signal.SIGTERM)
            status = server.wait(60)
            log.seek(0)
            lines = log.read().decode()
            group.remove()
        assert status == 0, f"it ended with {status}: {lines[-1000:]}"
        assert rooms.run(*health, **settings).returncode != 0, "the health check passes without a server"
        for line in lines.splitlines():
            json.loads(line)
    return ""


def on_ray(folder: Path, sizes: dict[str, int]) -> str:
    """Build the image for nodes of Ray, weigh it, and run a job on it."""
    config = building.build(building.NODES, "--target", "cluster")
    root, data = building.mounted(building.NODES), folder / "nodes"
    sizes["nodes unpacked"], sizes["nodes compressed"] = looks.unpacked(root), looks.compressed(root)
    return nodes.works(Rooms(root, data, config["Env"]), data)


def ready(client: httpx.Client) -> bool:
    """Tell whether the server can do its work."""
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def report(sizes: Mapping[str, int], found: Mapping[str, str]) -> int:
    """Write the page; return how many checks failed."""
    head = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    lines = [
        f"Last run on {datetime.now(UTC).date()}.\n\n",
        "| | unpacked, MB | compressed, MB |\n|---|---:|---:|\n",
        row("the image", sizes["unpacked"], sizes["compressed"]),
        row("of it the stand-in for the base", sizes["base unpacked"], sizes["base compressed"]),
        *(
            [row("that for nodes of Ray", sizes["nodes unpacked"], sizes["nodes compressed"])]
            if "nodes compressed" in sizes
            else []
        ),
        "\n| checked | |\n|---|---|\n",
        *(
            f"| {name} | {'no: ' + fault.splitlines()[-1] if fault else 'yes'} |\n"
            for name, fault in found.items()
        ),
    ]
    PAGE.write_text(head + MARK + "".join(lines), encoding="utf-8")
    return sum(1 for fault in found.values() if fault)


def row(title: str, *sizes: int) -> str:
    """Return a row of the table of sizes."""
    return f"| {title} | {' | '.join(f'{size / looks.MB:.0f}' for size in sizes)} |\n"


if __name__ == "__main__":
    sys.exit(main())
