"""The commands with pictures that have labels or values, each in a process of its own."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.http.drawn_pictures import SIDE, archive_of_shades, archive_of_squares, png, shade, squares

LAYERS = '[{"type": "global_average_pool2d"}, {"type": "dense", "units": %d}]'


Run = Callable[..., subprocess.CompletedProcess[str]]


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("target", ["labels", pytest.param("values", marks=pytest.mark.slow)])
def test_from_a_file_to_a_prediction(run: Run, tmp_path: Path, target: str) -> None:
    labels = target == "labels"
    (tmp_path / "pictures.zip").write_bytes(archive_of_squares() if labels else archive_of_shades())
    (tmp_path / "one.png").write_bytes(png(squares(5)[0] if labels else shade(5)[0]))
    (tmp_path / "net.json").write_text(
        f'{{"input_shape": [{SIDE}, {SIDE}, 3], "layers": {LAYERS % (3 if labels else 2)}}}'
    )
    said = good(
        run("data", "add", str(tmp_path / "pictures.zip"), "--target", target, "--image-size", str(SIDE))
    )
    dataset = re.findall(r"ds_\w+", said)[0]
    shown = good(run("data", "show", dataset))
    assert ("green" if labels else "warmth") in shown
    change = ("--no-label",) if labels else ("--value", "warmth=0.5")
    said = good(run("data", "relabel", dataset, "0", "1", *change))
    assert ("no label and not" if labels else "warmth 0.5 and not") in said
    if labels:
        said = good(run("data", "relabel", dataset, "0", "--label", "red", "--label", "blue"))
        assert re.search(r"  0 \(\d+\.png\): blue\|red and not no label", said)
    wrong = run("data", "relabel", dataset, "0", "--value", "warmth")
    assert (wrong.returncode, "'warmth' is no name and number" in wrong.stderr) == (1, True)
    loss = "binary_cross_entropy" if labels else "mean_squared_error"
    said = good(
        run("train", str(tmp_path / "net.json"), "--dataset", dataset, "--loss", loss, "--epochs", "1")
    )
    assert re.search(r"test accuracy: \d" if labels else r"test loss: \d", said)
    model = re.findall(r"model_\w+", said)[0]
    told = r"no label|(blue|green|red) \d+\.\d %" if labels else r"Light \S+  warmth \S+"
    assert re.search(told, good(run("predict", model, str(tmp_path / "one.png"))))
    judged = good(run("evaluate", model, "--dataset", dataset))
    assert ("recall" if labels else "root mean squared error") in judged
