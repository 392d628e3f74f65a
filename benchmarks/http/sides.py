"""The servers that are measured: how each is started, and how it is asked for what it sees in a picture."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.http.cases import Case
from benchmarks.http.load import request_bytes
from benchmarks.http.processes import ROOT, free_port

OURS, TWO, AUTO, PLAIN, LITSERVE, MLSERVER = (
    "convserve",
    "convserve, 2 processes",
    "convserve, inference auto",
    "FastAPI and ONNX Runtime",
    "LitServe",
    "MLServer",
)
PEERS = ROOT / "benchmarks" / "http" / "peers"


@dataclass(frozen=True)
class Side:
    """A server with one network."""

    name: str
    command: Callable[[int], list[str]]
    """From a port to what to run."""
    alive: str
    """A path that is answered by 200 once the server takes requests."""
    path: str
    body: bytes
    media_type: str
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: int = 1
    """Among how many processes that serve its memory is divided in tables."""

    def ready(self) -> bytes:
        """Return a request for whether it is alive."""
        return request_bytes(self.alive, close=True)

    def question(self, *, close: bool = False) -> bytes:
        """Return a request for what it sees in the picture."""
        return request_bytes(self.path, self.body, self.media_type, close=close)


@dataclass(frozen=True)
class Interpreters:
    """Who runs which server; None for those that are not wanted."""

    service: str = sys.executable
    peers: str = sys.executable
    litserve: str | None = None
    mlserver: str | None = None


def ours(
    case: Case, interpreter: str, data: Path, model_id: str, workers: int = 1, inference: str = "numpy"
) -> Side:
    """Return our side, on a data directory that has the model."""
    path = f"/v1/models/{model_id}/predict"
    settings = {
        "CONVSERVE_LOG_LEVEL": "warning",
        "CONVSERVE_WORKERS": str(workers),
        "CONVSERVE_INFERENCE": inference,
    }
    return Side(
        AUTO if inference == "auto" else OURS if workers == 1 else TWO,
        lambda port: [
            interpreter,
            "-P",
            "-m",
            "app.cli",
            "serve",
            "--data-dir",
            str(data),
            "--port",
            str(port),
        ],
        "/livez",
        path,
        case.picture(),
        case.media_type,
        settings,
        workers,
    )


def twins(data: Path) -> tuple[Path, Path]:
    """Return where the copies of a data directory are that a second and a third server of ours have."""
    return data.with_name("twin-1"), data.with_name("twin-2")


def plain(case: Case, interpreter: str, network: Path) -> Side:
    """Return FastAPI with ONNX Runtime in its plainest form."""
    return Side(
        PLAIN,
        lambda port: [interpreter, "-P", str(PEERS / "plain.py"), str(port), str(network)],
        "/livez",
        "/predict",
        case.picture(),
        case.media_type,
    )


def litserve(case: Case, interpreter: str, network: Path) -> Side:
    """Return LitServe with batches, and one worker."""
    return Side(
        LITSERVE,
        lambda port: [interpreter, "-P", str(PEERS / "litserve_peer.py"), str(port), str(network)],
        "/health",
        "/predict",
        json.dumps({"image": _base64(case)}).encode(),
        "application/json",
    )


def mlserver(case: Case, interpreter: str, network: Path) -> Side:
    """Return MLServer with a runtime of its own; its settings are written into a directory beside the network."""
    folder = network.parent / "mlserver" / case.preset
    folder.mkdir(parents=True, exist_ok=True)
    model = {
        "name": "network",
        "implementation": "mlserver_peer.Classifier",
        "parameters": {"uri": str(network)},
    }
    (folder / "model-settings.json").write_text(json.dumps(model))

    def command(port: int) -> list[str]:
        # Without the process for inference, metrics and compression, none of which a cheap network repays.
        settings = {
            "host": "127.0.0.1",
            "http_port": port,
            "grpc_port": free_port(),
            "metrics_endpoint": None,
            "parallel_workers": 0,
            "debug": False,
            "gzip_enabled": False,
            "logging_settings": {
                "version": 1,
                "disable_existing_loggers": False,
                "loggers": {"uvicorn.access": {"level": "WARNING"}, "mlserver": {"level": "WARNING"}},
            },
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        return [interpreter, "-P", "-m", "mlserver.cli.main", "start", str(folder)]

    question = {
        "inputs": [
            {
                "name": "picture",
                "shape": [1, 1],
                "datatype": "BYTES",
                "parameters": {"content_type": "base64"},
                "data": [_base64(case)],
            }
        ]
    }
    return Side(
        MLSERVER,
        command,
        "/v2/health/ready",
        "/v2/models/network/infer",
        json.dumps(question).encode(),
        "application/json",
        {"PYTHONPATH": str(PEERS)},
    )


def sides(case: Case, network: Path, data: Path, model_id: str, interpreters: Interpreters) -> Iterator[Side]:
    """Yield all sides that can be had here; of the others say so."""
    yield ours(case, interpreters.service, data, model_id)
    second, third = twins(data)
    yield ours(case, interpreters.service, second, model_id, workers=2)
    if _has(interpreters.service, "onnx") and _has(interpreters.service, "onnxruntime"):
        yield ours(case, interpreters.service, third, model_id, inference="auto")
    yield plain(case, interpreters.peers, network)
    if interpreters.litserve is not None and _has(interpreters.litserve, "litserve"):
        yield litserve(case, interpreters.litserve, network)
    if interpreters.mlserver is not None and _has(interpreters.mlserver, "mlserver"):
        yield mlserver(case, interpreters.mlserver, network)


def _has(interpreter: str, module: str) -> bool:
    try:
        found = subprocess.run([interpreter, "-c", f"import {module}"], capture_output=True, check=False)  # noqa: S603
    except OSError:
        found = None
    if found is None or found.returncode:
        print(f"{module} is left out: {interpreter} cannot import it")
        return False
    return True


def _base64(case: Case) -> str:
    return base64.b64encode(case.picture()).decode()
