"""A small task for tests of training: pictures of horizontal, vertical or no stripes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.execution.protocol import PlainExecution
from engine.fast.layout.gemm import OPENBLAS_EDGE, Tuning
from engine.fast.parallel.processes import ProcessExecution
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.shares import SharedExecution
from engine.fast.parallel.threads import ThreadExecution
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.inputs.preparation import Preparation
from engine.recipe.losses import Loss
from engine.training.loop import Execute, Progress, TrainingConfig, TrainingData, train
from engine.training.state import TrainingState

LAYERS = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same"},
    {"type": "batch_norm", "activation": "relu"},
    {"type": "max_pool2d"},
    {"type": "flatten"},
    {"type": "dropout", "rate": 0.2},
    {"type": "dense", "units": 3, "activation": "softmax"},
]


class Stripes:
    """Pictures of horizontal, vertical or no stripes, with noise."""

    def __init__(self, count: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.labels = np.arange(count) % 3
        images = draw.integers(0, 120, (count, 8, 8, 1))
        images[self.labels == 0, ::2] += 120
        images[self.labels == 1, :, ::2] += 120
        self.images = images.astype(np.uint8)

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.images[indices], self.labels[indices]


def data(train_images: int = 70, dev_images: int = 30) -> TrainingData:
    return TrainingData(
        Stripes(train_images, 0),
        Stripes(dev_images, 1),
        Stripes(30, 2),
        ("rows", "columns", "none"),
        (8, 8, 1),
    )


def network(layers: list[dict[str, Any]] = LAYERS) -> Network:
    return Network.build(Architecture.model_validate({"input_shape": [8, 8, 1], "layers": layers}))


def run(
    config: TrainingConfig, state: TrainingState | None = None, execute: Execute = PlainExecution
) -> list[Progress]:
    return list(train(network(), config, data(), state, execute))


class InShares:
    """Runs batches as jobs do: by plans, in two shares, until it is closed."""

    def __init__(self, kind: Callable[[Setup], SharedExecution]) -> None:
        self._kind = kind
        self._made: list[SharedExecution] = []

    def __call__(self, trained: Network, loss: Loss, preparation: Preparation) -> SharedExecution:
        setup = Setup(trained, loss, preparation, Tuning(gemm_edge=OPENBLAS_EDGE), 2, 64)
        self._made.append(self._kind(setup))
        return self._made[-1]

    def close(self) -> None:
        for execution in self._made:
            execution.close()


def in_two_threads() -> InShares:
    return InShares(ThreadExecution)


def in_two_processes() -> InShares:
    return InShares(ProcessExecution)


def same_bytes(one: TrainingState, other: TrainingState) -> bool:
    """Compare everything but the time it took."""
    documents = []
    for state in (one, other):
        document = state.document() | {"seconds": 0}
        document["history"] = [metrics | {"seconds": 0} for metrics in document["history"]]
        documents.append(document)
    pairs = zip(arrays(one), arrays(other), strict=True)
    return documents[0] == documents[1] and all(
        left[0] == right[0] and left[1].tobytes() == right[1].tobytes() for left, right in pairs
    )


def arrays(state: TrainingState) -> list[tuple[str, np.ndarray]]:
    found = list(state.weights.items())
    for prefix, others in (("best", state.best_weights), ("average", state.average)):
        found += [(f"{prefix} {name}", array) for name, array in (others or {}).items()]
    for name, slots in state.slots.items():
        found += [(f"{slot} {name}", array) for slot, array in slots.items()]
    return sorted(found, key=lambda pair: pair[0])
