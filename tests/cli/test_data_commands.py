"""`convserve data ...` as a person types it, and the same calls of the client."""

import io
import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.client import Client, ConvserveError

Run = Callable[..., subprocess.CompletedProcess[str]]


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "noise.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(12):
            packed.writestr(f"{'ab'[number % 2]}/{number}.png", picture(number))
        packed.writestr("a/notes.txt", b"no picture")
    return path


def test_make_grow_look(run: Run, archive: Path, tmp_path: Path, server: str) -> None:
    done = run("data", "add", str(archive), "--image-size", "8", "--name", "noise", "--seed", "4", "--invert")
    assert done.returncode == 0, done.stderr
    assert "12 pictures (8 train, 2 dev, 2 test)" in done.stdout
    assert "left out: a/notes.txt" in done.stdout
    identifier = done.stdout.split()[2]

    (tmp_path / "new.png").write_bytes(picture(100))
    (tmp_path / "old.png").write_bytes(picture(0))
    more = [str(tmp_path / "new.png"), str(tmp_path / "old.png")]
    grown = run("data", "add", *more, "--to", identifier, "--label", "b")
    assert grown.returncode == 0, grown.stderr
    assert f"1 pictures were added to {identifier}" in grown.stdout
    assert "old.png" in grown.stdout
    wrong = run("data", "add", *more, "--to", identifier, "--label", "c")
    assert wrong.returncode == 1
    assert "its classes are a, b" in wrong.stderr

    sheet = tmp_path / "sheet.png"
    shown = run("data", "show", identifier, "--samples", str(sheet))
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^images +13$", shown.stdout, re.MULTILINE)
    assert Image.open(io.BytesIO(sheet.read_bytes())).format == "PNG"
    unfit = run("data", "show", identifier, "--samples", str(tmp_path / "sheet.jpg"))
    assert "end its name in" not in shown.stderr
    assert (unfit.returncode, unfit.stdout) == (1, "")
    assert identifier in run("data", "list").stdout

    with Client(server) as client:
        assert [
            addition.report and addition.report.added for addition in client.datasets.additions(identifier)
        ] == [1]
        assert client.datasets.statistics(identifier).images == 13
        preview = client.datasets.preview(identifier, [{"type": "horizontal_flip"}], images=2, variants=2)
        assert Image.open(io.BytesIO(preview)).format == "PNG"
        client.datasets.delete(identifier)


def test_what_is_begun_can_be_left_and_looked_at_later(
    run: Run, archive: Path, tmp_path: Path, server: str
) -> None:
    begun = run("data", "add", str(archive), "--image-size", "8", "--name", "left", "--detach")
    assert begun.returncode == 0, begun.stderr
    identifier = begun.stdout.split()[2]
    with Client(server) as client:
        assert client.datasets.wait(identifier).images == 12
        log = run("data", "log", identifier)
        assert log.returncode == 0, log.stderr
        assert "attempt 1 of" in log.stdout
        (tmp_path / "new.png").write_bytes(picture(100))
        added = run("data", "add", str(tmp_path / "new.png"), "--to", identifier, "--label", "b", "--detach")
        assert added.returncode == 0, added.stderr
        addition = added.stdout.split()[1]
        shown = run("data", "addition", identifier, addition)
        assert shown.returncode == 0, shown.stderr
        assert re.search(rf"^id +{addition}$", shown.stdout, re.MULTILINE)
        client.datasets.wait_addition(client.datasets.addition(identifier, addition))
        client.datasets.delete(identifier)


@pytest.mark.parametrize(
    "words",
    [
        ("data", "download", "mnist"),
        ("data", "add", "ARCHIVE"),
        ("train", "lenet-5"),
        ("evaluate", "model_example"),
        ("models", "predict-batch", "model_example", "ARCHIVE", "table.csv"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_every_command_that_begins_a_job_can_have_its_end_told(
    run: Run, archive: Path, words: tuple[str, ...]
) -> None:
    """The server has no secret for webhooks, and says so."""
    given = [str(archive) if word == "ARCHIVE" else word for word in words]
    refused = run(*given, "--webhook", "https://example.org/hook")
    assert refused.returncode == 1
    assert "CONVSERVE_WEBHOOK_SECRET" in refused.stderr


def test_correct_pictures(run: Run, archive: Path, server: str) -> None:
    with Client(server) as client:
        made = client.datasets.wait(client.datasets.upload(archive, image_size=8).id)
        (wrong,) = client.datasets.pictures(made.id, name="a/4.png")
        number = str(wrong.number)
        relabelled = run("data", "relabel", made.id, number, "--label", "b")
        assert relabelled.returncode == 0, relabelled.stderr
        assert f"{number} (a/4.png): b and not a" in relabelled.stdout
        again = run("data", "relabel", made.id, number, "--label", "b")
        assert again.stdout.startswith("nothing to correct")
        unknown = run("data", "relabel", made.id, number, "--label", "fox")
        assert (unknown.returncode, "its classes are a, b" in unknown.stderr) == (1, True)
        assert run("data", "exclude", made.id, number, "0").returncode == 0
        picture = client.datasets.picture(made.id, wrong.number)
        assert (picture.label, picture.name, picture.excluded) == ("b", "a/4.png", True)
        assert {entry.number for entry in client.datasets.pictures(made.id, excluded=True)} == {
            0,
            wrong.number,
        }
        assert run("data", "restore", made.id, number).returncode == 0
        listed = run("data", "corrections", made.id)
        assert re.search(r"^ +3 +1 +.*put back", listed.stdout, re.MULTILINE), listed.stdout
        assert [entry.revision for entry in client.datasets.corrections(made.id)] == [3, 2, 1]
        dry = client.datasets.correct(made.id, [{"number": 0, "excluded": False}], dry_run=True)
        assert (dry.revision, dry.pictures[0].excluded) == (3, False)
        assert client.datasets.get(made.id).excluded == 1
        client.datasets.delete(made.id)


def test_downloads(run: Run, server: str) -> None:
    listed = run("data", "download")
    assert listed.returncode == 0, listed.stderr
    for name in ("mnist", "fashion-mnist", "cifar-10"):
        assert name in listed.stdout
    # The mirror of the shared server is empty.
    failed = run("data", "download", "mnist")
    assert failed.returncode == 1
    assert "the mirror has no" in failed.stderr
    with Client(server) as client, pytest.raises(ConvserveError, match="dataset"):
        client.datasets.download("imagenet")


def test_what_is_doubtful_is_said(run: Run, tmp_path: Path, server: str) -> None:
    archive = tmp_path / "twice.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for number in range(8):
            packed.writestr(f"{'ab'[number % 2]}/{number}.png", picture(number))
        packed.writestr("b/again.png", picture(0))
    done = run("data", "add", str(archive), "--image-size", "8")
    assert done.returncode == 0, done.stderr
    (identifier,) = set(re.findall(r"ds_\w+", done.stdout))
    with Client(server) as client:
        report = client.datasets.get(identifier).report
        client.datasets.delete(identifier)
    assert report.warnings
    for warning in report.warnings:
        assert done.stdout.count(warning) == 1
