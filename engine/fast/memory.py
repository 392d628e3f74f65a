"""How much memory a plan will hold, from the network's description alone: no array is allocated.

It follows the steps: what each keeps of a batch, and for convolutions the working set of the kernel, of which
only the order of magnitude is known before the machine has been measured. Where it has to guess it takes the more
expensive way; `tests/engine/fast/test_memory.py` holds it against what plans allocate.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from engine.arrays import elements
from engine.fast.columns import tile_of
from engine.fast.gemm import OPENBLAS_EDGE, Tuning, pieces
from engine.fast.plan import halves, has_kernel, runs
from engine.fast.pooled import Quartered, pools_side_by_side, quartered_tile, widened
from engine.fast.steps.base import BLOCK
from engine.fast.winograd import Winograd, winograd_tile
from engine.network import INPUT, Network, Node
from engine.ops.windows import Window

_FLOAT = 4
_COLUMNS_BYTES = 1 << 21
"""Columns that a layer's own convolution gathers at once."""
_SLABS = 1 << 18
"""Numbers between the rows of transformed maps that keep them from evicting each other."""
_TUNING = Tuning(gemm_edge=OPENBLAS_EDGE)


def pass_bytes(network: Network, pictures: int, *, training: bool) -> int:
    """Return about how much a plan for so many pictures holds, with its workspace; rather more than less.

    That is outputs, gradients, masks, columns, transformed filters and the gradients of the weights; it is not the
    weights themselves nor the batch.
    """
    total = scratch = 0
    for run in runs(network):
        held, shared = _step_bytes(run, pictures, training=training)
        total += held
        scratch = max(scratch, shared)
    if training:
        shapes = {node.name: node.output_shape for node in network.nodes}
        readers = Counter(name for node in network.nodes for name in node.inputs if name != INPUT)
        total += (
            sum((count - 1) * elements(shapes[name]) for name, count in readers.items()) * _FLOAT * pictures
        )
    return total + scratch


def _step_bytes(run: tuple[Node, ...], pictures: int, *, training: bool) -> tuple[int, int]:
    """Return what a step holds, and what it needs of the scratch that all steps share."""
    first, last = run[0], run[-1]
    inputs = sum(elements(shape) for shape in first.input_shapes) * _FLOAT * pictures
    outputs = elements(last.output_shape) * _FLOAT * pictures
    gradients = inputs if training and first.inputs != (INPUT,) else 0
    weights = sum(elements(spec.shape) for spec in first.weights.values()) * _FLOAT
    dweights = weights if training else 0
    block = 4 * BLOCK * _FLOAT
    match first.layer.type:
        case "conv2d" | "depthwise_conv2d" if has_kernel(first):
            masks = 0
            if training and len(run) > 1 and first.output_shape != last.output_shape:
                masks = 3 * outputs // _FLOAT  # two bytes of a row's pairs and one of an output
            return outputs + masks + gradients + _kernel_bytes(run, pictures, training=training), 0
        case "batch_norm" if len(first.output_shape) == 3:
            return outputs + (outputs if training else 0) + block + dweights, 0
        case "add":
            return 2 * outputs + block, 0
        case "dense":
            return 2 * outputs + outputs // _FLOAT + gradients + dweights, 0
        case "max_pool2d" if halves(first):
            masks = inputs // 8 + outputs // _FLOAT if training else 0
            return outputs + masks + (inputs if training else 0) + block, 0
    saved = first.layer.cost(*first.input_shapes).saved_bytes * pictures
    temporary = 2 * max(inputs, outputs)
    if weights:
        temporary += (2 if training else 1) * (_COLUMNS_BYTES + weights)
    # a gradient with respect to padded maps is as large as these are
    return outputs + gradients + (2 if training else 1) * saved + dweights, temporary


def _kernel_bytes(run: tuple[Node, ...], pictures: int, *, training: bool) -> int:
    """Return the working set of a convolution's kernel."""
    node = run[0]
    layer: Any = node.layer
    window: Window = layer.window(node.input_shapes[0])
    height, width, channels = node.input_shapes[0]
    filters = node.output_shape[2]
    weight = elements(node.weights["weight"].shape) * _FLOAT
    sides = {(axis.kernel, axis.stride, axis.before, axis.after, axis.dilation) for axis in window}
    if sides == {(3, 1, 1, 1, 1)} and Winograd.fits(pictures, (height, width), channels, filters):
        tile, held = _winograd_bytes(
            pictures, (height, width), (channels, filters), weight, training=training
        )
    elif node.output_shape != run[-1].output_shape and Quartered.pays(window, filters):
        return _quartered_bytes(pictures, window, (channels, filters), weight, training=training)
    else:
        needs_dx = node.inputs != (INPUT,)
        tile, held = _gathered_bytes(
            pictures, window, (channels, filters), weight, training=training, needs_dx=needs_dx
        )
    # the map before the pool, the gradient of a tile and where that is positive
    maps = elements(node.output_shape) * (len(run) > 1) + 2 * elements(run[-1].output_shape)
    return held + tile * maps * _FLOAT


def _winograd_bytes(
    pictures: int, size: tuple[int, int], depths: tuple[int, int], weight: int, *, training: bool
) -> tuple[int, int]:
    height, width = size
    tile = winograd_tile(pictures, size, depths, _TUNING)
    height = -(-height // 4) * 4
    wide = min(depths) <= 16
    # a padded map, six rows of it transformed for four, and as much of the products; there, and back with A X
    map_bytes = tile * (height + 2) * (width + 2) * _FLOAT
    maps = int((4.75 if training else 2) * sum(depths) * map_bytes) + _SLABS
    matrix = 6 * weight if wide else 2 * weight
    if not training:
        return tile, maps + matrix
    rows = tile * (height // 4) * (width + 2)
    copies = 6 * (2 * 8 if wide else 3)
    summed = elements(depths) * copies * _FLOAT
    parts = pieces(rows, elements(depths) * (8 if wide else 1), _TUNING.gemm_edge, copies=copies)
    return tile, maps + 2 * matrix + 2 * parts * summed + 4 * weight


def _quartered_bytes(
    pictures: int, window: Window, depths: tuple[int, int], weight: int, *, training: bool
) -> int:
    channels, filters = depths
    pools = pools_side_by_side(window, filters)
    wide = widened(window, pools)
    tile = quartered_tile(pictures, wide, channels)
    outputs, inputs = elements(wide.output), wide.height.padded * wide.width.padded
    # columns, the padded map, four cells a pool and half as many larger ones, dX with its padding
    held = tile * (
        outputs * (elements(wide.kernel) * channels + 7 * filters)
        + (3 if training else 1) * inputs * channels
    )
    if training:  # a band of filters, and rows of its products
        held += window.width.output * 2 * filters * wide.height.kernel * wide.width.padded * channels
        held += tile * wide.height.output * wide.height.kernel * wide.width.padded * channels
    return held * _FLOAT + 4 * 4 * pools * weight


def _gathered_bytes(
    pictures: int, window: Window, depths: tuple[int, int], weight: int, *, training: bool, needs_dx: bool
) -> tuple[int, int]:
    channels, filters = depths
    taps = elements(window.kernel)
    tile = tile_of(pictures, window, channels, 4 * _TUNING.tile_bytes)
    outputs, inputs = elements(window.output), window.height.size * window.width.size
    padded = window.height.padded * window.width.padded
    rows = tile * outputs
    columns = tile * (outputs * taps * channels + padded * channels)
    if not training:
        return tile, columns * _FLOAT + 2 * weight
    parts = pieces(rows, taps * channels * filters, _TUNING.gemm_edge, copies=1)
    # dX: columns of the gradients, flipped at stride 1 and scattered at others
    stride_one = (window.height.stride, window.width.stride) == (1, 1)
    gathered = inputs * filters if stride_one else outputs * channels
    back = tile * (gathered * taps + padded * max(depths)) if needs_dx else 0
    return tile, (columns + back) * _FLOAT + (parts + 6) * weight
