"""Pictures that are dark or light, in a zip archive, and what is asked about them over HTTP."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
from PIL import Image

PER_CLASS = 12


def picture(level: int, seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(level, level + 40, (9, 9, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def pack(first: int = 0, count: int = PER_CLASS) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for level, name in ((10, "dark"), (200, "light")):
            for number in range(first, first + count):
                archive.writestr(f"own/{name}/Bild {number} ä.png", picture(level, number))
    return buffer.getvalue()


def upload(http: httpx.Client, ready: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    answer = http.post(
        "/v1/datasets", files={"file": ("a.zip", pack())}, data={"image_size": "8", "channels": "1"}
    )
    assert answer.status_code == 202, answer.text
    return ready(http, answer.json()["id"])


def told(http: httpx.Client, dataset: str, number: int) -> dict[str, Any]:
    answer = http.get(f"/v1/datasets/{dataset}/images/{number}", headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def correct(http: httpx.Client, dataset: str, *corrections: dict[str, Any]) -> dict[str, Any]:
    answer = http.post(f"/v1/datasets/{dataset}/corrections", json={"corrections": list(corrections)})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
