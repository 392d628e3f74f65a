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
    found = _numpy_build()
    blas = found.get("Build Dependencies", {}).get("blas", {})
    simd = found.get("SIMD Extensions", {})
    return {
        "engine": str(REVISION),
        "numpy": np.__version__,
        "blas": " ".join(
            str(blas[key]) for key in ("name", "version", "openblas configuration") if blas.get(key)
        ),
        "cpu": platform.machine(),
        "cpu_features": " ".join([*simd.get("baseline", []), *simd.get("found", [])]),
        "blas_threads": str(threads),
    }


def _numpy_build() -> dict[str, Any]:
    return dict(np.show_config(mode="dicts") or {})
