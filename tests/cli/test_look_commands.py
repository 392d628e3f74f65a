"""The commands that compute operations and look inside models and training, on real pictures and models."""

import io
import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from app.client import Client

Run = Callable[..., subprocess.CompletedProcess[str]]
PNG = b"\x89PNG"
EDGE = "[[10, 10, 10, 0, 0, 0], [10, 10, 10, 0, 0, 0], [10, 10, 10, 0, 0, 0]]"


def good(done: subprocess.CompletedProcess[str]) -> str:
    """Check that a command did what it should, in lines of 80 columns, and return what it said."""
    assert done.returncode == 0, done.stderr
    # The path of a file is as long as it is.
    lines = [line for line in done.stdout.splitlines() if not line.endswith(" bytes")]
    assert max(map(len, lines), default=0) <= 80
    return done.stdout


def wrong(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("Error: ")
    return " ".join(done.stderr.split())


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    Image.linear_gradient("L").resize((40, 30)).convert("RGB").save(path)
    return path


@pytest.fixture
def digit(server: str, tmp_path: Path) -> Path:
    path = tmp_path / "three.png"
    with Client(server) as client:
        path.write_bytes(client.datasets.picture("digits", 3, split="test").content)
    return path


def test_a_filter_writes_each_form(run: Run, photo: Path, tmp_path: Path) -> None:
    for ending in ("png", "svg", "npz", "json"):
        file = tmp_path / f"edges.{ending}"
        said = good(run("filter", str(photo), "vertical_edge", "--grey", "-o", str(file)))
        assert said == f"{file}: {file.stat().st_size:,} bytes\n"
    with Image.open(tmp_path / "edges.png") as opened:
        assert opened.size == (38, 28)
    assert "<svg" in (tmp_path / "edges.svg").read_text(encoding="utf-8")
    assert zipfile.is_zipfile(tmp_path / "edges.npz")
    assert json.loads((tmp_path / "edges.json").read_text(encoding="utf-8"))["output_shape"] == [28, 38]


def test_a_filter_of_several_pictures(run: Run, photo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    Image.new("L", (9, 9), 50).save(other)
    kernel = tmp_path / "kernel.json"
    kernel.write_text("[[0, 1], [0, 0]]")
    words = ["filter", str(photo), str(other), f"@{kernel}", "--stride", "2", "--padding", "1"]
    good(run(*words, "-o", str(tmp_path / "moved.png")))
    with Image.open(tmp_path / "other-moved.png") as opened:
        assert opened.size == (5, 5)
    assert (tmp_path / "photo-moved.png").exists()
    twice = run("filter", str(photo), str(photo), "emboss", "-o", str(tmp_path / "moved.png"))
    assert "two pictures" in wrong(twice)


def test_a_filter_that_there_is_not(run: Run, photo: Path, tmp_path: Path) -> None:
    file = tmp_path / "edges.png"
    assert "vertical_edge" in wrong(run("filter", str(photo), "vertical_edg", "-o", str(file)))
    assert "not JSON" in wrong(run("filter", str(photo), "[[1", "-o", str(file)))
    assert "end its name in" in wrong(run("filter", str(photo), "emboss", "-o", str(tmp_path / "a.gif")))
    position = run("filter", str(photo), "emboss", "-o", str(file), "--position", "first")
    assert "row,column" in wrong(position)
    assert not file.exists()
    assert "vertical_edge" in run("catalog", "filters").stdout


def test_an_operation_prints_its_arithmetic(run: Run, tmp_path: Path) -> None:
    said = good(run("operations", "convolve", "--input", EDGE, "--kernel", "vertical_edge", "--trace"))
    assert "output 1 × 4" in said
    assert "width = floor((6 + 2*0 - 3)/1) + 1 = 4" in said
    assert "\n   0  30  30   0\n" in said
    assert "[0, 1]: " in said
    pooled = ["operations", "max_pool2d", "--input", EDGE, "--layer", '{"pool_size": [3, 2]}']
    assert json.loads(run(*pooled, "--json").stdout)["output"] == [[10, 10, 0]]
    assert "  10  10   0\n" in good(run(*pooled))
    good(run(*pooled, "-o", str(tmp_path / "pool.svg")))
    assert "<svg" in (tmp_path / "pool.svg").read_text(encoding="utf-8")
    added = good(run("operations", "add", "--input", "[1, 2.5]", "--input", "[10, 20]"))
    assert "11  22.5" in added


def test_an_operation_on_a_picture(run: Run, photo: Path, tmp_path: Path) -> None:
    words = ["operations", "average_pool2d", "--input", str(photo), "--layer", '{"pool_size": 2}']
    assert "too large to be shown" in good(run(*words))
    good(run(*words, "-o", str(tmp_path / "half.png")))
    with Image.open(tmp_path / "half.png") as opened:
        assert opened.size == (20, 15)
    assert "no picture 'none.png'" in wrong(run("operations", "relu", "--input", "none.png"))
    assert "did you mean 'relu'" in wrong(run("operations", "relo", "--input", "[1]"))
    several = run("operations", "add", "--input", str(photo), "--input", "[1]")
    assert "have to be numbers" in wrong(several)


def test_a_gradient_is_asked_for(run: Run) -> None:
    done = run("operations", "relu", "--input", "[1, -2]", "--gradients", "--json")
    assert json.loads(done.stdout)["gradients"]["inputs"] == [[1, 0]]


def test_explanations(run: Run, digit: Path, tmp_path: Path) -> None:
    file = tmp_path / "map.png"
    good(run("explain", "model_example", str(digit), "-o", str(file)))
    assert file.read_bytes().startswith(PNG)
    said = good(run("explain", "lenet-5-digits@1", str(digit), "--node", "conv2d_1", "--class", "5"))
    assert "grad_cam" in said
    assert "conv2d_1" in said
    words = ["explain", "model_example", str(digit), "--method", "occlusion", "--option", "window=14"]
    found = json.loads(run(*words, "--json").stdout)
    assert (found["class"], found["options"]["window"]) == ("3", 14)
    assert "integrated_gradients" in wrong(run("explain", "model_example", str(digit), "--method", "lime"))
    assert "window=14" not in wrong(run(*words[:-1], "window"))


def test_activations(run: Run, digit: Path, tmp_path: Path) -> None:
    said = good(run("activations", "model_example", str(digit)))
    assert "conv2d_1/activation" in said
    assert "dense_" in said
    assert "28 × 28 × 6" in good(run("activations", "model_example", str(digit), "--node", "conv2d_1"))
    for words in ([], ["--node", "conv2d_1"]):
        file = tmp_path / "maps.png"
        good(run("activations", "model_example", str(digit), *words, "-o", str(file)))
        assert file.read_bytes().startswith(PNG)
        file.unlink()
        shown = json.loads(run("activations", "model_example", str(digit), *words, "--json").stdout)
        assert shown["data"][0]["filename"] == "three.png"
    assert "conv2d_1" in wrong(run("activations", "model_example", str(digit), "--node", "conv2d_11"))
    archive = tmp_path / "maps.npz"
    assert "end its name in .png or .json" in wrong(
        run("activations", "model_example", str(digit), "-o", str(archive))
    )
    assert not archive.exists()
    good(run("activations", "model_example", str(digit), "--node", "conv2d_1", "-o", str(archive)))
    assert zipfile.is_zipfile(io.BytesIO(archive.read_bytes()))


def test_filters_of_a_model(run: Run, tmp_path: Path) -> None:
    assert "conv2d_2" in good(run("filters", "model_example"))
    assert len(good(run("filters", "model_example", "--node", "conv2d_1")).splitlines()) == 2 + 6
    file = tmp_path / "filters.png"
    good(run("filters", "model_example", "--node", "conv2d_1", "-o", str(file)))
    assert file.read_bytes().startswith(PNG)
    assert "--node is missing" in wrong(run("filters", "model_example", "-o", str(file)))
    shown = json.loads(run("filters", "model_example", "--node", "conv2d_1", "--json").stdout)
    assert shown["shape"] == [5, 5, 1, 6]


def test_architectures_of_models_are_compared_and_drawn(run: Run, tmp_path: Path) -> None:
    said = good(run("compare", "model_example", "lenet-5"))
    assert "multiply adds" in said
    assert "layers are alike" in said
    other = tmp_path / "other.json"
    layers = [{"type": "conv2d", "filters": 4, "kernel_size": 3}, {"type": "flatten"}]
    other.write_text(json.dumps({"input_shape": [28, 28, 1], "layers": layers}))
    said = good(run("compare", "lenet-5", str(other)))
    assert "changed conv2d_1: " in said
    assert "filters 6 -> 4, output_shape 28 × 28 × 6 -> 26 × 26 × 4" in " ".join(said.split())
    assert "inputs max_pool2d_2 -> conv2d_1" in " ".join(said.split())
    assert "removed dense_1" in said
    compared = json.loads(run("compare", "lenet-5", str(other), "--json").stdout)
    assert compared["architectures"][0]["name"] == "lenet-5"
    assert "lenet-5" in wrong(run("compare", "lenet-6", "lenet-5"))
    file = tmp_path / "net.svg"
    good(run("diagram", "lenet-5-digits@1", "-o", str(file)))
    assert "conv2d_1" in file.read_text(encoding="utf-8")


def test_lengths_of_gradients_of_a_job(run: Run, server: str, tmp_path: Path) -> None:
    layers = [{"type": "flatten"}, {"type": "dense", "units": 10}]
    with Client(server) as client:
        job = client.training_jobs.create(
            {"input_shape": [28, 28, 1], "layers": layers}, "digits", epochs=2, batch_size=1000
        )
        for _ in client.training_jobs.watch(job.id, interval=0.05):
            pass
    said = good(run("jobs", "norms", job.id))
    assert "epoch 2" in said
    assert "dense_1" in said
    assert json.loads(run("jobs", "norms", job.id, "--json").stdout)["epochs"] == [1, 2]
    good(run("jobs", "norms", job.id, "-o", str(tmp_path / "norms.svg")))
    assert "dense_1" in (tmp_path / "norms.svg").read_text(encoding="utf-8")
    good(run("jobs", "norms", "job_example"))
