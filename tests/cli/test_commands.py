"""The commands as a person types them, each in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cli.launch import SERVE, ServerProcess
from app.client import Client
from app.jobs.processes import THREADS_VARIABLES

Run = Callable[..., subprocess.CompletedProcess[str]]


def environment(**given: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONVSERVE_")}
    return {**kept, "COLUMNS": "120", **given}


def test_summary_of_a_preset(run: Run) -> None:
    done = run("summary", "lenet-5")
    assert done.returncode == 0, done.stderr
    assert re.search(r"total\W+10\W+61,706\W", done.stdout)
    assert re.search(r"conv2d_1\W+28 × 28 × 6\W+156\W+117,600\W+5 × 5", done.stdout)
    assert "dense_1: it holds 48,120 of 61,706 parameters" in done.stdout
    assert "(dense-majority)" in done.stdout


def test_a_diagram_is_written_as_what_its_name_says(run: Run, tmp_path: Path) -> None:
    drawing = tmp_path / "lenet.svg"
    assert run("diagram", "lenet-5", "-o", str(drawing)).returncode == 0
    assert "conv2d_1" in drawing.read_text(encoding="utf-8")
    picture = tmp_path / "lenet.png"
    assert run("diagram", "arch_example", "--nodes", "-o", str(picture)).returncode == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    refused = run("diagram", "lenet-5", "-o", str(tmp_path / "lenet.gif"))
    assert refused.returncode == 1
    assert "end its name in .svg or .png" in refused.stderr


def test_summary_of_a_stored_one_with_formulas(run: Run) -> None:
    done = run("summary", "arch_example", "--formulas")
    assert done.returncode == 0, done.stderr
    assert "floor((28 + 2*2 - 5)/1) + 1 = 28" in done.stdout


def test_summary_of_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "net.json"
    layers = [{"type": "flatten"}, {"type": "dense", "units": 3}]
    file.write_text(json.dumps({"input_shape": [5, 4, 1], "layers": layers}))
    done = run("summary", str(file))
    assert done.returncode == 0, done.stderr
    assert re.search(r"dense_1\W+3\W+63\W", done.stdout)


def wrong(done: subprocess.CompletedProcess[str]) -> str:
    """Check that a command failed as it should, and return what it said in one line."""
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.startswith("Error: ")
    return " ".join(done.stderr.split())


def test_an_unknown_preset(run: Run) -> None:
    said = wrong(run("summary", "lenet-6"))
    assert "no preset 'lenet-6'" in said
    assert "Hint:" in said
    assert "did you mean 'lenet-5'?" in said
    assert "vgg-16" in wrong(run("diagram", "something", "-o", "net.svg"))


def test_the_version(run: Run) -> None:
    assert re.fullmatch(r"convserve \S+\n", run("--version").stdout)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds no architecture"),
        ('{"input_shape": [4, 4, 1], "layers": [{"type": "conv2d", "filters": 1, "kernel_size": 9}]}', "9x9"),
    ],
)
def test_a_bad_file(run: Run, tmp_path: Path, content: str, fragment: str) -> None:
    file = tmp_path / "net.json"
    file.write_text(content)
    assert fragment in wrong(run("summary", str(file)))


def test_a_missing_file(run: Run, tmp_path: Path) -> None:
    assert "cannot read" in wrong(run("summary", str(tmp_path / "net.json")))


def test_train_then_predict(run: Run, server: str, tmp_path: Path) -> None:
    net = tmp_path / "net.json"
    layers = [{"type": "flatten"}, {"type": "dense", "units": 10}]
    net.write_text(json.dumps({"input_shape": [28, 28, 1], "layers": layers}))
    done = run(
        "train", str(net), "--epochs", "2", "--batch-size", "100", "--name", "flat", "--learning-rate", "0.01"
    )
    assert done.returncode == 0, done.stderr
    assert (
        len(re.findall(r"^epoch \d: train loss [\d.]+, accuracy [\d.]+ %; dev ", done.stdout, re.MULTILINE))
        == 2
    )
    assert re.search(r"^test accuracy: \d\d\.\d %$", done.stdout, re.MULTILINE)
    (model,) = re.findall(r"^model (model_\w+);", done.stdout, re.MULTILINE)
    with Client(server) as client:
        digit = client.datasets.picture("digits", 0, split="test")
    picture = tmp_path / "digit [1].png"
    picture.write_bytes(digit.content)
    done = run("predict", model, str(picture), "--top", "2")
    assert done.returncode == 0, done.stderr
    assert re.search(r"digit \[1\]\.png\W+\d\W+\d+\.\d %\W+\d \d+\.\d %", done.stdout)


def test_train_detached(run: Run, server: str) -> None:
    done = run("train", "lenet-5", "--epochs", "500", "--detach")
    assert done.returncode == 0, done.stderr
    (job,) = re.findall(r"job_\w+", done.stdout)
    with Client(server) as client:
        client.training_jobs.cancel(job)
        *_, ended = client.training_jobs.watch(job)
    assert ended.status == "cancelled"


def test_leaving_does_not_end_the_job(server: str, begin: Callable[..., subprocess.Popen[str]]) -> None:
    watching = begin(
        [sys.executable, "-P", "-m", "app.cli.main", "train", "lenet-5", "--epochs", "500"],
        env=environment(CONVSERVE_URL=server, PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert watching.stdout is not None
    first = watching.stdout.readline()
    (job,) = re.findall(r"job_\w+", first)
    # The next line is that of the progress: by then it is watching.
    watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    rest = watching.communicate(timeout=60)[0]
    with Client(server) as client:
        assert not client.training_jobs.get(job).finished
        client.training_jobs.cancel(job)
        *_, ended = client.training_jobs.watch(job)
    assert ended.status == "cancelled"
    assert watching.returncode == 130
    assert "The job goes on" in rest
    assert "Traceback" not in rest


def test_training_that_is_refused(run: Run) -> None:
    assert "no data set" in wrong(run("train", "lenet-5", "--dataset", "ds_none"))
    assert "epochs" in wrong(run("train", "lenet-5", "--epochs", "0"))


def test_a_file_that_is_no_picture(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no picture")
    said = wrong(run("predict", "model_example", str(file)))
    assert "notes.txt" in said


def test_no_service(run: Run) -> None:
    said = wrong(run("predict", "model_example", __file__, CONVSERVE_URL="http://127.0.0.1:9"))
    assert "cannot reach http://127.0.0.1:9" in said
    assert "convserve serve" in said


def test_the_key_comes_from_the_environment(guarded_server: Any, run: Run) -> None:
    said = wrong(run("summary", "lenet-5", CONVSERVE_URL=guarded_server.url))
    assert "CONVSERVE_API_KEY" in said
    done = run("summary", "lenet-5", CONVSERVE_URL=guarded_server.url, CONVSERVE_API_KEY=guarded_server.key)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "variables", "fragment"),
    [
        (["--host", "0.0.0.0"], {}, "CONVSERVE_API_KEY"),  # noqa: S104 - to be refused
        (["--port", "99999"], {}, "--port: use 65535 or less"),
        ([], {"CONVSERVE_MAX_JOBS": "many"}, "CONVSERVE_MAX_JOBS"),
        (["--data-dir", __file__], {}, "data directory"),
    ],
)
def test_serve_refuses(words: list[str], variables: dict[str, str], fragment: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*SERVE, "--port", "0", "--data-dir", str(tmp_path / "data"), *words],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert fragment in wrong(done)


@pytest.mark.slow
def test_a_launch_that_fails_says_why(start: Callable[..., ServerProcess]) -> None:
    first = start()
    first.start()
    second = start()
    with pytest.raises(Exception, match="in use by process"):
        second.start()
    first.stop()


def test_help_names_the_commands(run: Run) -> None:
    done = run("--help")
    for command in ("serve", "demo", "train", "predict", "evaluate", "summary", "jobs", "models", "data"):
        assert command in done.stdout


def test_the_server_has_one_blas_thread_set_before_numpy_loads() -> None:
    """Predictions are split over the cores by the server itself: threads of BLAS would only be in its way."""
    program = """
import os, sys, types
server = types.ModuleType("app.web.server")
server.serve = lambda app, settings, ready: print(os.environ["OPENBLAS_NUM_THREADS"], app)
sys.modules["app.web.server"] = server
application = types.ModuleType("app.main")
application.create_app = lambda settings: "numpy" in sys.modules
sys.modules["app.main"] = application
from app.cli.__main__ import main
sys.argv = ["convserve", "serve"]
main()
"""
    environment = {name: value for name, value in os.environ.items() if name not in THREADS_VARIABLES}
    for given, wanted in (({}, "1 False"), ({"OPENBLAS_NUM_THREADS": "3"}, "3 False")):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment | given,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == wanted
