"""Copies of files that are elsewhere: checked, fetched once, and no more of them than fit."""

from __future__ import annotations

import hashlib
import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.files.bucket.cache import Cache

ROOT = Path(__file__).parents[2]
FETCH = """
import sys, time
from pathlib import Path
from app.files.bucket.cache import Cache

folder, source, asked, sha256 = map(str, sys.argv[1:])
content = Path(source).read_bytes()

def read(start, end):
    with open(asked, "a") as file:
        file.write(f"{start}\\n")
    time.sleep(1)
    return content[start:end]

found = Cache(Path(folder), 1 << 30, 0, 60.0).take(sha256, len(content), read)
assert found.read_bytes() == content
"""


class Elsewhere:
    """A file that is elsewhere, and what was asked of it."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.asked: list[tuple[int, int]] = []
        self.breaks_at: int | None = None

    def read(self, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        if self.breaks_at is not None and start >= self.breaks_at:
            raise OSError("the line is cut")
        return self.content[start:end]

    def take(self, cache: Cache) -> Path | None:
        return cache.take(self.sha256, len(self.content), self.read)


def made(folder: Path, most: int = 1 << 30, pin_seconds: float = 0.0) -> Cache:
    return Cache(folder / "cache", most, 0, pin_seconds)


def test_a_file_is_fetched_once_and_its_copy_is_checked(tmp_path: Path) -> None:
    file = Elsewhere(os.urandom(1000))
    path = file.take(made(tmp_path))
    assert path is not None
    assert path.read_bytes() == file.content
    assert file.take(made(tmp_path)) == path
    assert file.asked == [(0, 1000)]
    path.write_bytes(b"?" * 1000)
    again = file.take(made(tmp_path))
    assert again is not None
    assert again.read_bytes() == file.content
    assert len(file.asked) == 2


def test_what_is_not_what_its_checksum_says_is_not_there(tmp_path: Path) -> None:
    file = Elsewhere(b"what was written")
    file.content = b"what was changed"
    assert file.take(made(tmp_path)) is None
    file.content = b"what"
    assert file.take(made(tmp_path)) is None
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_download_that_breaks_off_goes_on(tmp_path: Path) -> None:
    file = Elsewhere(os.urandom(40 << 20))
    file.breaks_at = 16 << 20
    with pytest.raises(OSError, match="the line is cut"):
        file.take(made(tmp_path))
    file.breaks_at, file.asked = None, []
    path = file.take(made(tmp_path))
    assert path is not None
    assert file.asked == [(16 << 20, 32 << 20), (32 << 20, 40 << 20)]
    assert path.read_bytes() == file.content


def test_what_a_power_cut_has_left_of_a_download_is_not_gone_on_with(tmp_path: Path) -> None:
    file = Elsewhere(os.urandom(1000))
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / f"part-{file.sha256}").write_bytes(bytes(500))
    path = file.take(made(tmp_path))
    assert path is not None
    assert path.read_bytes() == file.content
    assert file.asked == [(500, 1000), (0, 1000)]


def test_of_several_processes_one_fetches(tmp_path: Path) -> None:
    content = os.urandom(100_000)
    source, asked = tmp_path / "source", tmp_path / "asked"
    source.write_bytes(content)
    command = [sys.executable, "-c", FETCH, str(tmp_path / "cache"), str(source), str(asked)]
    command.append(hashlib.sha256(content).hexdigest())
    begun = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
    assert [process.wait() for process in begun] == [0, 0, 0, 0]
    assert asked.read_text() == "0\n"


def test_those_used_longest_ago_go_first_and_none_that_is_in_use(tmp_path: Path) -> None:
    files = [Elsewhere(bytes([number]) * 1000) for number in range(6)]
    holder = made(tmp_path, 3500, pin_seconds=3600.0)
    held = files[0].take(holder)
    assert held is not None
    with held.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    cache = made(tmp_path, 3500)
    for file in (files[1], files[2], files[1], files[3]):
        assert file.take(cache) is not None
    names = {path.name for path in (tmp_path / "cache").iterdir()}
    assert names == {files[number].sha256 for number in (0, 1, 3)}
    assert cache.bytes() <= 3500
    # one that is larger than all of it is there as long as it is used
    large = Elsewhere(os.urandom(5000))
    path = large.take(cache)
    assert path is not None
    assert path.read_bytes() == large.content
    assert held.exists()
    assert files[4].take(cache) is not None
    assert held.read_bytes() == mapped[:] == files[0].content
    holder.close()
    assert files[5].take(made(tmp_path, 1500)) is not None
    assert not held.exists()
    assert mapped[:] == files[0].content, "who has it mapped keeps it"


def test_what_a_killed_writer_has_left_goes_before_the_rest_is_full(tmp_path: Path) -> None:
    cache = made(tmp_path, 2500)
    kept = Elsewhere(bytes(1000))
    assert kept.take(cache) is not None
    left = tmp_path / "cache" / ".tmp-0123"
    left.write_bytes(bytes(1000))
    os.utime(left, (1, 1))
    with cache.new_file() as writing:
        writing.write(bytes(400))
        writing.flush()
        assert Elsewhere(b"1" * 1000).take(cache) is not None
        assert Path(writing.name).exists()
    assert not left.exists()
    assert kept.take(cache) is not None
    assert len(kept.asked) == 1
