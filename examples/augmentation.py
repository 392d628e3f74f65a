"""With and without augmentation, on few pictures: `python -m examples.augmentation`.

"Data augmentation is the step of increasing the number of images in a given dataset": the same network, first
weights and number of steps, once on the pictures as they are and once turned, moved and cut anew in each epoch.
"""

from __future__ import annotations

from typing import Any

from engine.presets.lenet import LENET_5
from engine.training.loop import TrainingConfig
from examples.digits import digits, learn
from examples.figures import lines

PICTURES = 300
EPOCHS = 40
CONFIG: dict[str, Any] = {
    "epochs": EPOCHS,
    "batch_size": 25,
    "seed": 0,
    "schedule": {"type": "cosine"},
}
AUGMENTATIONS = [
    {"type": "rotation", "degrees": 12},
    {"type": "translation", "share": 0.08},
    {"type": "scaling", "share": 0.12},
    {"type": "shear", "degrees": 10},
]


def main() -> None:
    data = digits(PICTURES)
    layers = LENET_5.architecture().document()["layers"]
    histories = {
        words: learn(layers, data, TrainingConfig.model_validate({**CONFIG, "augmentations": augmentations}))
        for words, augmentations in (("with augmentation", AUGMENTATIONS), ("without", []))
    }
    print(f"LeNet-5 on {PICTURES} digits, {EPOCHS} epochs\n")
    print("| | train loss | train accuracy | dev loss | dev accuracy | best dev accuracy |")
    print("|---|---:|---:|---:|---:|---:|")
    for words, history in histories.items():
        end = history[-1]
        best = max(epoch.dev_accuracy or 0 for epoch in history)
        print(
            f"| {words} | {end.train_loss:.3f} | {end.train_accuracy:.1%} | {end.dev_loss:.3f} "
            f"| {end.dev_accuracy:.1%} | {best:.1%} |"
        )
    curves = {
        f"{split}, {words}": [
            (epoch.epoch, epoch.train_loss if split == "train" else epoch.dev_loss or 0.0)
            for epoch in history
        ]
        for words, history in histories.items()
        for split in ("dev", "train")
    }
    title = f"Loss on {PICTURES} digits and on digits never trained on"
    file = lines("augmentation", title, curves, "epoch", "loss", logarithmic=True)
    print(f"\nwrote {file.name}")


if __name__ == "__main__":
    main()
