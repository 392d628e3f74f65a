"""Evaluation as a job: how good a model is on the pictures of a data set, and what to try next."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.splits import SPLIT_NAMES
from app.datasets.records import class_names
from app.datasets.storage import StoredDataset, open_dataset
from app.files import paths
from app.files.artifacts import Artifacts
from app.jobs.evaluated import Evaluated, caption, row_type, rows_of, write_rows
from app.jobs.heartbeat import Heartbeat
from app.jobs.kinds import EVALUATION_PART
from app.jobs.requests import EvaluationRequest
from app.jobs.work.diagnosis import diagnose
from app.jobs.work.evaluate_part import reading
from app.jobs.work.parts import Division, gather
from app.jobs.work.predictions import Predict, SplitPictures, SplitPredictions
from app.models.matching import check_match, class_places
from app.models.predictors import load
from app.pictures.sheets import Tile, draw_sheet
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord, Json
from engine.model.inference import Predictor
from engine.recipe.targets import Target
from engine.training.figures import Figures
from engine.training.metrics import Assessment
from engine.training.target_metrics import LabelAssessment, ValueAssessment


class _Assessment(Protocol):
    """What predictions are added to, and figures come from."""

    def add(self, predictions: Any, truth: Any, /) -> object: ...

    def report(self) -> Figures: ...


log = logging.getLogger(__name__)

MISTAKES = 25
"""How many of the worst mistakes are named and shown."""


def run(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    """Look at the pictures, write the report and the sheet of mistakes, and finish the job.

    A worker that dies is started again from the beginning; where the evaluation has parts they go on.

    Raises:
        Interrupted: it should stop.
        PartFailed: one of its parts cannot be done.
        NotFound, Invalid: the model is gone, or does not fit.
    """
    request = EvaluationRequest.of(job)
    model = store.models.get(request.model)
    dataset = store.datasets.get(request.dataset)
    check_match(model, dataset)
    stored = open_dataset(store, artifacts, dataset.id, request.dataset_images, request.dataset_revision)
    pictures = SplitPictures(stored, request.split)
    known = model.classes if model.target == "class" else class_names(dataset)
    with ExitStack() as stack:
        if request.part_images:
            names = _gather(job, request, pictures, store, beat)
            predict = stack.enter_context(reading(job.id, names, len(model.classes), artifacts))
        else:
            predict = _predicting(load(model, artifacts, settings), stored)

        def shown(done: int) -> None:
            beat(_progress(pictures.total if request.part_images else done, pictures.total))

        splits = SplitPredictions(pictures, stored, predict, shown)
        reports, evaluated = _look(
            splits, model.target, known, np.array(class_places(model, dataset), np.int64)
        )
    worst = [(int(evaluated.numbers[row]), evaluated.said(row)) for row in evaluated.worst(MISTAKES).tolist()]
    document, metrics = _findings(pictures, model.target, reports)
    document |= {
        "target": model.target,
        "classes": list(known),
        "mistakes": [{"number": number, "name": stored.name(number), **said} for number, said in worst],
    }
    tiles = [Tile(stored.read(number)[0], caption(said)) for number, said in worst]
    found = [
        write_rows(artifacts, paths.evaluated(job.id, job.attempt), evaluated),
        artifacts.write(paths.report(job.id, job.attempt), json.dumps(document, allow_nan=False).encode()),
        artifacts.write(paths.mistakes(job.id, job.attempt), draw_sheet(tiles)),
    ]
    beat(_progress(pictures.total, pictures.total), force=True)
    log.info("%s", " ".join(f"{name}={value}" for name, value in metrics.items()))
    store.jobs.succeed(job.id, job.attempt, metrics=metrics, found=found)


def _gather(
    job: JobRecord, request: EvaluationRequest, pictures: SplitPictures, store: Store, beat: Heartbeat
) -> list[str]:
    """Wait for the parts of an evaluation, and return the files with what they have predicted, in order."""
    starts = (first for first, _ in pictures.all_batches())
    shown = ("images", "of", "fraction")
    division = Division(EVALUATION_PART, pictures.total, request.part_images, starts, shown)
    _, names = gather(job, division, store, beat)
    return names


def _predicting(predictor: Predictor, stored: StoredDataset) -> Predict:
    """Return what predicts pictures of a data set."""
    images = stored.everything()
    return lambda places: predictor.predict(images.read(places)[0])


def _progress(done: int, total: int) -> Json:
    """Return what the job shows."""
    return {"images": done, "of": total, "fraction": done / total}


def _look(
    splits: SplitPredictions, target: Target, names: Sequence[str], places: NDArray[np.int64]
) -> tuple[dict[str, Figures], Evaluated]:
    """Return the figures of each split, and what was predicted for each picture of the chosen one.

    Args:
        splits: the predictions.
        target: what the model tells.
        names: its classes, or the labels or values of the data set.
        places: where the model has each class, label or value of the data set.
    """
    reports: dict[str, Figures] = {}
    rows = [np.empty(0, row_type(target, len(names)))]
    for split in SPLIT_NAMES:
        assessment = _ASSESSMENTS[target](names)
        for predictions, truth, numbers in splits.batches(split):
            true, found = (
                (places[truth], predictions) if target == "class" else (truth, predictions[:, places])
            )
            assessment.add(found, true)
            if split == splits.pictures.split:
                rows.append(rows_of(target, numbers, true, found))
        reports[split] = assessment.report()
    return reports, Evaluated(target, names, np.concatenate(rows))


def _findings(pictures: SplitPictures, target: Target, reports: Mapping[str, Figures]) -> tuple[Json, Json]:
    """Return what the figures say, and those to compare the evaluation by."""
    written = {split: report.model_dump(mode="json") for split, report in reports.items()}
    report = written[pictures.split]
    errors: Json = {split: {"images": pictures.images(split), "error": None} for split in written}
    if target == "values":
        report["mean_squared_errors"] = {
            split: _mean_squared_error(found) for split, found in written.items()
        }
        measured = [entry["r2"] for entry in report["values"] if entry["r2"] is not None]
        metrics: Json = {"r2": float(np.mean(measured)) if measured else None}
        return {"report": report, "errors": errors, "diagnosis": None}, metrics
    for split, images in ((split, entry["images"]) for split, entry in errors.items()):
        if images:
            errors[split]["error"] = (images - round(written[split]["accuracy"] * images)) / images
    findings: Json = {
        "report": report,
        "errors": errors,
        "diagnosis": diagnose(errors).model_dump(mode="json"),
    }
    metrics = {"accuracy": report["accuracy"], "macro_f1": report["macro"]["f1"]}
    if target == "class":
        findings["confusion"] = report.pop("confusion")
        metrics["expected_calibration_error"] = report["expected_calibration_error"]
    return findings, metrics


def _mean_squared_error(report: Json) -> float | None:
    """Return the mean over pictures and values; None without pictures."""
    off = [entry["root_mean_squared_error"] ** 2 for entry in report["values"]]
    return float(np.mean(off)) if report["images"] else None


_ASSESSMENTS: Mapping[Target, Callable[[Sequence[str]], _Assessment]] = {
    "class": Assessment,
    "labels": LabelAssessment,
    "values": ValueAssessment,
}
