"""Which library computes the predictions of a model: NumPy, or ONNX Runtime where the operator wants it."""

from __future__ import annotations

import sys
from concurrent.futures import Executor
from importlib.util import find_spec
from typing import TYPE_CHECKING

from app.errors import Conflict
from app.log import Log
from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from engine.model.inference import Predictor

log = Log(__name__)


_EXTRA = ("onnx", "onnxruntime")


def check_libraries(settings: Settings) -> None:
    """Refuse to do without ONNX Runtime where that is to compute all predictions.

    Raises:
        SettingsError: it is not installed.
    """
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if settings.inference == "onnxruntime" and missing:
        raise SettingsError(
            f"CONVSERVE_INFERENCE=onnxruntime needs what this installation was made without: {' and '.join(missing)}. "
            f"Install that where the server runs, with {sys.executable} -m pip install {' '.join(missing)}, or let "
            "NumPy compute predictions: leave the variable out"
        )


def settled(
    predictor: Predictor, identifier: str, settings: Settings, executor: Executor | None
) -> Predictor:
    """Return a predictor as `CONVSERVE_INFERENCE` wants it: the given one, or one by ONNX Runtime in its place.

    Args:
        predictor: of a model that was just loaded, by NumPy.
        identifier: of the model.
        settings: of this process.
        executor: has threads for parts of large batches.

    Raises:
        Conflict: it has to be ONNX Runtime, and that cannot compute this model.
    """
    if settings.inference == "numpy":
        return predictor
    try:
        if settings.inference == "auto" and not _is_better(predictor, identifier):
            return predictor
        return _by_runtime(predictor, executor, settings.cores)
    except Exception as error:  # the libraries that are asked have kinds of errors of their own
        if settings.inference == "auto":
            log.warning("model_without_onnxruntime", id=identifier, error=str(error))
            return predictor
        raise Conflict(
            f"ONNX Runtime, which is to compute all predictions here, cannot compute those of this model: {error}. "
            "With CONVSERVE_INFERENCE=auto the server computes such models by NumPy",
            code="not-exportable",
        ) from error


def _is_better(predictor: Predictor, identifier: str) -> bool:
    from engine.model.computation import compare, fixed_pictures  # noqa: PLC0415 - see below

    # on one thread each: what several take of the clock depends on what else the machine does
    trial = _by_runtime(predictor, None, 1)
    pictures = predictor.prepared(fixed_pictures(predictor.input_shape))
    found = compare(trial.computation, predictor.computation.alone(), pictures)
    log.info(
        "model_computed_by",
        id=identifier,
        library=(trial if found.is_better else predictor).library,
        onnxruntime_times_as_quick=round(found.times, 2),
        largest_difference=found.difference,
    )
    return found.is_better


def _by_runtime(predictor: Predictor, executor: Executor | None, ways: int) -> Predictor:
    # with the first model that it may compute, not with the server; it is not installed everywhere
    from engine.model.inference import Predictor, scoring_network  # noqa: PLC0415
    from engine.model.runtime.onnx_runtime import Session  # noqa: PLC0415

    model = predictor.model
    session = Session(scoring_network(model), model.weights, executor, ways)
    return Predictor(model, computation=session)
