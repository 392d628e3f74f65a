"""Files that exporters of other frameworks wrote give what ONNX Runtime gives; `make onnx-exports` writes them anew."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest

from benchmarks.exported import files
from benchmarks.exported.compare import TOLERANCE, computed, read, size
from benchmarks.exported.pictures import pictures
from engine.arrays import Array
from engine.model.onnx_format.write import export_network

with np.load(files.SMALL_ANSWERS) as _answers:
    SMALL = dict(_answers)
LARGE = json.loads(files.LARGE_ANSWERS.read_text(encoding="utf-8"))
SMALL_SIZE = (files.SMALL_SIDE, files.SMALL_SIDE)


def small_pictures(name: str) -> Array:
    """Return what a small file is asked about: maps are (N, C, H, W), in Keras (N, H, W, C)."""
    x = pictures(files.BATCH, *SMALL_SIZE)
    return x.transpose(0, 2, 3, 1).copy() if name.startswith("keras") else x


@pytest.mark.parametrize("name", SMALL)
def test_a_small_file_is_the_one_whose_outputs_are_kept(name: str) -> None:
    session = onnxruntime.InferenceSession(files.SMALL / f"{name}.onnx")
    (y,) = session.run(None, {session.get_inputs()[0].name: small_pictures(name)})
    largest = float(np.abs(SMALL[name]).max())
    np.testing.assert_allclose(y, SMALL[name], rtol=0, atol=1e-5 * largest)
    assert np.abs(y[0] - y[1]).max() > 0.1 * largest, "what is the same for all pictures proves little"


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("count", [1, 2])
def test_a_small_file_gives_what_onnx_runtime_gave(name: str, count: int) -> None:
    y = computed(read(files.SMALL / f"{name}.onnx", SMALL_SIZE), small_pictures(name)[:count])
    expected = SMALL[name][:count]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


def test_the_small_files_are_all_there_and_small() -> None:
    kept = sorted(path.name for path in files.SMALL.glob("*.onnx"))
    assert kept == sorted(f"{name}.onnx" for name in SMALL)
    assert max(path.stat().st_size for path in files.SMALL.iterdir()) < 100_000


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_a_large_file_gives_what_onnx_runtime_gave(name: str) -> None:
    path = files.LARGE / f"{name}.onnx"
    if not path.exists():
        pytest.skip("`make onnx-exports` writes the files of published networks; they are not here")
    y = computed(read(path, size(name)), pictures(files.BATCH, *size(name)))
    found = LARGE[name]
    expected = np.array(found["outputs"])
    np.testing.assert_allclose(y[:, found["columns"]], expected, rtol=0, atol=TOLERANCE * found["largest"])


@pytest.mark.parametrize(
    "name", [name for name in SMALL if name.endswith("dynamo") or name.startswith("keras")]
)
def test_what_was_imported_can_leave_again(name: str) -> None:
    imported = read(files.SMALL / f"{name}.onnx", SMALL_SIZE)
    content = b"".join(export_network(imported.network, imported.weights).pieces())
    session = onnxruntime.InferenceSession(content)
    x = imported.input.from_onnx(small_pictures(name)).transpose(0, 3, 1, 2).copy()
    (y,) = session.run(None, {"input": x})
    expected = SMALL[name]
    np.testing.assert_allclose(
        y.reshape(expected.shape), expected, rtol=0, atol=1e-5 * float(np.abs(expected).max())
    )
