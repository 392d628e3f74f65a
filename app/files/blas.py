"""What BLAS reads from the environment when NumPy loads it."""

from __future__ import annotations

from pathlib import Path

THREADS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""How many threads a product is split over."""
_AVX512 = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}
_ZEN_5 = "26"
_DESCRIPTION = Path("/proc/cpuinfo")


def defaults() -> dict[str, str]:
    """Return the variables that are set unless the operator has set them: one thread, and the right kernels."""
    return dict.fromkeys(THREADS_VARIABLES, "1") | kernels(_DESCRIPTION)


def kernels(description: Path) -> dict[str, str]:
    """Return the variable that names OpenBLAS's kernels where it takes the wrong ones, else none.

    Up to version 0.3.31 it does not know AMD's family 26 (Zen 5), and may compute there without AVX-512, which takes
    up to twice as long: https://github.com/OpenMathLib/OpenBLAS/issues/6029

    Args:
        description: of the processors, as Linux has it in /proc/cpuinfo; anywhere else there is none.
    """
    try:
        first, _, _ = description.read_text(encoding="utf-8").partition("\n\n")  # all processors are alike
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    found = {name.strip(): value.strip() for name, _, value in pairs}
    is_zen_5 = found.get("vendor_id") == "AuthenticAMD" and found.get("cpu family") == _ZEN_5
    has_avx512 = set(found.get("flags", "").split()) >= _AVX512
    return {"OPENBLAS_CORETYPE": "SkylakeX"} if is_zen_5 and has_avx512 else {}
