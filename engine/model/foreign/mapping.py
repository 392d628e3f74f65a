"""Arrays of another library become the weights of a preset.

Each array has its place by name, and its axes by those of the weight's spec: PyTorch orders them out, in,
height, width.
A dense layer behind a `flatten` reads a map that PyTorch flattens as (C, H, W) and we as (H, W, C).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine import presets
from engine.arrays import Array, Shape
from engine.errors import ModelFileError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.graph.node import Node
from engine.layers import WeightSpec
from engine.layers.base import Axis
from engine.model.foreign.names import TABLES
from engine.model.model_file import ArrayHeader, array_headers, few, read_arrays
from engine.presets.base import Preset

_ORDER: tuple[Axis, ...] = ("out", "in", "height", "width", "channels")
_ARRAYS = {
    "weight": "weight",
    "bias": "bias",
    "scale": "weight",
    "shift": "bias",
    "running_mean": "running_mean",
    "running_variance": "running_var",
}
"""Our names of a layer's arrays, and theirs."""
_COUNTER = ".num_batches_tracked"
"""How many batches a batch norm has seen: nothing depends on it."""


@dataclass(frozen=True)
class Foreign:
    """A network of another library, as one of ours."""

    architecture: Architecture
    weights: dict[str, Array] = field(repr=False)
    format: str
    """Whose names its arrays have."""
    unused: tuple[str, ...]
    """Arrays of the file that it has no place for."""


@dataclass(frozen=True)
class _Source:
    """Where the numbers of one weight are: an array of theirs, its shape, and the order of its axes in ours."""

    name: str
    shape: Shape
    axes: tuple[int, ...]


def read_foreign(
    path: Path,
    preset: Preset,
    input_shape: tuple[int, int, int] | None = None,
    max_parameters: int | None = None,
    max_bytes: int | None = None,
) -> Foreign:
    """Read a safetensors file with the names of torchvision or timm as the weights of a preset.

    Args:
        path: the file.
        preset: whose layers its arrays are of; one of `TABLES`.
        input_shape: (height, width, channels) of the pictures; by default the preset's.
        max_parameters: the most parameters of a network.
        max_bytes: the largest file that is read.

    Raises:
        ModelFileError: damaged, an array is missing, of another shape or type, or the file is of another preset.
        ShapeError, LimitError: the network cannot be built for such pictures, or is too large.
    """
    headers = array_headers(path, max_bytes)
    library, modules = _library(preset, headers)
    head = f"{list(modules.values())[-1]}.bias"
    if head not in headers or len(headers[head].shape) != 1:
        raise _not_of(preset, headers, f"the file has no array {head!r}, from which its classes are counted")
    architecture = preset.architecture(input_shape, headers[head].shape[0])
    network = Network.build(architecture, max_parameters)
    sources = _sources(network, modules)
    missing = {source.name for source in sources.values()} - set(headers)
    if missing:
        raise _not_of(preset, headers, f"the file lacks arrays of {preset.name}: {few(missing)}")
    unused = sorted(set(headers) - {source.name for source in sources.values()})
    if any(not name.endswith(_COUNTER) for name in unused):
        other = _likeliest(headers)
        if other not in (None, preset.name):
            raise _not_of(preset, headers, f"the file holds arrays that {preset.name} has no place for")
    _check_shapes(headers, sources, network.weight_specs)
    read = read_arrays(path, [source.name for source in sources.values()])
    weights = {}
    for (name, source), (_, array) in zip(sources.items(), read, strict=True):
        ours = array.reshape(source.shape).transpose(source.axes)
        weights[name] = np.ascontiguousarray(ours).reshape(network.weight_specs[name].shape)
    return Foreign(architecture, weights, library, tuple(unused))


def _library(preset: Preset, headers: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Return whose names the file has, and the module of each node."""
    present = {name.rpartition(".")[0] for name in headers}
    tables = {library: dict(table()) for library, table in TABLES[preset.name].items()}
    library = max(tables, key=lambda library: len(present & set(tables[library].values())))
    return library, tables[library]


def _sources(network: Network, modules: Mapping[str, str]) -> dict[str, _Source]:
    nodes = {node.name: node for node in network.nodes}
    return {
        f"{node.name}/{name}": _source(f"{modules[node.name]}.{_ARRAYS[name]}", node, spec, nodes)
        for node in network.nodes
        for name, spec in node.weights.items()
    }


def _source(name: str, node: Node, spec: WeightSpec, nodes: Mapping[str, Node]) -> _Source:
    if spec.axes == ("in", "out"):
        height, width, channels = _map_before(node, nodes)
        return _Source(name, (spec.shape[1], channels, height, width), (2, 3, 1, 0))  # (out, C, H, W)
    theirs = [axis for axis in _ORDER if axis in spec.axes]
    shape = tuple(spec.shape[place] for place in spec.order(theirs))
    return _Source(name, shape, tuple(theirs.index(axis) for axis in spec.axes))


def _map_before(node: Node, nodes: Mapping[str, Node]) -> tuple[int, int, int]:
    """Return the map (H, W, C) whose flattened numbers a dense layer reads; a vector is one of 1 x 1."""
    (size,) = node.input_shapes[0]
    before = nodes[node.inputs[0]]
    while before.layer.type == "dropout":
        before = nodes[before.inputs[0]]
    if before.layer.type != "flatten":
        return 1, 1, size
    height, width, channels = before.input_shapes[0]
    return height, width, channels


def _check_shapes(
    headers: Mapping[str, ArrayHeader], sources: Mapping[str, _Source], specs: Mapping[str, WeightSpec]
) -> None:
    for ours, source in sources.items():
        found = headers[source.name].shape
        # a dense layer's array has 2 axes, or the 4 of a convolution with its map as the window
        flat = (source.shape[0], int(np.prod(source.shape[1:])))
        if found != source.shape and not (specs[ours].axes == ("in", "out") and found == flat):
            needed = list(flat if specs[ours].axes == ("in", "out") else source.shape)
            raise ModelFileError(
                f"the array {source.name!r} has the shape {list(found)}; the network needs {needed}",
                hint="say the input_shape that the network was trained with",
            )


def _not_of(preset: Preset, headers: Iterable[str], detail: str) -> ModelFileError:
    likeliest = _likeliest(headers)
    if likeliest in (None, preset.name):
        return ModelFileError(detail, hint="its arrays have to have the names of torchvision or timm")
    return ModelFileError(
        detail, hint=f"the names of its arrays are those of {likeliest}: say that as preset"
    )


def _likeliest(headers: Iterable[str]) -> str | None:
    """Return the preset of which the file has all arrays, the one with the most of them; None if there is none."""
    names = set(headers)
    best: tuple[int, str | None] = (0, None)
    for preset in presets.PRESETS:
        for table in TABLES.get(preset.name, {}).values():
            modules = dict(table())
            sources = _sources(Network.build(preset.architecture()), modules)
            needed = {source.name for source in sources.values()}
            if needed <= names and len(needed) > best[0]:
                best = len(needed), preset.name
    return best[1]
