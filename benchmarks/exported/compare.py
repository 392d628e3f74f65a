"""Import the files that `make onnx-exports` has written, and compare the networks with ONNX Runtime.

What is found is written to docs/onnx.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.exported import files
from benchmarks.exported.pictures import pictures
from benchmarks.page_sections import put
from engine.arrays import Array
from engine.errors import EngineError
from engine.layers import Context
from engine.model.onnx_format.read import read_graph
from engine.model.onnx_import.importing import ImportedNetwork, import_network

TOLERANCE = 1e-4
"""The most that an output may differ, as a share of the largest."""
EXPORTERS = {"torchscript": "`dynamo=False`", "dynamo": "`dynamo=True`"}


def size(name: str) -> tuple[int, int]:
    """Return height and width of the pictures of a large file."""
    return files.PACKAGED[name].size if name in files.PACKAGED else (files.SIDE, files.SIDE)


def read(path: Path, pixels: tuple[int, int]) -> ImportedNetwork:
    """Import a file, with the data beside it if there are any, for pictures of this height and width."""
    external = path.with_name(f"{path.name}.data")
    graph = read_graph(path, external if external.exists() else None)
    return import_network(graph, input_shape=(*pixels, 3))


def computed(imported: ImportedNetwork, x: Array) -> Array:
    """Return what an imported network makes of the graph's input, as the graph's output."""
    y = imported.network.forward(imported.weights, imported.input.from_onnx(x), Context()).output
    return imported.output.to_onnx(y)


def difference(path: Path, x: Array) -> float:
    """Return how far an imported network is from ONNX Runtime, as a share of the largest output."""
    ours = computed(read(path, (x.shape[2], x.shape[3])), x)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {session.get_inputs()[0].name: x})
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def main() -> int:
    onnxruntime.set_default_logger_severity(3)
    found: dict[str, float] = {}
    wrong = 0
    for name in json.loads(files.LARGE_ANSWERS.read_text(encoding="utf-8")):
        path = files.LARGE / f"{name}.onnx"
        try:
            found[name] = difference(path, pictures(files.BATCH, *size(name)))
        except (EngineError, FileNotFoundError) as error:
            print(f"{name:32} {error}", flush=True)
            wrong += 1
            continue
        wrong += not found[name] <= TOLERANCE
        print(f"{name:32} {found[name]:.0e}", flush=True)
    if wrong:
        return 1
    put("onnx.md", "exports", table(found))
    return 0


def table(found: Mapping[str, float]) -> list[str]:
    """Return a row for each network of torchvision with a column for each exporter, and one for each packaged file."""
    lines = [f"| network of torchvision | {' | '.join(EXPORTERS.values())} |", "|---|---:|---:|"]
    for name in dict.fromkeys(name.rpartition("-")[0] for name in found if name not in files.PACKAGED):
        cells = [f"{found[f'{name}-{exporter}']:.0e}" for exporter in EXPORTERS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| file of a package | |", "|---|---:|"]
    for name, packaged in files.PACKAGED.items():
        package, _, place = packaged.place.partition("/")
        title = f"{place.rpartition('/')[2]} of {package.replace('_', '-')}"
        lines.append(f"| {title} | {found[name]:.0e} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
