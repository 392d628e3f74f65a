"""`python -m benchmarks.operations`: how long an operation on a colour picture of 512 x 512 pixels takes over HTTP.

One server, a file sent as a form, a PNG back; the median of some calls, each over the same connection. As JSON the same
is refused, since its output has more numbers than are written; that answer is timed as well.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image, ImageFilter

from app.cli.launch import ServerProcess

SIDE = 512
PNG, JSON = "image/png", "application/json"

CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "convolve, sobel_x": ("convolve", {"kernel": "sobel_x"}, PNG),
    "convolve, gaussian_blur": ("convolve", {"kernel": "gaussian_blur"}, PNG),
    "conv2d, 3 filters": ("conv2d", {"layer": {"filters": 3, "kernel_size": 3}}, PNG),
    "max_pool2d": ("max_pool2d", {"layer": {"pool_size": 2}}, PNG),
    "relu": ("relu", {}, PNG),
    "augment, rotation": ("augment", {"augmentation": {"type": "rotation", "degrees": 20}}, PNG),
    "convolve, sobel_x, as JSON (413)": ("convolve", {"kernel": "sobel_x"}, JSON),
    "convolve, sobel_x, a figure": ("convolve", {"kernel": "sobel_x"}, "image/svg+xml"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operations", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    picture = photo()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            ServerProcess(folder / "data", folder / "log") as url,
            httpx.Client(base_url=url, timeout=60) as http,
        ):
            print(
                f"a PNG of {SIDE} x {SIDE} x 3, {len(picture):,} bytes; milliseconds of {options.repeats} calls"
            )
            for title, (operation, fields, accept) in CALLS.items():
                taken = time_call(http, operation, picture, fields, accept, options.repeats)
                print(f"{title:36} median {statistics.median(taken):7.1f}   fastest {min(taken):7.1f}")


def photo() -> bytes:
    """Return a PNG of coloured patches with soft edges and some noise, as a camera makes them."""
    draw = np.random.default_rng(0)
    patches = draw.integers(0, 256, (9, 9, 3), np.uint8)
    smooth = Image.fromarray(patches).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    pixels = np.array(smooth.filter(ImageFilter.GaussianBlur(1)), np.float64) + draw.normal(
        0, 4, (SIDE, SIDE, 3)
    )
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def time_call(
    http: httpx.Client, operation: str, picture: bytes, fields: dict[str, Any], accept: str, repeats: int
) -> list[float]:
    """Return how many milliseconds each of some calls took, after one that is not counted."""
    taken = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        answer = http.post(
            f"/v1/operations/{operation}",
            files={"file": ("photo.png", picture, PNG)},
            data={name: json.dumps(value) for name, value in fields.items()},
            headers={"Accept": accept},
        )
        taken.append((time.perf_counter() - began) * 1000)
        if answer.status_code != (413 if accept == JSON else 200):
            raise SystemExit(f"{operation} answered {answer.status_code}: {answer.text[:300]}")
    return taken[1:]


if __name__ == "__main__":
    main()
