"""`python -m benchmarks.insides`: what a look inside of a model takes.

Grad-CAM of ResNet-20 in forward passes of the plain executor, which it runs by, and by HTTP in milliseconds; the whole
account of a picture of 224 x 224 on its way through MobileNetV2 by HTTP. The weights are drawn, not learned: the time
does not depend on them. BLAS has one thread, here and in the server, which is what one core gives.
"""

from __future__ import annotations

import argparse
import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read by NumPy when it loads

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import numpy as np

from app.cli.launch import ServerProcess
from benchmarks.operations import photo
from engine.arrays import Array
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context
from engine.model.explanations.class_activation import GradCam
from engine.model.explanations.run import explain
from engine.model.model_file import Model, model_bytes
from engine.presets import PRESETS
from engine.recipe.losses import SoftmaxCrossEntropy


def main() -> None:
    """Print medians and the fastest of some calls."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.insides", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    picture = photo()
    models = {name: drawn(name) for name in ("resnet-20", "mobilenet-v2")}
    forward, grad_cam = passes(models["resnet-20"], repeats)
    print(f"ResNet-20: forward {forward:.1f} ms, grad_cam {grad_cam:.1f} ms: {grad_cam / forward:.2f} passes")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = ServerProcess(folder / "data", folder / "log", {"CORES": "1"})
        with server as url, httpx.Client(base_url=url, timeout=60) as http:
            for title, model in models.items():
                file = {"file": ("model.safetensors", model_bytes(model))}
                http.post("/v1/models/import", files=file, data={"name": title}).raise_for_status()
            for path, accept in (
                ("resnet-20@1/explain?method=grad_cam", "application/json"),
                ("resnet-20@1/explain?method=grad_cam", "image/png"),
                ("mobilenet-v2@1/activations", "application/json"),
                ("mobilenet-v2@1/activations", "image/png"),
            ):
                taken = timed(partial(ask, http, path, accept, picture), repeats)
                print(
                    f"{path:36} {accept:18} median {statistics.median(taken):7.1f} ms, fastest {min(taken):7.1f}"
                )


def drawn(preset_name: str) -> Model:
    """Return a preset at its published size as a model with drawn weights."""
    preset = next(preset for preset in PRESETS if preset.name == preset_name)
    architecture = preset.architecture()
    height, width, channels = preset.input_shape
    return Model(
        architecture=architecture,
        classes=tuple(f"class {number}" for number in range(preset.classes)),
        preprocessing=Preprocessing(mean=(0.5,) * channels, deviation=(0.25,) * channels),
        loss=SoftmaxCrossEntropy(),
        weights=Network.build(architecture).initial_weights(0),
        metadata={"picture": {"image_shape": [height, width, channels], "fit": "cover"}},
    )


def passes(model: Model, repeats: int) -> tuple[float, float]:
    """Return the milliseconds of a forward pass of one picture, and of Grad-CAM of a class that is named."""
    network = Network.build(model.architecture).without_final(model.loss.link)
    x: Array = np.random.default_rng(0).standard_normal(network.input_shape, np.float32)

    def explained() -> None:
        for _ in explain(GradCam(), network, model.weights, model.preprocessing, x, 0):
            pass

    forward = timed(lambda: network.forward(model.weights, x[np.newaxis], Context()), 3 * repeats)
    return statistics.median(forward), statistics.median(timed(explained, 3 * repeats))


def ask(http: httpx.Client, path: str, accept: str, picture: bytes) -> None:
    """Send a picture and expect an answer."""
    files = {"files": ("photo.png", picture, "image/png")}
    http.post(f"/v1/models/{path}", files=files, headers={"Accept": accept}).raise_for_status()


def timed(call: Callable[[], object], repeats: int) -> list[float]:
    """Return how many milliseconds each of some calls took, after one that is not counted."""
    taken = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1000)
    return taken[1:]


if __name__ == "__main__":
    main()
