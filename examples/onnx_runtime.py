"""Train here, run in ONNX Runtime: `python -m examples.onnx_runtime` (needs onnx and onnxruntime).

A service of its own trains a network on the digits, hands it out as an ONNX file, and answers with probabilities for
some test pictures; ONNX Runtime, which knows nothing of the service, computes those of the same pictures from the file.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
from PIL import Image

from app.cli.launch import ServerProcess
from app.client import Client

NETWORK = {"preset": "lenet-5"}
EPOCHS = 3
PICTURES = 10


def probabilities(file: Path, pictures: Sequence[bytes]) -> tuple[list[str], np.ndarray]:
    """Return the classes and, by ONNX Runtime, the probabilities (N, K) of pictures that have the network's size."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    classes: list[str] = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    greys = [np.asarray(Image.open(io.BytesIO(picture)).convert("L")) for picture in pictures]
    (found,) = session.run(["predictions"], {"pixels": np.stack(greys)[..., np.newaxis]})  # (N, H, W, 1) in
    return classes, found


def compare(client: Client, folder: Path, epochs: int = EPOCHS) -> list[tuple[str, float, float]]:
    """Train a network; return for each picture the label here, and its probability here and in ONNX Runtime."""
    begun = client.training_jobs.create(NETWORK, "digits", epochs=epochs, seed=0)
    *_, job = client.training_jobs.watch(begun.id)
    model = str(job.model_id)
    file = folder / "digits.onnx"
    client.models.export_onnx(model, file, preprocessing="inside")
    pictures = [client.datasets.picture("digits", number, split="test").content for number in range(PICTURES)]
    seen = client.models.predict(model, [(f"{n}.png", each) for n, each in enumerate(pictures)])
    classes, found = probabilities(file, pictures)
    rows = []
    for here, there in zip(seen, found, strict=True):
        label, probability = str(here.label), here.probability
        rows.append((label, float(probability or 0), float(there[classes.index(label)])))
    return rows


def main() -> None:
    with TemporaryDirectory(prefix="convserve-onnx-") as directory:
        folder = Path(directory)
        with ServerProcess(folder / "data", folder / "service.log") as url, Client(url) as client:
            rows = compare(client, folder)
    print("| label | probability here | in ONNX Runtime |\n|---|---:|---:|")
    for label, here, there in rows:
        print(f"| {label} | {here:.6f} | {there:.6f} |")
    print(f"\nlargest difference: {max(abs(here - there) for _, here, there in rows):.1e}")


if __name__ == "__main__":
    main()
