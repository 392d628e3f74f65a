"""The container image without a container: the steps of the Dockerfile, carried out in a directory.

Its build steps run as they are written, with the image's directories moved under a temporary one, and so
do its entry command and its health check. What needs root (the user, the owner of /data) is left out.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-for-the-image-test"


@dataclass
class Stage:
    """One `FROM` of the Dockerfile: its instructions, those of the stage that it goes on from first.

    What is asked for is what the last of each settings one said.
    """

    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [argument for instruction, argument in self.instructions if instruction == name]

    def words(self, name: str) -> list[str]:
        """Return the exec form (`["a", "b"]`) of an instruction."""
        text = self.all(name)[-1]
        words: list[str] = json.loads(text[text.index("[") :])
        return words

    def environment(self) -> dict[str, str]:
        said = self.all("ARG") + self.all("ENV")
        return dict(pair for argument in said for pair in re.findall(r"(\w+)=(\S+)", argument))


def stages() -> list[Stage]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    found: list[Stage] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, _, argument = line.partition(" ")
        if instruction == "FROM":
            base, _, name = argument.partition(" AS ")
            before = [stage for stage in found if stage.name == base]
            found.append(Stage(name, [each for stage in before for each in stage.instructions]))
        if found:
            found[-1].instructions.append((instruction, argument.strip()))
    return found


STAGES = stages()
BUILD, FINAL = STAGES[0], STAGES[-1]
(BUILD_CLUSTER,) = (stage for stage in STAGES if stage.name == "build-cluster")


class Image:
    """The directories of the image under another root, and its environment."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = root / "src"
        self.data = root / "data"
        self.data.mkdir()
        self.source.mkdir()
        # The Python of the tests in the place of the base image's.
        tools = root / "tools"
        tools.mkdir()
        (tools / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (tools / "python").chmod(0o755)
        self.path = f"{tools}:/usr/bin:/bin"

    def moved(self, text: str) -> str:
        """Put the image's directories under this root."""
        return re.sub(r"(?<![\w.])/(build|opt/convserve|dist|data)\b", rf"{self.root}/\1", text)

    def environment(self, stage: Stage) -> dict[str, str]:
        passed = {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HOME"))
        }
        given = {name: self.moved(value) for name, value in stage.environment().items()}
        path = given.pop("PATH", "$PATH").replace("$PATH", self.path)
        # pip keeps what it fetched, here, where a test runs again and again.
        given.pop("PIP_NO_CACHE_DIR", None)
        return {**passed, **given, "PATH": path}

    def build(self, stage: Stage = BUILD, **arguments: str) -> None:
        """Carry out the build steps, with `--build-arg` for each argument."""
        ignored = shutil.ignore_patterns("__pycache__")
        for instruction, argument in stage.instructions:
            if instruction == "COPY":
                *names, target = argument.split()
                into = self.source / target
                for name in names:
                    if (ROOT / name).is_dir():
                        shutil.copytree(ROOT / name, into, ignore=ignored)
                    else:
                        into.mkdir(parents=True, exist_ok=True)
                        shutil.copy(ROOT / name, into)
            elif instruction == "RUN":
                done = subprocess.run(
                    ["/bin/sh", "-c", self.moved(argument)],
                    cwd=self.source,
                    env=self.environment(stage) | arguments,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, f"{argument}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    made = Image(tmp_path_factory.mktemp("image"))
    made.build()
    return made


def test_the_entry_command_serves(image: Image) -> None:
    command = [*FINAL.words("ENTRYPOINT"), *FINAL.words("CMD")]
    environment = {**image.environment(FINAL), "CONVSERVE_API_KEY": KEY, "CONVSERVE_PORT": "0"}
    program = shutil.which(command[0], path=environment["PATH"])
    assert program is not None
    assert Path(program).is_relative_to(image.root)
    log = image.root / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [program, *command[1:]],
            cwd=image.data,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        told = image.data / "server.json"
        limit = time.monotonic() + 60
        while not told.exists():
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < limit, log.read_text()
            time.sleep(0.05)
        url = json.loads(told.read_text())["url"]
        with httpx.Client(base_url=url, trust_env=False) as client:
            while client.get("/readyz").status_code != 200:
                assert time.monotonic() < limit, log.read_text()
                time.sleep(0.05)
            assert client.get("/v1/models").status_code == 401
            assert "<html" in client.get("/", headers={"Accept": "text/html"}).text
            client.headers["Authorization"] = f"Bearer {KEY}"
            assert client.get("/v1/models/model_example").status_code == 200
            digits = client.get("/v1/datasets/digits").json()
            assert digits["splits"] == {"train": 8000, "dev": 1000, "test": 1000}
            assets = re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', client.get("/docs").text)
            assert len(assets) >= 2
            for asset in assets:
                assert client.get(asset).status_code == 200
        port = url.rpartition(":")[2]
        health = FINAL.words("HEALTHCHECK")
        assert health[0] == "python"
        healthy = subprocess.run(health, env={**environment, "CONVSERVE_PORT": port}, check=False)
        assert healthy.returncode == 0
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, log.read_text()
    sick = subprocess.run(
        health, env={**environment, "CONVSERVE_PORT": port}, capture_output=True, check=False
    )
    assert sick.returncode != 0


def test_extras_come_along_where_they_are_asked_for(image: Image, tmp_path: Path) -> None:
    other = Image(tmp_path)
    other.build(EXTRAS="onnxruntime otel")
    for code in ("import onnx, onnxruntime, app.main", "import opentelemetry.sdk, app.main"):
        for built, status in ((image, 1), (other, 0)):
            program = shutil.which("python", path=built.environment(FINAL)["PATH"])
            ran = subprocess.run(
                [program or "", "-c", code], cwd=built.data, capture_output=True, check=False
            )
            assert ran.returncode == status, ran.stderr


@pytest.mark.cluster
def test_nodes_of_ray_have_ray_and_what_shared_services_want(tmp_path: Path) -> None:
    made = Image(tmp_path)
    made.build(BUILD_CLUSTER)
    python = shutil.which("python", path=made.environment(FINAL)["PATH"])
    ray = shutil.which("ray", path=made.environment(FINAL)["PATH"])
    for program, *arguments in (
        (python, "-c", "import obstore, psycopg, app.jobs.cluster.node, app.main"),
        (ray, "--version"),
        (made.root / "build/bin/pip", "--python", python, "check"),
    ):
        ran = subprocess.run(
            [str(program), *map(str, arguments)], cwd=made.data, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_extra_for_users_can_come_along() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].keys() - {"dev", "web"}
    copied = {name for argument in BUILD.all("COPY") for name in argument.split()[:-1]}
    assert {extra for extra in extras if f"requirements/{extra}.txt" not in copied} == set()
    described = (ROOT / "docs" / "image.md").read_text(encoding="utf-8")
    assert {extra for extra in extras if f"`{extra}`" not in described} == set()


def test_without_a_key_it_refuses_to_start(image: Image) -> None:
    environment = image.environment(FINAL)
    command = [shutil.which("convserve", path=environment["PATH"]) or "", *FINAL.words("CMD")]
    done = subprocess.run(
        command, cwd=image.data, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "CONVSERVE_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_wheel_holds_all_that_runs(image: Image) -> None:
    (wheel,) = (image.root / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith(("app/", "engine/"))}
    wanted = {
        file.relative_to(ROOT).as_posix()
        for package in ("app", "engine")
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert packed == wanted
    assert "app/builtin/digits.npz" in packed
    assert any(name.startswith("app/store/migrations/versions/") for name in packed)


def test_nothing_of_the_build_is_left_in_the_image(image: Image) -> None:
    listed = subprocess.run(
        [
            image.root / "build/bin/pip",
            "--python",
            image.root / "opt/convserve/bin/python",
            "list",
            "--format=json",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert "convserve" in names
    assert names.isdisjoint({"pip", "hatchling", "pytest", "mypy"})


def test_what_is_copied_is_not_ignored() -> None:
    kept = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    copied = {name for argument in BUILD.all("COPY") for name in argument.split()[:-1]}
    assert copied == kept


def test_it_does_not_run_as_root() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", FINAL.all("USER")[-1])
