"""Which kernels OpenBLAS takes, and what it is told before NumPy loads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.files import blas

AVX512 = "fpu sse2 avx2 avx512f avx512dq avx512cd avx512bw avx512vl avx512_bf16"
KERNELS = "from engine.environment import blas_kernels; print(blas_kernels())"


@pytest.mark.parametrize(
    ("vendor", "family", "flags", "told"),
    [
        ("AuthenticAMD", 26, AVX512, {"OPENBLAS_CORETYPE": "SkylakeX"}),
        ("AuthenticAMD", 26, "fpu sse2 avx2", {}),  # a virtual machine may hide them: they would be illegal
        ("AuthenticAMD", 25, AVX512, {}),
        ("GenuineIntel", 26, AVX512, {}),
    ],
)
def test_the_kernels_are_named_where_openblas_takes_the_wrong_ones(
    tmp_path: Path, vendor: str, family: int, flags: str, told: dict[str, str]
) -> None:
    one = f"vendor_id\t: {vendor}\ncpu family\t: {family}\nmodel name\t: A: B\nflags\t\t: {flags}\nbugs\t\t:\n\n"
    (tmp_path / "cpuinfo").write_text(one + one, encoding="utf-8")
    assert blas.kernels(tmp_path / "cpuinfo") == told


@pytest.mark.parametrize("content", [None, b"", b"Processor : ARMv8\n", b"\xff\xfe"])
def test_nothing_is_named_where_nothing_is_known(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "cpuinfo").write_bytes(content)
    assert blas.kernels(tmp_path / "cpuinfo") == {}


def kernels(**variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    done = subprocess.run(
        [sys.executable, "-c", KERNELS],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_openblas_takes_the_kernels_that_are_named() -> None:
    """On this very machine: where none are named its own choice must do, if it is OpenBLAS at all."""
    own = kernels()
    named = blas.kernels(Path("/proc/cpuinfo")).get("OPENBLAS_CORETYPE")
    if not own or named is None:
        pytest.skip("NumPy has no OpenBLAS here, or that takes the right kernels by itself")
    assert kernels(OPENBLAS_CORETYPE=named) == named
    assert kernels(OPENBLAS_CORETYPE="Haswell") == "Haswell"
