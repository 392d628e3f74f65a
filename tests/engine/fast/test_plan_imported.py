"""Plans of networks that came as ONNX files: with the file's weights, and trained beside the plain executor."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.exported import files
from benchmarks.exported.compare import read
from engine.fast.plan import Plan
from tests.engine.fast.test_plan import CUT, compare
from tests.engine.test_onnx_exports import SMALL, SMALL_SIZE, small_pictures

# exporters differ in how they write a network, not in what is imported of it
NAMES = [name for name in SMALL if name.endswith("-dynamo") or name.startswith("keras")]


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_gives_what_the_file_gives(name: str) -> None:
    imported = read(files.SMALL / f"{name}.onnx", SMALL_SIZE)
    plan = Plan(imported.network, files.BATCH, CUT, training=False)
    plan.prepare(imported.weights)
    x = np.ascontiguousarray(imported.input.from_onnx(small_pictures(name)))
    y = imported.output.to_onnx(plan.scores(x))
    np.testing.assert_allclose(y, SMALL[name], rtol=0, atol=1e-5 * float(np.abs(SMALL[name]).max()))


@pytest.mark.parametrize("name", NAMES)
def test_an_imported_network_learns_by_a_plan_as_by_the_plain_executor(name: str) -> None:
    compare(read(files.SMALL / f"{name}.onnx", SMALL_SIZE).network, tolerance=1e-3, flips=0.1)
