"""Opening an archive takes time in proportion to what is in it."""

import io
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.datasets.ingestion import archive_limits
from app.datasets.readers import open_upload
from app.errors import DomainError
from app.settings import Settings
from engine.recipe.losses import Target
from tests.growth import grows_no_faster_than_its_size

Files = dict[str, str]


def listed(lines: list[str]) -> Files:
    return {f"pictures/{number}.png": "x" for number in range(len(lines))} | {
        "manifest.csv": "filename,label\n" + "\n".join(lines)
    }


ARCHIVES: dict[str, tuple[Target, Callable[[int], Files]]] = {
    "folders": ("class", lambda count: {f"c{number % 9}/{number}.png": "x" for number in range(count)}),
    "a class for each": ("class", lambda count: {f"c{number}/{number}.png": "x" for number in range(count)}),
    "deep": (
        "class",
        lambda count: {f"{'a/' * 50}c{number % 9}/{number}.png": "x" for number in range(count)},
    ),
    "a manifest": (
        "class",
        lambda count: listed([f"pictures/{number}.png,c{number % 9}" for number in range(count)]),
    ),
    "a manifest of other files": (
        "class",
        lambda count: listed([f"elsewhere/{number}.jpg,c{number % 9}" for number in range(count)]),
    ),
    "a manifest of many labels": (
        "labels",
        lambda count: listed(
            [f"pictures/{number}.png,{'|'.join(map(str, range(20)))}" for number in range(count)]
        ),
    ),
    "a text for each picture": (
        "class",
        lambda count: {f"c/{number}{end}": "a b" for number in range(count // 8) for end in (".png", ".txt")},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHIVES)
def test_four_times_the_files_are_no_sixteen_times_the_work(name: str, tmp_path: Path) -> None:
    target, files = ARCHIVES[name]
    limits = archive_limits(Settings(data_dir=tmp_path))

    def work(count: int) -> Callable[[], Any]:
        path = tmp_path / f"{count}.zip"
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for entry, text in files(count).items():
                archive.writestr(entry, text)
        path.write_bytes(content.getvalue())

        def look() -> None:
            with suppress(DomainError), open_upload(path, None, limits, target) as reader:
                assert len(reader.classes) > 0

        return look

    assert grows_no_faster_than_its_size(work, 1000)
