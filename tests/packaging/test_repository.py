"""What belongs in the repository and what does not."""

import hashlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "requirements"

MOST_LINES = 400
# Written by tools, or by others.
MAY_BE_LONG = {
    "CHANGELOG.md",
    "app/builtin/examples.json",
    "docker/grafana/convserve.json",
    "docs/openapi.json",
    "docs/performance-figures.md",
    "docs/performance.json",
    "requirements/runtime.txt",
    "requirements/dev.txt",
    "requirements/cluster.txt",
    "requirements/onnx.txt",
    "requirements/onnxruntime.txt",
    "requirements/otel.txt",
    "requirements/ray.txt",
    "requirements/sbom.txt",
    "requirements/test-cluster.txt",
    "requirements/web.txt",
    "tests/fixtures/servicemonitor-v1.json",
}
# Files of others, served as they came.
VENDORED = "app/page/vendor/"

MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|work|mnt)/[\w.]")
# Spelt in pieces, so that this file does not hold what it looks for.
REGISTRIES = re.compile(
    "|".join(
        ["py" + r"pi\.org", "python" + "hosted", "npm" + r"js\.(?:org|com)", "--(?:extra-)?index" + "-url "]
    )
)


def tracked() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def texts() -> dict[str, str]:
    found = {}
    for file in tracked():
        content = file.read_bytes()
        if b"\0" not in content:
            found[file.relative_to(ROOT).as_posix()] = content.decode("utf-8")
    return found


def test_nothing_names_a_machine_or_a_registry() -> None:
    for name, text in texts().items():
        for number, line in enumerate(text.splitlines(), 1):
            assert not MACHINE_PATH.search(line), f"{name}:{number} has a path of one machine: {line}"
            assert not REGISTRIES.search(line), f"{name}:{number} has the address of a registry: {line}"


def test_the_checks_above_can_fail() -> None:
    assert MACHINE_PATH.search("cd " + "/home" + "/ann/convserve")
    assert REGISTRIES.search("https://" + "pypi" + ".org/simple")


def test_files_are_short_enough_to_read() -> None:
    long = {
        name: lines
        for name, text in texts().items()
        if (lines := text.count("\n")) > MOST_LINES
        and name not in MAY_BE_LONG
        and not name.startswith(VENDORED)
        and not name.endswith(".svg")
    }
    assert long == {}


def test_files_of_others_are_the_ones_that_their_table_says() -> None:
    folder = ROOT / VENDORED
    table = (folder / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| .* \| `([0-9a-f]{64})` \|$", table, re.MULTILINE)
    assert dict(rows) == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.suffix in (".js", ".css")
    }
    assert all((folder / name).is_file() for name in re.findall(r"`(\S+\.LICENSE\.txt)`", table))


def test_text_files_end_with_a_line_break_and_have_no_trailing_blanks() -> None:
    for name, text in texts().items():
        if name.startswith(VENDORED):
            continue
        assert not text or text.endswith("\n"), name
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), name


def locked(name: str) -> dict[str, Version]:
    """Read the packages and versions of a lock; fails when a package comes without a hash."""
    text = (LOCKS / name).read_text(encoding="utf-8").replace("\\\n", " ")
    packages = {}
    for line in text.splitlines():
        if line and not line.startswith(("#", " ")):
            pin, _, hashes = line.partition("--hash=")
            assert hashes.startswith("sha256:"), f"{name}: {pin} has no hash"
            requirement = Requirement(pin.strip())
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", f"{name}: {pin}"
            packages[requirement.name.lower()] = Version(specifier.version)
    return packages


def declared() -> dict[str, list[Requirement]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime, extras = project["project"]["dependencies"], project["project"]["optional-dependencies"]
    return {
        "build.txt": [Requirement(text) for text in project["build-system"]["requires"]],
        "runtime.txt": [Requirement(text) for text in runtime],
        "dev.txt": [
            Requirement(text) for text in [*runtime, *extras["cluster"], *extras["dev"], *extras["onnx"]]
        ],
        **{
            f"{extra}.txt": [Requirement(text) for text in [*runtime, *extras[extra]]]
            for extra in extras.keys() - {"dev", "web"}
        },
    }


@pytest.mark.parametrize("name", sorted(declared()))
def test_the_locks_hold_what_the_project_asks_for(name: str) -> None:
    packages = locked(name)
    for requirement in declared()[name]:
        version = packages.get(requirement.name.lower())
        assert version is not None, f"{requirement.name} is not in requirements/{name}: run make lock"
        assert version in requirement.specifier, f"{requirement} is locked at {version}: run make lock"


def test_the_locks_agree_with_each_other() -> None:
    development = locked("dev.txt")
    # what development does without: Ray brings forty packages along
    apart = {"build.txt", "ray.txt"}
    for name in declared().keys() - {"build.txt"}:
        assert locked("runtime.txt").items() <= locked(name).items(), name
        assert name in apart or locked(name).items() <= development.items(), name
    for lock in apart:
        for name, version in locked(lock).items():
            assert development.get(name, version) == version, name


def test_every_dependency_says_why_it_is_there() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    needs = [line for line in lines if re.match(r'\s+"[a-z][\w.-]*>=', line)]
    assert len(needs) > 10
    assert [line for line in needs if not re.search(r'",\s+# \w+', line)] == []
