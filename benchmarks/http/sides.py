"""The servers that are measured: how each is started, and how it is asked for a prediction."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.http.cases import Case
from benchmarks.http.load import request_bytes
from benchmarks.http.processes import ROOT, free_port

OURS, TWO, AUTO, PLAIN, PLAIN_PROTOCOL, LITSERVE, MLSERVER = (
    "convserve",
    "convserve, 2 processes",
    "convserve, inference auto",
    "FastAPI and ONNX Runtime",
    "the same by the protocol",
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
    headers: Mapping[str, str]
    """Of a question, such as the media type of its body."""
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: int = 1
    """Among how many processes that serve its memory is divided in tables."""

    def ready(self) -> bytes:
        """Return a request for whether it is alive."""
        return request_bytes(self.alive, close=True)

    def question(self, *, close: bool = False) -> bytes:
        """Return a request for a prediction."""
        return request_bytes(self.path, self.body, self.headers, close=close)


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
    path, body, headers = _our_question(case, model_id)
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
        body,
        headers,
        settings,
        workers,
    )


def _our_question(case: Case, model_id: str) -> tuple[str, bytes, dict[str, str]]:
    """Return the path, the body and the headers."""
    if case.is_tensor:
        return f"/v2/models/{model_id}/infer", *_described(case.tensor())
    return f"/v1/models/{model_id}/predict", case.picture(), {"Content-Type": case.media_type}


def _described(tensor: NDArray[np.float32]) -> tuple[bytes, dict[str, str]]:
    """Return a body of the Open Inference Protocol with the numbers behind the JSON, and its headers."""
    given = {"name": "input", "shape": tensor.shape, "datatype": "FP32"}
    given |= {"parameters": {"binary_data_size": tensor.nbytes}}
    wanted = {"name": "output", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [given], "outputs": [wanted]}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return head + tensor.tobytes(), headers


def twins(data: Path) -> tuple[Path, Path]:
    """Return where the copies of a data directory are that a second and a third server of ours have."""
    return data.with_name("twin-1"), data.with_name("twin-2")


def plain(case: Case, interpreter: str, network: Path) -> Side:
    """Return FastAPI with ONNX Runtime in its plainest form: of a tensor it takes and gives nothing but the numbers."""
    path, body = "/predict", b""
    if case.is_tensor:
        path, body = "/infer", _channels_first(case).tobytes()
    return Side(
        PLAIN,
        lambda port: [interpreter, "-P", str(PEERS / "plain.py"), str(port), str(network)],
        "/livez",
        path,
        body or case.picture(),
        {"Content-Type": case.media_type},
    )


def plain_protocol(case: Case, interpreter: str, network: Path) -> Side:
    """Return the same server, asked for a tensor by the same protocol as ours."""
    body, headers = _described(_channels_first(case))
    path = "/v2/models/network/infer"
    side = plain(case, interpreter, network)
    return replace(side, name=PLAIN_PROTOCOL, path=path, body=body, headers=headers)


def _channels_first(case: Case) -> NDArray[np.float32]:
    return np.ascontiguousarray(case.tensor().transpose(0, 3, 1, 2))


def litserve(case: Case, interpreter: str, network: Path) -> Side:
    """Return LitServe with batches, and one worker."""
    return Side(
        LITSERVE,
        lambda port: [interpreter, "-P", str(PEERS / "litserve_peer.py"), str(port), str(network)],
        "/health",
        "/predict",
        json.dumps({"image": _base64(case)}).encode(),
        {"Content-Type": "application/json"},
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
        {"Content-Type": "application/json"},
        {"PYTHONPATH": str(PEERS)},
    )


def sides(case: Case, network: Path, data: Path, model_id: str, interpreters: Interpreters) -> Iterator[Side]:
    """Yield all sides that can be had here; of the others say so. Tensors are sent to the plain peer alone."""
    yield ours(case, interpreters.service, data, model_id)
    second, third = twins(data)
    yield ours(case, interpreters.service, second, model_id, workers=2)
    if _has(interpreters.service, "onnx") and _has(interpreters.service, "onnxruntime"):
        yield ours(case, interpreters.service, third, model_id, inference="auto")
    yield plain(case, interpreters.peers, network)
    if case.is_tensor:
        yield plain_protocol(case, interpreters.peers, network)
        return
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
