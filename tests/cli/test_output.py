"""What commands print can be used: whole ids, in pipes too; JSON; every field; every option."""

import json
import os
import pty
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from typer.main import get_command

from app.api.requests.datasets import DatasetCreate
from app.api.requests.training_jobs import TrainingJobRequest
from app.cli import output
from app.cli.main import cli
from app.client import Client

Run = Callable[..., subprocess.CompletedProcess[str]]

FLAT = {"input_shape": [28, 28, 1], "layers": [{"type": "flatten"}, {"type": "dense", "units": 10}]}


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands(command: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Go through all commands, with the words that name each."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, *words, name)
    if not hasattr(command, "commands"):
        yield words, command


COMMANDS = dict(commands(get_command(cli)))


def options(*words: str) -> set[str]:
    return {name for parameter in COMMANDS[words].params for name in parameter.opts}


@pytest.fixture(scope="module")
def made(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Ids of finished things, with names that do not fit into 80 columns."""
    archive = tmp_path_factory.mktemp("output") / ("scans-of-the-letters-of-a-whole-year" * 3 + ".zip")
    with Client(server) as client:
        picture = client.datasets.picture("digits", 0, split="test")
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("0.png", picture.content)
        job = client.training_jobs.create(
            FLAT, "digits", epochs=1, batch_size=1000, name="a long name " * 8 + "!", tags=["narrow"]
        )
        *_, job = client.training_jobs.watch(job.id, interval=0.05)
        evaluation = client.evaluations.create("model_example", "digits")
        client.evaluations.wait(evaluation.id, interval=0.05)
        batch = client.batch_predictions.create("model_example", archive)
        client.batch_predictions.wait(batch.id, interval=0.05)
        assert job.model_id is not None
        yield {
            "jobs": job.id,
            "models": job.model_id,
            "evaluations": evaluation.id,
            "batches": batch.id,
            "data": "digits",
            "architectures": "arch_example",
        }
        client.batch_predictions.delete(batch.id)
        client.evaluations.delete(evaluation.id)
        client.training_jobs.delete(job.id)
        client.models.delete(job.model_id)


PATHS = {
    "jobs": "training-jobs",
    "models": "models",
    "data": "datasets",
    "architectures": "architectures",
    "evaluations": "evaluations",
    "batches": "batch-predictions",
}


@pytest.mark.parametrize("group", PATHS)
def test_show_has_every_field(group: str, run: Run, made: dict[str, str], http: httpx.Client) -> None:
    answer = http.get(f"/v1/{PATHS[group]}/{made[group]}").json()
    assert json.loads(good(run(group, "show", made[group], "--json"))) == answer
    names = re.findall(r"^(\w+)", good(run(group, "show", made[group])), re.MULTILINE)
    assert [name for name in answer if name not in names] == []


@pytest.mark.parametrize("group", PATHS)
def test_lists_in_pipes_have_whole_lines(
    group: str, run: Run, made: dict[str, str], http: httpx.Client
) -> None:
    (row,) = [line for line in good(run(group, "list")).splitlines() if line.startswith(made[group])]
    assert "…" not in row
    (entry,) = [
        entry for entry in json.loads(good(run(group, "list", "--json"))) if entry["id"] == made[group]
    ]
    (listed,) = [
        entry
        for entry in http.get(f"/v1/{PATHS[group]}", params={"limit": 200}).json()["data"]
        if entry["id"] == made[group]
    ]
    assert entry == listed
    for name in ("name", "model_id", "status"):
        assert str(entry.get(name) or "") in row


def test_everything_that_lists_or_shows_can_be_json() -> None:
    looking = {
        words for words in COMMANDS if words[-1] in ("list", "show", "aliases", "additions", "statistics")
    }
    looking |= {words for words in COMMANDS if words[0] in ("catalog", "summary", "predict", "evaluate")}
    assert len(looking) > 20
    assert [words for words in looking if "--json" not in options(*words)] == []


@pytest.mark.parametrize(
    ("words", "request_", "names"),
    [
        (
            ("train",),
            TrainingJobRequest,
            {"architecture": "architecture", "tags": "--tag", "augmentations": "--augmentation"}
            | {"learning_rate_factors": "--learning-rate-factor"},
        ),
        (("data", "add"), DatasetCreate, {"tags": "--tag", "duplicates": "--keep-duplicates"}),
    ],
)
def test_whatever_can_be_asked_for_has_an_option(
    words: tuple[str, ...], request_: type[BaseModel], names: dict[str, str]
) -> None:
    wanted = {names.get(field, "--" + field.replace("_", "-")) for field in request_.model_fields}
    assert wanted - options(*words) == set()


def test_train_passes_everything_on(run: Run, tmp_path: Path, http: httpx.Client) -> None:
    rule = tmp_path / "rule.json"
    rule.write_text('{"type": "sgd", "momentum": 0.5}')
    words = (
        *(
            "train",
            "lenet-5",
            "--detach",
            "--dataset",
            "digits",
            "--name",
            "asked",
            "--description",
            "for all",
        ),
        *("--tag", "one", "--tag", "two", "--epochs", "3", "--batch-size", "500", "--accumulate", "2"),
        *(
            "--seed",
            "7",
            "--optimizer",
            f"@{rule}",
            "--learning-rate",
            "0.25",
            "--learning-rate-factor",
            "dense_*=0.5",
            "--schedule",
            "cosine",
        ),
        *("--loss", '{"type": "softmax_cross_entropy", "label_smoothing": 0.125}'),
        *("--augmentation", "horizontal_flip", "--augmentation", '{"type": "rotation", "degrees": 10}'),
        *("--clip", "1.5", "--weight-average", "0.5", "--freeze", "conv2d_*", "--early-stopping", "2"),
        *("--select", "last", "--initial-weights", "model_example", "--nodes", "1"),
    )
    refused = run(*words, "--webhook", "https://example.org/hook")
    assert (refused.returncode, "CONVSERVE_WEBHOOK_SECRET" in refused.stderr) == (1, True)
    (job,) = re.findall(r"job_\w+", good(run(*words)))
    asked = http.get(f"/v1/training-jobs/{job}").json()
    http.post(f"/v1/training-jobs/{job}/cancel")
    assert (asked["name"], asked["description"], asked["tags"]) == ("asked", "for all", ["one", "two"])
    assert (asked["epochs"], asked["batch_size"], asked["accumulate"], asked["seed"]) == (3, 500, 2, 7)
    rule_asked = asked["optimizer"]
    assert (rule_asked["type"], rule_asked["momentum"], rule_asked["learning_rate"]) == ("sgd", 0.5, 0.25)
    assert asked["learning_rate_factors"] == {"dense_*": 0.5}
    assert (asked["schedule"]["type"], asked["loss"]["label_smoothing"]) == ("cosine", 0.125)
    assert [part["type"] for part in asked["augmentations"]] == ["horizontal_flip", "rotation"]
    assert (asked["clip"]["norm"], asked["weight_average"]["decay"]) == (1.5, 0.5)
    assert (asked["freeze"], asked["initial_weights"]) == (["conv2d_*"], "model_example")
    assert (asked["early_stopping"]["patience"], asked["select"]) == (2, "last")


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (("train",), "nothing to train"),
        (("train", "lenet-5", "--optimizer", "{"), "--optimizer: this is not JSON"),
        (("train", "lenet-5", "--schedule", "[1]"), "--schedule: this is not a JSON object"),
        (("train", "lenet-5", "--loss", "@nowhere.json"), "--loss: cannot read nowhere.json"),
        (
            ("train", "lenet-5", "--learning-rate-factor", "much"),
            "--learning-rate-factor: 'much' is no factor",
        ),
        (("train", "lenet-5", "--clip", "much"), "--clip: 'much' is neither"),
    ],
)
def test_options_that_cannot_be_read(words: tuple[str, ...], fragment: str, run: Run) -> None:
    done = run(*words)
    assert (done.returncode, fragment in done.stderr) == (1, True), done.stderr


def test_lists_are_narrowed_by_name_tag_and_status(run: Run, made: dict[str, str]) -> None:
    def ids(*words: str) -> set[str]:
        return {entry["id"] for entry in json.loads(good(run(*words, "--json")))}

    name, job, model = "a long name " * 8 + "!", made["jobs"], made["models"]
    assert ids("jobs", "list", "--name", name) == {job}
    assert ids("jobs", "list", "--tag", "narrow", "--status", "succeeded") == {job}
    assert ids("jobs", "list", "--tag", "narrow", "--status", "failed") == set()
    assert ids("models", "list", "--tag", "narrow") == {model}
    assert ids("models", "list", "--name", "nobody") == set()
    assert ids("jobs", "list", "--contains", "LONG NAME", "--tag", "narrow") == {job}
    assert "digits" in ids("data", "list", "--status", "ready")
    assert "digits" not in ids("data", "list", "--status", "failed") | ids("data", "list", "--tag", "narrow")
    for group in ("evaluations", "batches"):
        assert made[group] in ids(group, "list", "--status", "succeeded")
        assert made[group] not in ids(group, "list", "--status", "cancelled")


@pytest.mark.parametrize("group", ["jobs", "evaluations", "batches"])
def test_logs_are_printed(group: str, run: Run, made: dict[str, str]) -> None:
    assert made[group] in good(run(group, "log", made[group]))


def test_two_evaluations_are_compared(run: Run, made: dict[str, str]) -> None:
    twice = [made["evaluations"]] * 2
    said = good(run("evaluations", "compare", *twice))
    assert "Both are right about the same pictures." in said
    assert json.loads(good(run("evaluations", "compare", *twice, "--json")))["p_value"] == 1


def test_a_job_that_waits_says_its_place(
    run: Run, tmp_path: Path, server: str, wait_for: Callable[..., Any]
) -> None:
    net = tmp_path / "net.json"
    net.write_text(json.dumps(FLAT))
    waiting = []
    with Client(server) as client:
        running = client.training_jobs.create(FLAT, "digits", epochs=100_000)
        try:
            wait_for(
                lambda: client.training_jobs.get(running.id).status == "running", "the first job's start"
            )
            said = [good(run("train", str(net), "--epochs", "100000", "--detach")) for _ in range(2)]
            waiting = [re.findall(r"job_\w+", text)[0] for text in said]
            assert [re.findall(r"^queued, place (\d+)", text, re.MULTILINE) for text in said] == [
                ["1"],
                ["2"],
            ]
            rows = good(run("jobs", "list")).splitlines()
            (row,) = [row for row in rows if row.startswith(waiting[1])]
            assert "queued (2)" in row
        finally:
            for job in (*waiting, running.id):
                client.training_jobs.cancel(job)


def test_models_and_data_sets_are_deleted(run: Run, tmp_path: Path, http: httpx.Client) -> None:
    file = tmp_path / "digits.safetensors"
    good(run("models", "export", "model_example", str(file)))
    (model,) = re.findall(r"model_\w+", good(run("models", "import", str(file), "--name", "deleted soon")))
    said = good(run("models", "change", model, "--tag", "old", "--description", "to be deleted"))
    assert "deleted soon, version 1" in said
    assert http.get(f"/v1/models/{model}").json()["tags"] == ["old"]
    assert f"model {model} is deleted" in good(run("models", "delete", model))
    assert http.get(f"/v1/models/{model}").status_code == 404
    archive = tmp_path / "shades.zip"
    picture = http.get("/v1/datasets/digits/images/0").content
    with zipfile.ZipFile(archive, "w") as packed:
        for number in range(6):
            packed.writestr(f"{'ab'[number % 2]}/{number}.png", picture)
    words = ("--keep-duplicates", "--image-size", "4", "--tag", "soon", "--tag", "gone")
    said = good(run("data", "add", str(archive), *words))
    dataset = re.findall(r"ds_\w+", said)[0]
    assert http.get(f"/v1/datasets/{dataset}").json()["tags"] == ["soon", "gone"]
    assert f"data set {dataset} is deleted" in good(run("data", "delete", dataset))
    assert http.get(f"/v1/datasets/{dataset}").status_code == 404


def on_a_terminal(columns: int, program: str) -> str:
    """Run Python with its output on a terminal of that many columns, and return what was printed."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1"}
    done = subprocess.run([sys.executable, "-c", program], stdout=terminal, env=environment, check=True)
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(controller, 65536)
        except OSError:  # what Linux says when all is read
            break
        if not piece:
            break
        shown += piece
    os.close(controller)
    assert done.returncode == 0
    return shown.decode().replace("\r\n", "\n")


TABLE = """
from app.cli.output import table
rows = [("job_01jd3k5v0ch2h3z3c4r8n9q7xe", "日本語の名前 " * 8, "61,706")]
table(("id", "name", "total"), rows, texts=("name",), numbers=("total",))
"""


def test_on_a_narrow_terminal_only_texts_are_shortened() -> None:
    row = on_a_terminal(60, TABLE).splitlines()[-1]
    assert row.startswith("job_01jd3k5v0ch2h3z3c4r8n9q7xe  日本語")
    assert row.endswith(("…  61,706", "…   61,706"))
    tiny = on_a_terminal(20, TABLE).splitlines()[-1]
    assert "job_01jd3k5v0ch2h3z3c4r8n9q7xe" in tiny
    assert "61,706" in tiny


def test_names_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("name",), [("\x1b[2Jcleared\r\n",)])
    output.say("\x1b]0;title\x07 said")
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\r" not in shown
    assert "cleared" in shown


def test_help_is_there_at_once() -> None:
    program = """
import sys
from app.cli.__main__ import main
sys.argv = ["convserve", "--help"]
try:
    main()
except SystemExit:
    pass
heavy = {"httpx", "pydantic", "rich", "numpy", "fastapi", "app.client", "app.settings", "app.api", "engine"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
