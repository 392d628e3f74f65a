"""Prometheus reads a server under load, and every query of the dashboard and of the alerts has an answer there."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.metrics.families import FAMILIES
from tests.http.receiver import SECRET
from tests.http.several import LONG, TRAINING, Connect, WaitFor, events, pictures, png
from tests.storage.disks import FailingDisk, failing_disk

pytestmark = pytest.mark.slow

DOCKER = Path(__file__).resolve().parents[2] / "docker"
DASHBOARD = json.loads((DOCKER / "grafana" / "convserve.json").read_text(encoding="utf-8"))
ALERTS = DOCKER / "prometheus" / "alerts.yml"
KEY = "a-key-that-prometheus-sends"
PATIENCE = 60.0
VARIABLES = {"$__rate_interval": "10s", "$__range": "1m", "$instance": ".*"}


class Watched(NamedTuple):
    """Prometheus, and the server that it reads, with its disk."""

    asked: httpx.Client
    server: httpx.Client
    disk: FailingDisk


def program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"this test needs {name} (Debian: apt-get install prometheus)"
    return found


def of_dashboard() -> list[str]:
    queries = []
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            queries.append(query)
    return queries


def of_alerts(prometheus: httpx.Client) -> list[str]:
    """Return what the alerts compare with a bound, without that: while all is well the whole has no answer."""
    groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    rules = [rule["query"] for group in groups for rule in group["rules"]]
    shorter = [query.replace("[5m]", "[30s]").replace("[1h]", "[1m]") for query in rules]
    return [re.sub(r"\s(==|>|<)\s[\d. *]+$", "", query) for query in shorter]


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, connect: Connect, wait_for: WaitFor
) -> Iterator[Watched]:
    """Prometheus, which reads a server that has done some of everything; with the configuration that is in docker."""
    folder = tmp_path_factory.mktemp("prometheus")
    settings = {
        "DATASET_MIRROR": str(folder / "mirror"),
        "API_KEY": KEY, "WEBHOOK_SECRET": SECRET, "WEBHOOK_PRIVATE": "true", "CORES": "1", "LOG_FORMAT": "json",
        "MAX_DATA_BYTES": str(2**33), "CHECKPOINT_SECONDS": "1",
    }  # fmt: skip
    service = ServerProcess(folder / "data", folder / "log", settings)
    with (
        failing_disk(folder) as disk,
        service as url,
        connect(url, Authorization=f"Bearer {KEY}") as http,
    ):
        (folder / "convserve.key").write_text(KEY)
        shutil.copy(ALERTS, folder)
        config = (DOCKER / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
        address = url.removeprefix("http://")
        config = config.replace("127.0.0.1:8000", address).replace("15s", "1s")
        (folder / "prometheus.yml").write_text(config)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with connect(f"http://127.0.0.1:{port}") as asked:
                wait_for(lambda: is_ready(asked), "Prometheus")
                work(http, service, wait_for, lambda: bool(values(asked, "up == 1")))
                yield Watched(asked, http, disk)
        finally:
            process.terminate()
            process.wait()


def is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def values(http: httpx.Client, query: str) -> list[Any]:
    answer = http.get("/api/v1/query", params={"query": query})
    assert answer.status_code == 200, f"{query}: {answer.text}"
    return list(answer.json()["data"]["result"])


def work(http: httpx.Client, service: ServerProcess, wait_for: WaitFor, is_read: Callable[[], bool]) -> None:
    """Do some of everything twice, before Prometheus reads and after: rates are between two readings."""
    hook = {"webhook": {"url": "http://127.0.0.1:1/"}}
    for _ in range(2):
        wait_for(is_read, "a reading")
        for _ in range(20):
            http.post(
                "/v1/models/model_example/predict", content=png(1, 28), headers={"Content-Type": "image/png"}
            )
        http.post("/v1/training-jobs", json={"epochs": 0})
        http.post("/v1/training-jobs", json=TRAINING | hook)
        http.post("/v1/datasets", files={"file": ("a.zip", pictures())}, data={"name": "made"})
        # there is nothing at its mirror: it fails
        http.post("/v1/datasets/downloads", json={"dataset": "mnist"})
        before = len(events(service, "job_ended"))
        wait_for(lambda before=before: len(events(service, "job_ended")) >= before + 1, "an end")
    wait_for(lambda: events(service, "webhook_sent"), "a webhook")
    http.post("/v1/training-jobs", json=LONG)
    http.post("/v1/training-jobs", json=LONG)


def test_every_query_has_an_answer(watched: Watched) -> None:
    prometheus = watched.asked
    # what there is only where something went wrong that nobody can make go wrong here
    quiet = ("lost_total", 'status="500"', 'status=~"429|503|507"', 'status="failed"', 'outcome="failed"')
    queries = [*of_dashboard(), *of_alerts(prometheus)]
    assert len(queries) > 50

    def unanswered() -> list[str]:
        found = [query for query in queries if not values(prometheus, query)]
        return [query for query in found if not any(part in query for part in quiet)]

    limit = time.monotonic() + PATIENCE
    while (left := unanswered()) and time.monotonic() < limit:
        time.sleep(0.5)
    assert left == []


def test_every_family_is_on_the_dashboard_or_behind_an_alert() -> None:
    text = json.dumps(DASHBOARD) + ALERTS.read_text(encoding="utf-8")
    assert [name for name in FAMILIES if name not in text] == []
    mentioned = set(re.findall(r"convserve_[a-z_]+", text)) - {"convserve_key"}
    known = FAMILIES.keys() | {
        f"{name}_{part}" for name, family in FAMILIES.items() if family.kind == "histogram"
        for part in ("bucket", "sum", "count")
    }  # fmt: skip
    assert mentioned <= known


def firing(prometheus: httpx.Client) -> list[str]:
    rules = prometheus.get("/api/v1/rules").json()["data"]["groups"][0]["rules"]
    assert {rule["health"] for rule in rules} == {"ok"}
    return [rule["name"] for rule in rules if rule["state"] == "firing"]


def test_no_alert_fires_while_all_is_well(watched: Watched) -> None:
    assert firing(watched.asked) == []


def test_one_fault_of_the_disk_is_seen_and_said(watched: Watched, wait_for: WaitFor) -> None:
    """After the others: what has gone wrong is remembered for five minutes."""
    watched.disk.fill()
    refused = watched.server.post(
        "/v1/datasets", files={"file": ("a.zip", pictures())}, data={"name": "unstored"}
    )
    watched.disk.mend()
    assert refused.status_code == 507, refused.text
    wait_for(lambda: "ConvserveStorageFaults" in firing(watched.asked), "the alert")
    (query,) = (query for query in of_dashboard() if "storage_faults" in query)
    found = {tuple(entry["metric"].values()): entry["value"][1] for entry in values(watched.asked, query)}
    assert float(found["full", "disk"]) > 0
    assert "low" not in {kind for kind, _ in found}


def test_the_alerts_do_what_they_say() -> None:
    for arguments in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(
            [program("promtool"), *arguments],
            cwd=ALERTS.parent, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
