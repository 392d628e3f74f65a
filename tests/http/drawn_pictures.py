"""Pictures that have labels or values, drawn by numbers, and files of them as they are uploaded."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
from PIL import Image

COLOURS = {"blue": (30, 60, 230), "green": (40, 210, 70), "red": (230, 40, 50)}
SIDE = 12
COUNT = 240


def squares(seed: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Draw a dark picture with a square of each of some colours, each in a corner of its own."""
    draw = np.random.default_rng(seed)
    picture = draw.integers(0, 40, (SIDE, SIDE, 3)).astype(np.uint8)
    chosen = tuple(sorted(draw.permutation(list(COLOURS))[: draw.integers(0, 4)].tolist()))
    corners = draw.permutation(4)
    for corner, name in zip(corners, chosen, strict=False):
        row, column = 1 + 6 * (corner // 2), 1 + 6 * (corner % 2)
        picture[row : row + 4, column : column + 4] = COLOURS[name]
    return picture, chosen


def shade(seed: int) -> tuple[np.ndarray, tuple[float, float]]:
    """Draw a picture of one tint; how light it is, and how much more red than blue, from -1 to 1."""
    draw = np.random.default_rng(seed)
    tint = draw.integers(20, 236, 3)
    picture = np.clip(tint + draw.integers(-15, 16, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    red, _, blue = picture.mean(axis=(0, 1)) / 255
    return picture, (float(picture.mean() / 255), float(red - blue))


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def pack(manifest: str, pictures: dict[str, bytes], name: str = "manifest.csv") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, manifest)
        for file, content in pictures.items():
            archive.writestr(file, content)
    return buffer.getvalue()


def archive_of_squares() -> bytes:
    drawn = {f"{seed}.png": squares(seed) for seed in range(COUNT)}
    lines = [f"{name},{'|'.join(chosen)}" for name, (_, chosen) in drawn.items()]
    return pack("\n".join(["file,label", *lines]), {name: png(found) for name, (found, _) in drawn.items()})


def archive_of_shades() -> bytes:
    drawn = {f"{seed}.png": shade(seed) for seed in range(COUNT)}
    lines = [f"{light:.6f};{name};{warm:.6f}" for name, (_, (light, warm)) in drawn.items()]
    return pack(
        "\n".join(["Light;file;warmth", *lines]), {name: png(found) for name, (found, _) in drawn.items()}
    )


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def upload(http: httpx.Client, content: bytes, **fields: str) -> httpx.Response:
    return http.post("/v1/datasets", files={"file": ("pictures.zip", content)}, data=fields)


def ingested(
    http: httpx.Client, content: bytes, wait_for: Callable[..., Any], **fields: str
) -> dict[str, Any]:
    """Upload a data set, and return it when it is ready or has failed."""
    answer = upload(http, content, **fields)
    assert answer.status_code == 202, answer.text

    def settled() -> dict[str, Any] | None:
        dataset = http.get(answer.headers["Location"]).json()
        return dataset if dataset["status"] != "ingesting" else None

    found: dict[str, Any] = wait_for(settled, "the end of the ingestion")
    return found
