"""The commands about models, each in a process of its own."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from safetensors.numpy import save_file

from app.client import Client, ConvserveError
from benchmarks.foreign_arrays import draw
from tests.engine.test_foreign import shapes

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_model_goes_out_comes_back_and_gets_an_alias(run: Run, server: str, tmp_path: Path) -> None:
    file = tmp_path / "digits.safetensors"
    done = run("models", "export", "model_example", str(file))
    assert done.returncode == 0, done.stderr
    done = run("models", "import", str(file), "--name", "from the shell")
    assert done.returncode == 0, done.stderr
    assert "from the shell, version 1" in done.stdout
    done = run("models", "alias", "from the shell@1", "production")
    assert done.returncode == 0, done.stderr
    shown = json.loads(run("models", "show", "from the shell@production", "--json").stdout)
    assert shown["name"] == "from the shell"
    assert shown["id"] in run("models", "list").stdout
    with Client(server) as client:
        again = tmp_path / "again.safetensors"
        client.models.export(shown["id"], again)
        assert client.models.get("from the shell@production").id == shown["id"]
    assert again.read_bytes() == file.read_bytes()


@pytest.mark.parametrize(("words", "name"), [((), "input"), (("--preprocessing-inside",), "pixels")])
def test_a_model_goes_out_as_onnx(run: Run, tmp_path: Path, words: tuple[str, ...], name: str) -> None:
    file = tmp_path / "digits.onnx"
    done = run("models", "onnx", "model_example", str(file), *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{file}: {file.stat().st_size} bytes\n"
    assert [each.name for each in onnx.load(file).graph.input] == [name]
    nowhere = tmp_path / "no such folder" / "digits.onnx"
    assert "cannot write" in run("models", "onnx", "model_example", str(nowhere)).stderr


def test_weights_of_another_library_are_imported(run: Run, server: str, tmp_path: Path) -> None:
    weights, names = tmp_path / "weights.safetensors", tmp_path / "names.txt"
    save_file(draw(shapes("squeezenet-1.1 torchvision")), weights)
    names.write_text("".join(f"kind {number}\n" for number in range(10)))
    done = run("models", "import", str(weights), "--preset", "squeezenet-1.1", "--classes", str(names))
    assert done.returncode == 0, done.stderr
    shown = json.loads(run("models", "show", done.stdout.split()[1].rstrip(":"), "--json").stdout)
    assert shown["classes"] == names.read_text().splitlines()
    with Client(server) as client:
        said = {"mean": [0.5], "deviation": [0.5], "picture": {"fit": "stretch"}}
        with pytest.raises(ConvserveError) as caught:
            client.models.import_file(weights, preset="squeezenet-1.1", preprocessing=said)
        assert "3 channels" in str(caught.value)
        said = {"mean": [0.5] * 3, "deviation": [0.5] * 3}
        model = client.models.import_file(
            weights, preset="squeezenet-1.1", input_shape=(64, 64, 3), preprocessing=said
        )
        assert (model.import_.format, model.import_.mapped, model.input_shape) == (
            "torchvision",
            52,
            [64, 64, 3],
        )
        client.models.delete(model.id)


def test_a_file_of_pytorch_is_imported(run: Run, server: str) -> None:
    golden = Path(__file__).parents[1] / "engine" / "golden" / "onnx"
    file = golden / "mobilenet_v3-dynamo-opset-18.onnx"
    said = {
        "--external-data": f"{file}.data",
        "--input-shape": "[32, 32, 3]",
        "--preprocessing": '{"mean": [0.5, 0.5, 0.5], "deviation": [0.2, 0.2, 0.2]}',
        "--target": "labels",
    }
    done = run("models", "import", str(file), *(word for pair in said.items() for word in pair))
    assert done.returncode == 0, done.stderr
    shown = json.loads(run("models", "show", done.stdout.split()[1].rstrip(":"), "--json").stdout)
    assert (shown["name"], shown["target"], shown["input_shape"]) == (file.stem, "labels", [32, 32, 3])
    assert shown["preprocessing"]["mean"] == [0.5, 0.5, 0.5]


def test_what_no_file_says_of_a_model_is_told_with_the_option_that_says_it(run: Run, tmp_path: Path) -> None:
    file = Path(__file__).parents[1] / "engine" / "golden" / "onnx" / "keras_sequential.onnx"
    neutral = '{"mean": [0, 0, 0], "deviation": [1, 1, 1]}'
    names = tmp_path / "names.txt"
    names.write_text("".join(f"kind {number}\n" for number in range(5)))
    done = run("models", "import", str(file))
    assert done.returncode == 0, done.stderr
    assert "--classes" in done.stdout
    assert "--preprocessing" in done.stdout
    done = run("models", "import", str(file), "--classes", str(names), "--preprocessing", neutral)
    assert done.returncode == 0, done.stderr
    assert "--" not in done.stdout


@pytest.mark.parametrize(
    ("option", "text"), [("--input-shape", "32x32"), ("--input-shape", "32"), ("--preprocessing", "imagenet")]
)
def test_an_option_that_is_no_json_is_refused(run: Run, option: str, text: str) -> None:
    file = Path(__file__).parents[1] / "engine" / "golden" / "onnx" / "keras_sequential.onnx"
    done = run("models", "import", str(file), option, text)
    assert done.returncode == 1
    assert option in done.stderr
    assert text in done.stderr


def test_what_is_no_model_is_refused_in_words(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "no.safetensors"
    file.write_text("no model")
    done = run("models", "import", str(file))
    assert done.returncode == 1
    assert "cannot be imported" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_evaluation_ends_in_advice(run: Run, server: str) -> None:
    done = run("evaluate", "model_example", "--split", "dev")
    assert done.returncode == 0, done.stderr
    with Client(server) as client:
        newest = next(client.evaluations.list())
        found = client.evaluations.get(newest.id)
        client.evaluations.delete(found.id)
    assert found.report is not None
    assert found.report.diagnosis.advice.split(":")[0][:40] in done.stdout
    assert "accuracy" in done.stdout


def test_a_prediction_is_explained_in_numbers_and_drawn(run: Run, server: str, tmp_path: Path) -> None:
    picture, drawn = tmp_path / "digit.png", tmp_path / "map.png"
    with Client(server) as client:
        picture.write_bytes(client.datasets.picture("digits", 3).content)
    arguments = ("explain", "model_example", str(picture))
    done = run(*arguments, "-o", str(drawn))
    assert done.returncode == 0, done.stderr
    assert drawn.read_bytes().startswith(b"\x89PNG")
    done = run(*arguments, "--method", "occlusion", "--class", "4", "--option", "window=7", "--json")
    found = json.loads(done.stdout)
    assert (found["method"], found["class"], found["options"]["window"]) == ("occlusion", "4", 7)
    done = run(*arguments, "--option", "window")
    assert (done.returncode, "NAME=VALUE" in done.stderr) == (1, True)
