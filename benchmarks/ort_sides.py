"""What is timed on ONNX Runtime's side: the same graphs, exported by PyTorch."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import onnxruntime
import torch

from benchmarks.features import trunk
from benchmarks.sides import network
from benchmarks.torch_sides import Graph
from engine.graph.network import Network

THREADS = 2


def inference(preset: str, batch: int, size: int | None = None) -> Callable[[], Any]:
    """Return the scores of a batch, on two threads."""
    return _computed(network(preset, size), batch)


def features(size: int, pictures: int, batch: int) -> Callable[[], Any]:
    """Return the features of so many pictures, so many at a time, on two threads."""
    compute = _computed(trunk(size), batch)
    return lambda: [compute() for _ in range(0, pictures, batch)]


def _computed(built: Network, batch: int) -> Callable[[], Any]:
    torch.manual_seed(0)
    height, width, channels = built.input_shape
    x = torch.randn(batch, channels, height, width)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Graph(built).eval(), (x,), file, dynamo=False, input_names=["x"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    given = {"x": x.numpy()}
    return lambda: session.run(None, given)
