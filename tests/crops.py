"""Parts of real photos, for tests that teach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = Path(__file__).parent / "data" / "photos"
SIDE = 80


def crops(folder: Path, photo: str, count: int) -> None:
    """Write square pictures that are parts of a photo."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    with Image.open(PHOTOS / photo) as image:
        for number in range(count):
            left, top = (int(draw.uniform(0, 0.3) * length) for length in image.size)
            width, height = (int(0.7 * length) for length in image.size)
            part = image.convert("RGB").crop((left, top, left + width, top + height))
            part.resize((SIDE, SIDE)).save(folder / f"{number}.jpg")
