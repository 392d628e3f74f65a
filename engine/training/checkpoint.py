"""A `TrainingState` as one safetensors file, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import ValidationError

from engine.arrays import Array
from engine.errors import ModelFileError, NonFiniteError
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.model.model_file import FORMAT_VERSION, pack, read_description, unpack
from engine.training.loop import TrainingConfig
from engine.training.norms import GradientTally
from engine.training.state import EpochMetrics, Stage, Tally, TrainingState
from engine.training.transfer import freeze

_WEIGHTS, _AVERAGE, _BEST, _SLOTS = "weights/", "average/", "best/", "slots/"


def checkpoint_bytes(state: TrainingState) -> bytes:
    """Return everything a run needs to go on as if it had never stopped.

    Raises:
        NonFiniteError: a weight is NaN or infinite; the checkpoint before is worth more than this one.
    """
    for name, weight in state.weights.items():
        if not np.isfinite(weight).all():
            raise NonFiniteError(
                f"the weight {name} became NaN or infinite by step {state.step}",
                hint="use a smaller learning rate",
            )
    arrays: dict[str, Array] = {f"{_WEIGHTS}{name}": array for name, array in state.weights.items()}
    for prefix, others in ((_AVERAGE, state.average), (_BEST, state.best_weights)):
        for name, array in (others or {}).items():
            arrays[f"{prefix}{name}"] = array
    for name, slots in state.slots.items():
        for slot, array in slots.items():
            arrays[f"{_SLOTS}{slot}/{name}"] = array
    description = {
        "format_version": FORMAT_VERSION,
        "kind": "checkpoint",
        "has_average": state.average is not None,
        "has_best": state.best_weights is not None,
        "state": state.document(),
    }
    return pack(arrays, description)


def read_stage(path: Path) -> int:
    """Return the number of the stage that a checkpoint is of, from 0: it decides which weights were trained.

    Raises:
        ModelFileError: damaged.
    """
    description = read_description(path, "checkpoint")
    try:
        return Stage(*description["state"].get("stage", ())).number
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"the checkpoint's description is not valid: {error}") from None


def read_checkpoint(path: Path, network: Network, config: TrainingConfig) -> TrainingState:
    """Read a checkpoint of a run of this network and configuration.

    Raises:
        ModelFileError: damaged, or of another network or optimizer.
    """
    description = read_description(path, "checkpoint")
    specs = freeze(network, config.freeze).weight_specs
    trained = {name: spec for name, spec in specs.items() if spec.trainable}
    weights = unpack(path, specs, _WEIGHTS)
    average = unpack(path, specs, _AVERAGE) if description.get("has_average") else None
    best = unpack(path, specs, _BEST) if description.get("has_best") else None
    by_slot = {slot: unpack(path, trained, f"{_SLOTS}{slot}/") for slot in config.optimizer.slots()}
    slots = {name: {slot: arrays[name] for slot, arrays in by_slot.items()} for name in trained}
    try:
        stored = description["state"]
        loss, correct, images, *judged = stored["tally"]
        return TrainingState(
            weights=weights,
            slots=slots,
            preprocessing=Preprocessing.model_validate(stored["preprocessing"]),
            epoch=stored["epoch"],
            position=stored["position"],
            step=stored["step"],
            stage=Stage(*stored.get("stage", ())),
            tally=Tally(loss, correct, images, *(judged or [images])),
            gradients=GradientTally(**stored.get("gradients", {})),
            seconds=stored["seconds"],
            history=[EpochMetrics.model_validate(metrics) for metrics in stored["history"]],
            average=average,
            best_weights=best,
            best_epoch=stored["best_epoch"],
            taken=tuple(stored.get("taken", ())),
            pins=stored["pins"],
        )
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise ModelFileError(f"the checkpoint's description is not valid: {error}") from None
