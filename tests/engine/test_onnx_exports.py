"""Files that exporters of other frameworks wrote; `make onnx-exports` writes them anew."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from benchmarks.exported import files
from benchmarks.exported.pictures import pictures
from engine.arrays import Array

with np.load(files.SMALL_ANSWERS) as _answers:
    SMALL = dict(_answers)
SMALL_SIDE = 32


def small_pictures(name: str) -> Array:
    """Return what a small file is asked about: maps are (N, C, H, W), in Keras (N, H, W, C)."""
    x = pictures(files.BATCH, SMALL_SIDE, SMALL_SIDE)
    return x.transpose(0, 2, 3, 1).copy() if name.startswith("keras") else x


@pytest.mark.parametrize("name", SMALL)
def test_a_small_file_is_the_one_whose_outputs_are_kept(name: str) -> None:
    session = onnxruntime.InferenceSession(files.SMALL / f"{name}.onnx")
    (y,) = session.run(None, {session.get_inputs()[0].name: small_pictures(name)})
    largest = float(np.abs(SMALL[name]).max())
    np.testing.assert_allclose(y, SMALL[name], rtol=0, atol=1e-5 * largest)
    assert np.abs(y[0] - y[1]).max() > 0.1 * largest, "what is the same for all pictures proves little"


def test_the_small_files_are_all_there_and_small() -> None:
    kept = sorted(path.name for path in files.SMALL.glob("*.onnx"))
    assert kept == sorted(f"{name}.onnx" for name in SMALL)
    assert max(path.stat().st_size for path in files.SMALL.iterdir()) < 100_000
