"""Weights of torchvision and timm give the outputs that those libraries gave; `make parity` wrote the answers down."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.foreign_arrays import draw, picture
from engine.arrays import Array
from engine.errors import ModelFileError
from engine.graph.network import Network
from engine.layers import Context
from engine.model.foreign.mapping import Foreign, read_foreign
from engine.model.foreign.names import TABLES
from engine.presets import PRESETS, find
from tests.engine.test_golden import read

GOLDEN = read("foreign.npz")
LARGE = ("vgg", "alexnet")
CASES = [pytest.param(name, marks=pytest.mark.slow if name.startswith(LARGE) else ()) for name in GOLDEN]
Change = Callable[[dict[str, Array]], None]


def shapes(case: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in json.loads(GOLDEN[case]["shapes"].tobytes()).items()}


def imported(
    folder: Path, case: str, change: Change = lambda arrays: None, preset: str | None = None
) -> Foreign:
    arrays = draw(shapes(case))
    change(arrays)
    path = folder / "weights.safetensors"
    save_file(arrays, path)
    size = int(GOLDEN[case]["size"])
    found = find(preset or case.split(maxsplit=1)[0])
    assert found is not None
    return read_foreign(path, found, (size, size, 3))


def test_every_preset_with_a_table_has_answers() -> None:
    assert set(GOLDEN) == {f"{preset} {library}" for preset, tables in TABLES.items() for library in tables}
    assert set(TABLES) <= {preset.name for preset in PRESETS}


@pytest.mark.parametrize("case", CASES)
def test_a_network_answers_what_its_library_answered(case: str, tmp_path: Path) -> None:
    read = imported(tmp_path, case)
    size = int(GOLDEN[case]["size"])
    output = (
        Network.build(read.architecture).forward(read.weights, picture((size, size, 3)), Context()).output
    )
    expected = GOLDEN[case]["output"]
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-4 * float(np.abs(expected).max()))
    assert read.format == case.split()[1]
    assert len(read.weights) + len(read.unused) == len(shapes(case))
    assert all(name.endswith("num_batches_tracked") for name in read.unused)


@pytest.mark.parametrize("preset", TABLES)
def test_a_table_has_a_module_for_each_layer_and_none_twice(preset: str) -> None:
    found = find(preset)
    assert found is not None
    weighted = {node.name for node in Network.build(found.architecture()).nodes if node.weights}
    for table in TABLES[preset].values():
        modules = [module for node, module in table() if node in weighted]
        assert len(set(modules)) == len(modules) == len(weighted)


def test_sixteen_bits_are_read_as_well(tmp_path: Path) -> None:
    def halve(arrays: dict[str, Array]) -> None:
        arrays |= {name: array.astype(np.float16) for name, array in arrays.items() if array.ndim}

    whole, half = imported(tmp_path, "squeezenet-1.1 torchvision"), None
    half = imported(tmp_path, "squeezenet-1.1 torchvision", halve)
    for name, array in half.weights.items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, whole.weights[name], rtol=1e-3, atol=1e-6)


def without(name: str) -> Change:
    return lambda arrays: arrays.__delitem__(name)


def put(name: str, array: Array) -> Change:
    return lambda arrays: arrays.update({name: array})


def renamed(arrays: dict[str, Array]) -> None:
    arrays |= {f"model.{name}": arrays.pop(name) for name in list(arrays)}


FAULTS: list[tuple[Change, str]] = [
    (without("bn1.running_var"), "lacks arrays of resnet-18: bn1.running_var"),
    (without("fc.bias"), "no array 'fc.bias'"),
    (renamed, "no array 'fc.bias'"),
    (put("fc.bias", np.zeros((3, 2), np.float32)), "no array 'fc.bias'"),
    (
        put("conv1.weight", np.zeros((64, 3, 3, 3), np.float32)),
        r"'conv1.weight' has the shape \[64, 3, 3, 3\]",
    ),
    (put("conv1.weight", np.zeros((64, 3, 7, 7))), "'conv1.weight' is F64"),
    (
        put("fc.bias", np.zeros(11, np.float32)),
        r"'fc.weight' has the shape \[10, 512\]; the network needs \[11, 512\]",
    ),
]


@pytest.mark.parametrize(("change", "words"), FAULTS)
def test_a_file_that_does_not_fit_is_refused(change: Change, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=words):
        imported(tmp_path, "resnet-18 torchvision", change)


@pytest.mark.parametrize("preset", ["resnet-18", "resnet-50", "alexnet"])
def test_a_file_of_another_preset_is_not_read_in_part(preset: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError) as raised:
        imported(tmp_path, "resnet-34 torchvision", preset=preset)
    assert "resnet-34" in str(raised.value.hint)


def test_what_the_network_has_no_place_for_is_listed(tmp_path: Path) -> None:
    read = imported(tmp_path, "resnet-18 torchvision", put("ema.decay", np.zeros(1, np.float32)))
    assert "ema.decay" in read.unused
