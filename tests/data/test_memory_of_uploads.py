"""Uploads that are small files and would be large in memory are refused before they are."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import pack
from typing import Any

import httpx
import numpy as np
import pytest

from app.cli.launch import ServerProcess

MIB = 1 << 20
PICTURES = 300_000


def manifest(path: Path, line: bytes, lines: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.png", b"")
        archive.writestr("manifest.csv", b"file,label\n" + line * lines)


def arrays(path: Path, **more: Any) -> None:
    count = len(more["labels"])
    np.savez_compressed(path, images=np.zeros((count, 1, 1), np.uint8), **more)


def entries(path: Path, count: int, said: int | None = None, size: int | None = None) -> None:
    """Write the directory of an archive alone, perhaps one that says something else of itself."""
    entry = b"PK\1\2" + bytes(24) + pack("<H", 1) + bytes(16) + b"x"
    end = b"PK\5\6" + bytes(4) + pack("<HH", min(said or count, 65_535), min(said or count, 65_535))
    path.write_bytes(entry * count + end + pack("<II", size or len(entry) * count, 0) + bytes(2))


def zip64(path: Path, entries_said: int, size: int) -> None:
    """Write an archive whose large numbers are not true."""
    end = b"PK\6\6" + pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, entries_said, entries_said, size, 0)
    locator = b"PK\6\7" + pack("<IQI", 0, 0, 1)
    path.write_bytes(end + locator + b"PK\5\6" + bytes(4) + b"\xff" * 12 + bytes(2))


def model_file(path: Path, text: str, more: str = "") -> None:
    """Write a file of safetensors with a description, and perhaps more arrays."""
    header = json.dumps({"__metadata__": {"convserve": text}})[:-1] + more + "}"
    path.write_bytes(pack("<Q", len(header)) + header.encode())


UPLOADS: dict[str, Callable[[Path], None]] = {
    "millions of lines of two letters": lambda path: manifest(path, b"x,y\n", 15 * MIB),
    "lines of 60 letters": lambda path: manifest(path, b"x" * 60 + b",y\n", MIB),
    "more lines than any list has": lambda path: manifest(path, b"x,y\n", 101_000),
    "as many classes as pictures": lambda path: arrays(path, labels=np.arange(PICTURES)),
    "long labels": lambda path: arrays(path, labels=np.full(PICTURES // 8, "name" * 50)),
    "many class names": lambda path: arrays(
        path, labels=np.arange(20) % 2, class_names=np.full(PICTURES, "name" * 5)
    ),
    "wide class names": lambda path: arrays(
        path, labels=np.arange(20) % 2, class_names=np.full(9_000, "name" * 250)
    ),
    "strings of megabytes": lambda path: arrays(
        path, labels=np.arange(20) % 2, class_names=np.full(8, "name" * (MIB // 4))
    ),
    "a directory of 300,000 entries": lambda path: entries(path, 300_000),
    "a directory that says that it has one": lambda path: entries(path, 300_000, said=1),
    "a directory that says that it is small": lambda path: entries(path, 300_000, size=46),
    "a description of five million lists": lambda path: model_file(
        path, '{"format_version": 1, "kind": "model", "x": [' + "[]," * 5_000_000 + "[]]}"
    ),
    "a description of two million records": lambda path: model_file(
        path, "[" + '{"a":1},' * 1_800_000 + "{}]"
    ),
    "a description that is nested": lambda path: model_file(path, "[" * 10_000_000),
    "a number of ten thousand digits": lambda path: model_file(path, "1" * 10_000),
    "two hundred thousand arrays": lambda path: model_file(
        path, "{}", ',"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' * 200_000
    ),
    "a directory of exabytes": lambda path: zip64(path, 2**60, 2**62),
}

_MEASURE = """
import json, sys, time
from pathlib import Path
from app.api.requests.model_files import ModelImport
from app.datasets.ingestion import archive_limits
from app.datasets.readers import open_upload
from app.errors import DomainError
from app.models.model_files import ModelSource, import_model
from app.settings import Settings

def memory(name):
    text = Path("/proc/self/status").read_text() if Path("/proc/self/status").exists() else ""
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(name)), 0)

limits = archive_limits(Settings())
for name in sys.argv[1:]:
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")
    before, began = memory("VmRSS"), time.process_time()
    try:
        if Path(name).read_bytes()[8:9] == b"{":
            import_model(ModelSource(Path(name), ModelImport(file=""), "", None), None, None, Settings())
        else:
            open_upload(Path(name), None, limits)
        said = None
    except DomainError as error:
        said = error.detail
    print(json.dumps([said, time.process_time() - began, memory("VmHWM") - before]), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str | None, float, int]]:
    folder = tmp_path_factory.mktemp("uploads")
    paths = []
    for number, make in enumerate(UPLOADS.values()):
        paths.append(folder / f"{number}.npz")
        make(paths[-1])
    command = [sys.executable, "-c", _MEASURE, *map(str, paths)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(UPLOADS, map(tuple, found), strict=True))


@pytest.mark.slow
def test_they_are_refused_in_words(outcomes: dict[str, tuple[str | None, float, int]]) -> None:
    assert not [name for name, (said, *_) in outcomes.items() if not said]


def test_a_refusal_takes_less_than_two_seconds_and_64_mib(
    outcomes: dict[str, tuple[str | None, float, int]],
) -> None:
    assert not {name: found for name, found in outcomes.items() if found[1] > 2 or found[2] > 64 * MIB}


def archive(path: Path, names: Iterator[str], field: bytes = b"") -> None:
    """Write an archive of empty files, as quickly as many can be written."""
    files, directory, count = bytearray(), bytearray(), 0
    for count, name in enumerate(names, 1):  # noqa: B007
        letters = name.encode()
        sizes = pack("<IIIHH", 0, 0, 0, len(letters), len(field))
        directory += b"PK\1\2" + pack("<HHHHHH", 20, 20, 0x800, 0, 0, 33) + sizes
        directory += pack("<HHHII", 0, 0, 0, 0, len(files)) + letters + field
        files += b"PK\3\4" + pack("<HHHHH", 20, 0x800, 0, 0, 33) + sizes[:14] + bytes(2) + letters
    end = b"PK\5\6" + pack("<HHHHIIH", 0, 0, count, count, len(directory), len(files), 0)
    path.write_bytes(files + directory + end)


def numbered(count: int, middle: str) -> Iterator[str]:
    return (f"class{number % 2}/{number:08d}{middle}.png" for number in range(count))


ARCHIVES: dict[str, Callable[[Path], None]] = {
    "many files": lambda path: archive(path, numbered(40_000, "")),
    "long names": lambda path: archive(path, numbered(30_000, "x" * 180)),
    "long names with a wide letter": lambda path: archive(path, numbered(20_000, "x" * 180 + "\U0001f600")),
    "much else that is said of files": lambda path: archive(
        path, numbered(30_000, ""), pack("<HH", 0x7777, 396) + bytes(396)
    ),
}

QUICK_ARCHIVES = ("many files", "long names with a wide letter")

_OPEN = """
import json, sys
from pathlib import Path
from app.datasets.ingestion import archive_limits
from app.datasets.readers import open_upload
from app.files.budget import MemoryBudget
from app.settings import Settings

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

class Noted(MemoryBudget):
    def reserve(self, size):
        self.noted = size
        return super().reserve(size)

budget = Noted(1 << 40)
Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
open_upload(Path(sys.argv[1]), None, archive_limits(Settings(), budget)).close()
print(json.dumps([memory("VmHWM") - before, budget.noted]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much a process took at most")
@pytest.mark.parametrize(
    "name",
    [name if name in QUICK_ARCHIVES else pytest.param(name, marks=pytest.mark.slow) for name in ARCHIVES],
)
def test_no_archive_takes_more_than_is_reserved_for_it(name: str, tmp_path: Path) -> None:
    ARCHIVES[name](tmp_path / "archive.zip")
    command = [sys.executable, "-c", _OPEN, str(tmp_path / "archive.zip")]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    taken, reserved = json.loads(done.stdout)
    assert 20 * MIB < taken < reserved + 4 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much a process took at most")
@pytest.mark.slow
def test_archives_of_several_callers_are_looked_at_one_after_the_other_where_there_is_no_room(
    start: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    archive(tmp_path / "many.zip", (f"{number % 10}/{number:08d}.png" for number in range(30_000)))
    content = (tmp_path / "many.zip").read_bytes()
    server = start(COMPUTE_BYTES=str(50 * MIB), CORES="4")
    url = server.start()

    def add(_: int) -> httpx.Response:
        data, files = {"dry_run": "true"}, {"file": ("many.zip", content)}
        return httpx.post(f"{url}/v1/datasets/digits/images", data=data, files=files, timeout=120)

    def memory(name: str) -> int:
        lines = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024

    small = {"file": ("few.zip", (b"PK\5\6" + bytes(18)))}
    httpx.post(f"{url}/v1/datasets/digits/images", data={"dry_run": "true"}, files=small, timeout=120)
    Path(f"/proc/{server.pid}/clear_refs").write_text("5", encoding="ascii")
    before = memory("VmRSS")
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(add, range(4)))
    assert {answer.status_code for answer in answers} == {422}  # a dry run takes fewer pictures
    # one takes 37 MiB; beside it what the allocator keeps for each thread
    assert memory("VmHWM") - before < 100 * MIB
