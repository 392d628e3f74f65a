"""What any artifacts promise: whole or absent, checksummed, inside."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.files.artifacts import Artifacts, LocalArtifacts, Written

OLD = b"the old content"

DIE_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from app.files.artifacts import LocalArtifacts

def write(file):
    file.write(b"half of the new")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

LocalArtifacts(Path(sys.argv[1])).write("models/a", write)
"""


class TestWriting:
    def test_bytes_or_a_writer(self, artifacts: Artifacts) -> None:
        content = os.urandom(100_000)

        def write(file: IO[bytes]) -> None:
            # A writer may go back, as those of archives do.
            file.write(b"\0" * 10 + content[10:])
            file.seek(0)
            file.write(content[:10])

        expected = hashlib.sha256(content).hexdigest()
        for name, given_content in (("jobs/j/a.bin", content), ("models/b.bin", write)):
            assert not artifacts.exists(name)
            assert artifacts.write(name, given_content) == Written(name, expected, len(content))
            assert artifacts.local_path(name).read_bytes() == content
            assert artifacts.checksum(name) == expected
            assert artifacts.exists(name)

    def test_the_second_replaces_the_first(self, artifacts: Artifacts) -> None:
        artifacts.write("a", OLD)
        mapped = artifacts.local_path("a").open("rb")
        artifacts.write("a", b"new")
        assert artifacts.local_path("a").read_bytes() == b"new"
        with mapped:
            assert mapped.read() == OLD, "who had it open keeps what it was"

    def test_a_writer_that_fails_leaves_the_old(self, artifacts: Artifacts) -> None:
        artifacts.write("models/a", OLD)

        def fail(file: IO[bytes]) -> None:
            file.write(b"half")
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            artifacts.write("models/a", fail)
        assert artifacts.local_path("models/a").read_bytes() == OLD
        assert artifacts.names("models") == ["models/a"]
        assert list(artifacts.half_written(age=0)) == []

    def test_a_writer_that_is_killed_leaves_the_old(self, tmp_path: Path) -> None:
        artifacts = LocalArtifacts(tmp_path)
        artifacts.write("models/a", OLD)
        command = [sys.executable, "-c", DIE_WHILE_WRITING, str(tmp_path)]
        root = Path(__file__).parents[2]
        assert subprocess.run(command, check=False, cwd=root).returncode < 0
        assert artifacts.local_path("models/a").read_bytes() == OLD
        assert artifacts.names("models") == ["models/a"]
        left = [path for path in (tmp_path / "models").iterdir() if path.name != "a"]
        assert len(left) == 1
        artifacts.clean(age=60.0)
        assert left[0].exists(), "it is young"
        artifacts.clean("models")
        assert not left[0].exists()
        assert artifacts.names("models") == ["models/a"]


class TestDeleting:
    def test_files_directories_and_nothing(self, artifacts: Artifacts) -> None:
        artifacts.write("jobs/j/a", b"1")
        artifacts.write("jobs/j/b", b"2")
        assert artifacts.names("jobs/j") == ["jobs/j/a", "jobs/j/b"]
        artifacts.delete("jobs/j/a")
        assert artifacts.names("jobs/j") == ["jobs/j/b"]
        artifacts.delete("jobs/j")
        assert not artifacts.exists("jobs/j")
        assert artifacts.names("jobs/j") == []
        artifacts.delete("jobs/j")
        with pytest.raises(FileNotFoundError):
            artifacts.checksum("jobs/j/a")


class TestLooking:
    def test_what_is_there_without_reading_it(self, artifacts: Artifacts) -> None:
        before = time.time() - 2  # an object store tells whole seconds
        assert artifacts.find("models/a") is None
        assert artifacts.files("models") == artifacts.folders("jobs") == []
        artifacts.write("models/b", b"22")
        artifacts.write("models/a", b"1")
        artifacts.write("models/deep/c", b"333")
        for number in range(3):
            artifacts.write(f"jobs/j{number}/deep/file", b"x")
        found = artifacts.files("models")
        assert [(file.name, file.bytes) for file in found] == [("models/a", 1), ("models/b", 2)]
        assert artifacts.find("models/a") == found[0]
        assert [folder.name for folder in artifacts.folders("jobs")] == ["jobs/j0", "jobs/j1", "jobs/j2"]
        for seen in (*found, *artifacts.folders("jobs")):
            assert before <= seen.modified <= time.time() + 2
            assert seen.is_older(-60)
            assert not seen.is_older(3600)
        assert artifacts.bytes() == 9

    def test_a_thousand_files_are_listed_and_deleted(self, artifacts: Artifacts) -> None:
        names = [f"jobs/j/{number:04}" for number in range(1003)]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda name: artifacts.write(name, b""), names))
        artifacts.write("jobs/jk", b"of another name that begins so")
        assert artifacts.names("jobs/j") == names
        artifacts.delete("jobs/j")
        assert artifacts.names("jobs/j") == []
        assert artifacts.names("jobs") == ["jobs/jk"]

    def test_of_several_who_make_a_file_one_does(self, artifacts: Artifacts) -> None:
        with ThreadPoolExecutor(4) as threads:
            made = list(threads.map(lambda n: artifacts.write_new("key", bytes([n]) * 8), range(4)))
        assert sum(made) == 1
        assert artifacts.local_path("key").read_bytes() == bytes([made.index(True)]) * 8
        assert artifacts.names("models") == []


class TestWhatIsOfOneMachine:
    def test_a_file_that_arrived_here_is_taken_in(self, artifacts: Artifacts) -> None:
        artifacts.take_in("uploads/nothing")
        path = artifacts.here("uploads/u")
        path.parent.mkdir()
        path.write_bytes(b"arrived")
        artifacts.take_in("uploads/u")
        assert artifacts.local_path("uploads/u").read_bytes() == b"arrived"
        artifacts.bring_back("uploads/u")
        assert path.read_bytes() == b"arrived"
        artifacts.delete("uploads/u")
        assert not path.exists()
        assert not artifacts.exists("uploads/u")


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "",
            "/etc/passwd",
            "..",
            "../a",
            "a/../../b",
            "a//b",
            "a/",
            ".hidden",
            "a/.tmp-1",
            "a\\b",
            "C:a",
            "a\0b",
            "a\n",
            "~/a",
            "./a",
        ],
    )
    def test_what_could_lead_elsewhere_is_refused(self, artifacts: Artifacts, name: str) -> None:
        for use in (artifacts.local_path, artifacts.exists, artifacts.checksum, artifacts.delete):
            with pytest.raises(ValueError, match="not the name of an artifact"):
                use(name)
        with pytest.raises(ValueError, match="not the name of an artifact"):
            artifacts.write(name, b"")

    @given(st.text(alphabet="ab./\\ -_~\0é", max_size=12))
    def test_no_name_leads_outside(self, name: str) -> None:
        root = Path("/data")
        try:
            path = LocalArtifacts(root).local_path(name)
        except ValueError:
            return
        assert os.path.normpath(path) == str(path)
        assert root in path.parents
