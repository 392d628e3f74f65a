"""What this process computes with: recorded in models, compared before a run goes on."""

from __future__ import annotations

import ctypes
import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

REVISION = 2
"""Raised by every change that gives other bits on the same libraries and processor: to layers, random streams, sums.
Plans have one of their own (`engine.fast.plan`)."""

_CORE_NAMES = tuple(
    f"{library}openblas_get_corename{bits}" for library in ("scipy_", "") for bits in ("64_", "")
)
_AVX512_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")


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
        "blas_kernels": blas_kernels(),
        "cpu": platform.machine(),
        "cpu_features": " ".join(_cpu_features()),
        "blas_threads": str(threads),
    }


def products_use_avx512() -> bool | None:
    """Tell whether OpenBLAS computes products by its kernels for AVX-512; None where another library computes them.

    It is asked, for it may take other kernels than the processor has instructions for.
    """
    if not _is_x86():
        return None
    if kernels := blas_kernels():
        return uses_avx512(kernels)
    return None if _has_avx512() else False


def uses_avx512(kernels: str) -> bool:
    """Tell whether kernels of OpenBLAS, by their name, are those for AVX-512."""
    return kernels in _AVX512_KERNELS


def blas_kernels() -> str:
    """Return for which processor OpenBLAS's kernels are, such as Haswell; nothing for other libraries."""
    module = sys.modules.get("numpy._core._multiarray_umath")
    if module is None or module.__file__ is None:
        return ""
    try:
        library = ctypes.CDLL(module.__file__)  # is loaded already: what it is linked with is searched
    except OSError:
        return ""
    for name in _CORE_NAMES:
        try:
            function = getattr(library, name)
        except AttributeError:
            continue
        function.restype = ctypes.c_char_p
        return str(function().decode())
    return ""


def processor_name() -> str:
    """Return what the processor calls itself, or of what kind it is where the system does not say."""
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


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
