"""A model from PyTorch through ONNX: served, explained and fine-tuned here.

`python -m examples.from_pytorch FILE.onnx` takes a file that `torch.onnx.export` wrote; without FILE it is a small
MobileNetV3 with random weights that the tests keep. A service of its own imports it, and what it says of a picture is
compared with ONNX Runtime; then its way of seeing is explained, and it learns digits (needs onnx and onnxruntime).
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import onnxruntime
from PIL import Image

from app.cli.launch import ServerProcess
from app.client import Client
from examples.digits import digits

KEPT = Path(__file__).parents[1] / "tests" / "engine" / "golden" / "onnx" / "mobilenet_v3-torchscript.onnx"
SIZE = (32, 32, 3)
PICTURES = 1000


class Outcome(NamedTuple):
    """What came of a file."""

    difference: float
    """The largest, of a probability here from that in ONNX Runtime."""
    looked_at: tuple[int, int]
    """The row and the column of the pixel that its label depends on most."""
    accuracy: float
    """Of the model that learned digits, on its test pictures."""


def probabilities(file: Path, picture: Image.Image) -> np.ndarray:
    """Return the probabilities (K,) of a picture of the network's size, by ONNX Runtime."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    x = np.asarray(picture, np.float32).transpose(2, 0, 1)[np.newaxis] / 255  # (1, C, H, W)
    (scores,) = session.run(None, {session.get_inputs()[0].name: x})
    powers = np.exp(scores[0] - scores[0].max())
    shares: np.ndarray = powers / powers.sum()
    return shares


def coloured_digits(folder: Path) -> Path:
    """Write a part of the packaged digits into an npz file, in as many channels as the network looks at."""
    train = digits(PICTURES).train
    grey, labels = train.read(np.arange(PICTURES))
    file = folder / "digits.npz"
    np.savez(file, images=np.repeat(grey, 3, axis=-1), labels=labels)
    return file


def go_through(client: Client, file: Path, folder: Path, input_shape: Sequence[int] = SIZE) -> Outcome:
    """Import a file, ask it, have it explained, and let it learn; `folder` takes what is uploaded."""
    numbers = np.random.default_rng(0).integers(0, 256, input_shape, np.uint8)
    picture, content = Image.fromarray(numbers), io.BytesIO()
    picture.save(content, "PNG")

    # no mean and no deviation: the network takes numbers from 0 to 1
    model = client.models.import_file(file, input_shape=input_shape).id
    asked = ("picture.png", content.getvalue())
    (seen,) = client.models.predict(model, [asked], top_k=len(client.models.get(model).classes))
    here = {entry.class_index: entry.probability for entry in seen.top or ()}
    there = probabilities(file, picture)
    difference = max(abs((here[number] or 0) - float(there[number])) for number in here)

    explained = client.models.explain(model, asked, method="gradient")
    strongest = np.abs(np.array(explained.map)).argmax()
    row, column = np.unravel_index(strongest, np.array(explained.map).shape)

    dataset = client.datasets.upload(coloured_digits(folder), image_size=input_shape[0], fit="stretch")
    client.datasets.wait(dataset.id)
    begun = client.training_jobs.create(
        dataset=dataset.id, initial_weights=model, train="all", defaults="auto", seed=0
    )
    *_, job = client.training_jobs.watch(begun.id)
    learned = client.models.get(str(job.model_id))
    return Outcome(difference, (int(row), int(column)), float(learned.metrics["test_accuracy"] or 0))


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else KEPT
    with TemporaryDirectory(prefix="convserve-onnx-") as directory:
        folder = Path(directory)
        with ServerProcess(folder / "data", folder / "service.log") as url, Client(url) as client:
            outcome = go_through(client, file, folder)
    print(f"largest difference from ONNX Runtime: {outcome.difference:.1e}")
    print(f"its label depends most on the pixel in row {outcome.looked_at[0]}, column {outcome.looked_at[1]}")
    print(f"after {PICTURES} digits it is right about {outcome.accuracy:.1%} of the test pictures")


if __name__ == "__main__":
    main()
