"""What this process computes with: recorded in models, compared before a run goes on."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

REVISION = 2
"""Raised by every change that gives other bits on the same libraries and processor: to layers, random streams, sums.
Plans have one of their own (`engine.fast.plan`)."""


def pins(threads: int) -> dict[str, str]:
    """Return all that changes the bits of a result: our arithmetic, library builds, CPU features, BLAS threads.

    A run that goes on under equal pins ends in the same bytes as one that was never interrupted.
    """
    blas = _numpy_build().get("Build Dependencies", {}).get("blas", {})
    return {
        "engine": str(REVISION),
        "numpy": np.__version__,
        "blas": " ".join(
            str(blas[key]) for key in ("name", "version", "openblas configuration") if blas.get(key)
        ),
        "cpu": platform.machine(),
        "cpu_features": " ".join(_cpu_features()),
        "blas_threads": str(threads),
    }


def is_x86_without_avx512() -> bool:
    """Tell whether this is an x86 processor of which NumPy, which asks it, knows no AVX-512."""
    return _is_x86() and not _has_avx512()


def is_openblas_with_avx512() -> bool:
    """Tell whether NumPy's products are those of OpenBLAS for an x86 processor with AVX-512."""
    blas = _numpy_build().get("Build Dependencies", {}).get("blas", {})
    return _is_x86() and _has_avx512() and "openblas" in str(blas.get("name", ""))


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")


def _has_avx512() -> bool:
    # X86_V4 since NumPy 2.4, one name for each extension before
    return any(name == "X86_V4" or name.startswith("AVX512") for name in _cpu_features())


def _cpu_features() -> list[str]:
    simd = _numpy_build().get("SIMD Extensions", {})
    return [*simd.get("baseline", []), *simd.get("found", [])]


def _numpy_build() -> dict[str, Any]:
    return dict(np.show_config(mode="dicts") or {})
