"""What any artifacts promise: whole or absent, checksummed, inside."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
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
        assert [path.name for path in artifacts.local_path("models").iterdir()] == ["a"]

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
        artifacts.clean()
        assert left[0].exists(), "somebody may still be writing it"
        artifacts.clean("models", age=0)
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
