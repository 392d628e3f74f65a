"""Have PyTorch's two exporters, and Keras, write networks as ONNX files; `make onnx-exports` runs it.

Large files are the networks that are published, and those that come in packages. Small ones, whose networks have the
same parts, are kept beside the tests. ONNX Runtime's outputs are kept for both.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sysconfig
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from benchmarks.exported import files
from benchmarks.exported.files import SIDE, SMALL_SIDE
from benchmarks.exported.keras_networks import KERAS, drawn
from benchmarks.exported.networks import LARGE, SMALL, large, small
from benchmarks.exported.pictures import pictures
from engine.arrays import Array

TORCHSCRIPT: dict[str, Any] = {
    "dynamo": False,
    "dynamic_axes": {"input": {0: "batch"}, "output": {0: "batch"}},
}
DYNAMO: dict[str, Any] = {
    "dynamo": True,
    "dynamic_shapes": ({0: torch.export.Dim("batch")},),
    "verbose": False,
}
EXPORTERS = {"torchscript": TORCHSCRIPT, "dynamo": DYNAMO}
"""As they work unasked: `dynamo` puts the weights into a second file."""
SMALL_EXPORTERS = {
    "torchscript": TORCHSCRIPT,
    "torchscript-opset-11": TORCHSCRIPT | {"opset_version": 11},
    "dynamo": DYNAMO | {"external_data": False},
    "dynamo-opset-18": DYNAMO | {"opset_version": 18},
}
"""Older operators, too: before 14 there was no HardSwish, before 17 no LayerNormalization, before 20 no Gelu."""


def export(module: nn.Module, x: Array, path: Path, settings: dict[str, Any]) -> Array:
    """Write a network that takes a batch of any size; return what ONNX Runtime computes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters', about themselves
        torch.onnx.export(
            module, (torch.from_numpy(x),), path, input_names=["input"], output_names=["output"], **settings
        )
    y = answer(path, x)
    with torch.no_grad():
        theirs = module(torch.from_numpy(x)).numpy()
    _report(path, y, theirs)
    return y


def _report(path: Path, y: Array, theirs: Array) -> None:
    largest = np.abs(theirs).max()
    print(
        f"{path.name:44} {np.abs(y - theirs).max() / largest:.0e} from where it comes from, "
        f"{np.abs(y[0] - y[1]).max() / largest:.2f} from picture to picture",
        flush=True,
    )


def export_keras(name: str, x: Array, path: Path) -> Array:
    """Write a network of Keras; return what ONNX Runtime computes."""
    model = drawn(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.export(path, format="onnx", verbose=False)
    y = answer(path, x)
    _report(path, y, model.predict(x, verbose=0))
    return y


def answer(path: Path, x: Array) -> Array:
    """Return what ONNX Runtime computes."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {session.get_inputs()[0].name: x})
    return y


def write_large(names: list[str]) -> None:
    """Write published networks, and keep a few of the numbers that they answer."""
    for name in names:
        module = large(name)
        for exporter, settings in EXPORTERS.items():
            path = files.LARGE / f"{name}-{exporter}.onnx"
            _keep(path.stem, export(module, pictures(files.BATCH, SIDE, SIDE), path, settings))


def write_packaged() -> None:
    """Copy the files that packages bring along, and keep a few of the numbers that they answer."""
    for name, packaged in files.PACKAGED.items():
        path = files.LARGE / f"{name}.onnx"
        shutil.copyfile(Path(sysconfig.get_path("purelib")) / packaged.place, path)
        _keep(name, answer(path, pictures(files.BATCH, *packaged.size)))


def _keep(name: str, y: Array) -> None:
    """Put a few of the outputs into the golden file."""
    path = files.LARGE_ANSWERS
    golden = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    golden[name] = files.excerpt(y)
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(golden[name], sort_keys=True)}" for name in sorted(golden)
    )
    path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def write_small() -> None:
    """Write the small networks beside the tests."""
    files.SMALL.mkdir(exist_ok=True)
    answers = {}
    for name in SMALL:
        for exporter, settings in SMALL_EXPORTERS.items():
            path = files.SMALL / f"{name}-{exporter}.onnx"
            answers[path.stem] = export(
                small(name), pictures(files.BATCH, SMALL_SIDE, SMALL_SIDE), path, settings
            )
            _forget_places(path)
    for name in KERAS:
        path = files.SMALL / f"{name}.onnx"
        x = pictures(files.BATCH, SMALL_SIDE, SMALL_SIDE).transpose(0, 2, 3, 1).copy()
        answers[path.stem] = export_keras(name, x, path)
    np.savez_compressed(files.SMALL_ANSWERS, **answers)


def _forget_places(path: Path) -> None:
    """Take out of a file where in PyTorch its nodes come from: half of it, and folders of this machine."""
    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        del node.metadata_props[:]
    onnx.save(model, path)


def main() -> None:
    """Write all files, or of the large ones those that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exported.write", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(LARGE))
    options = parser.parse_args()
    files.LARGE.mkdir(parents=True, exist_ok=True)
    write_small()
    write_large(options.names)
    write_packaged()


if __name__ == "__main__":
    main()
