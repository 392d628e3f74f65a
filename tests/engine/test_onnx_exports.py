"""Files that exporters of other frameworks wrote; `make onnx-exports` writes them anew."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from benchmarks.exported import files
from benchmarks.exported.pictures import pictures

with np.load(files.SMALL_ANSWERS) as _answers:
    SMALL = dict(_answers)
SMALL_SIDE = 32


@pytest.mark.parametrize("name", SMALL)
def test_a_small_file_is_the_one_whose_outputs_are_kept(name: str) -> None:
    session = onnxruntime.InferenceSession(files.SMALL / f"{name}.onnx")
    (y,) = session.run(None, {"input": pictures(files.BATCH, SMALL_SIDE, SMALL_SIDE)})
    largest = float(np.abs(SMALL[name]).max())
    np.testing.assert_allclose(y, SMALL[name], rtol=0, atol=1e-5 * largest)
    assert np.abs(y[0] - y[1]).max() > 0.1 * largest, "what is the same for all pictures proves little"


def test_the_small_files_are_all_there_and_small() -> None:
    kept = sorted(path.name for path in files.SMALL.glob("*.onnx"))
    assert kept == sorted(f"{name}.onnx" for name in SMALL)
    assert max(path.stat().st_size for path in files.SMALL.iterdir()) < 100_000
