"""Make the packaged model `mobilenet-v2-imagenet` from torchvision's weights.

    python -m app.builtin.make_pretrained WEIGHTS CLASSES

WEIGHTS is torchvision's `mobilenet_v2`, weights `IMAGENET1K_V1`, saved as safetensors; CLASSES has the name of a class
in each line, in the order of the outputs. They are mapped as `POST /v1/models/import` does, and written as numbers of
16 bits, which changes no logit of the photos in the tests by more than 0.06.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np

from app.api.requests.model_files import ModelImport
from app.builtin.install import to_document
from app.builtin.pretrained import PRETRAINED_FILE, PRETRAINED_RECORD
from app.files import paths
from app.files.artifacts import Written
from app.ids import PRETRAINED
from app.models.foreign import read_foreign_model
from app.models.model_files import model_record
from app.settings import Settings
from engine.model.model_file import model_bytes

ORIGIN = {
    "preset": "mobilenet-v2",
    "format": "torchvision",
    "weights": "torchvision, mobilenet_v2, IMAGENET1K_V1",
    "license": "BSD-3-Clause, Copyright (c) Soumith Chintala 2016",
    "notice": "torchvision says of its pre-trained models that they may have terms derived from the data set that they "
    "were trained on, and that it is yours to find out whether you may use them. ImageNet is for non-commercial "
    "research.",
}
DESCRIPTION = (
    "MobileNetV2 (Sandler et al. 2018) trained on the 1000 classes of ImageNet, with 71.9 % of the validation pictures "
    "right, as its makers report. The weights are torchvision's, under BSD-3-Clause. " + ORIGIN["notice"]
)
MADE = datetime(2024, 1, 1, tzinfo=UTC)
"""Before anything else that a server holds, so that lists of the newest do not begin with it."""


def main(arguments: list[str] | None = None) -> None:
    """Write the packaged files."""
    parser = argparse.ArgumentParser(prog="python -m app.builtin.make_pretrained", description=__doc__)
    parser.add_argument("weights", type=Path, help="safetensors file with torchvision's names")
    parser.add_argument("classes", type=Path, help="text file with the name of a class in each line")
    options = parser.parse_args(arguments)
    classes = options.classes.read_text(encoding="utf-8").splitlines()
    said = ModelImport(file="", preset="mobilenet-v2", classes=tuple(classes))
    model, _ = read_foreign_model(options.weights, said, Settings())
    model = replace(
        model,
        weights={name: array.astype(np.float16) for name, array in model.weights.items()},
        metadata=model.metadata
        | {
            "name": PRETRAINED,
            "dataset": {"name": "ImageNet (ILSVRC 2012)", "images": 1_281_167},
            "origin": ORIGIN,
        },
    )
    content = model_bytes(model)
    written = Written(paths.model(PRETRAINED), sha256(content).hexdigest(), len(content))
    record = replace(
        model_record(PRETRAINED, None, model, written), version=1, description=DESCRIPTION, created_at=MADE
    )
    PRETRAINED_FILE.write_bytes(content)
    text = json.dumps(to_document(record), sort_keys=True, ensure_ascii=False, allow_nan=False)
    PRETRAINED_RECORD.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(f"{PRETRAINED_FILE}: {len(content)} bytes, sha256 {record.sha256}\n")


if __name__ == "__main__":
    main()
