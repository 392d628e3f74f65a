"""What this process computes with."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engine.environment import blas_kernels, pins

PROGRAM = """
from engine.environment import blas_kernels, products_use_avx512
from engine.fast.layout.gemm import Tuning
print(blas_kernels(), products_use_avx512(), Tuning.measure().gemm_edge)
"""


@pytest.mark.skipif(not blas_kernels(), reason="NumPy computes products by another library than OpenBLAS")
def test_products_are_cut_for_the_kernels_that_openblas_has_taken() -> None:
    """Cut for kernels that it could take on this processor, those for AVX2 would take a tenth longer."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"OPENBLAS_CORETYPE": "Haswell"},
        capture_output=True,
        text=True,
        check=True,
    )
    if done.stdout.startswith("Haswell "):  # an ARM processor has none of that name
        assert done.stdout.split() == ["Haswell", "False", "0"]
    assert pins(1)["blas_kernels"] == blas_kernels()
