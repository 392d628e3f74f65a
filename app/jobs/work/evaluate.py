"""Evaluation as a job: how good a model is on the pictures of a data set, and what to try next."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.splits import SPLIT_NAMES
from app.datasets.records import class_names
from app.datasets.storage import StoredDataset, open_dataset
from app.files import paths
from app.files.artifacts import Artifacts
from app.jobs.evaluated import rows_of, write_rows
from app.jobs.heartbeat import Heartbeat
from app.jobs.requests import EvaluationRequest
from app.jobs.work.diagnosis import diagnose
from app.jobs.work.evaluate_targets import judge_labels, judge_values
from app.jobs.work.predictions import SplitPredictions
from app.models.matching import check_match, class_places
from app.models.predictors import load
from app.pictures.sheets import Tile, draw_sheet
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord, Json
from engine.training.metrics import Assessment

log = logging.getLogger(__name__)

MISTAKES = 25
"""How many of the worst mistakes are named and shown."""


def run(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    """Look at the pictures, write the report and the sheet of mistakes, and finish the job.

    A worker that dies is started again from the beginning.

    Raises:
        Interrupted: it should stop.
        NotFound, Invalid: the model is gone, or does not fit.
    """
    request = EvaluationRequest.of(job)
    model = store.models.get(request.model)
    dataset = store.datasets.get(request.dataset)
    check_match(model, dataset)
    stored = open_dataset(store, artifacts, dataset.id, request.dataset_images, request.dataset_revision)
    names = class_names(dataset)
    places = class_places(model, dataset)
    splits = SplitPredictions(load(model, artifacts, settings), stored, request.split, beat)
    tiles: list[Tile] = []
    match model.target:
        case "class":
            classes = _Evaluation(splits, stored, np.array(places, np.int64))
            document, metrics = classes.judge(model.classes)
            tiles = classes.tiles(model.classes)
            write_rows(artifacts, job.id, classes.rows)
        case "labels":
            document, metrics = judge_labels(splits, names, places)
        case "values":
            document, metrics = judge_values(splits, names, places)
    artifacts.write(paths.report(job.id), json.dumps(document, allow_nan=False).encode())
    artifacts.write(paths.mistakes(job.id), draw_sheet(tiles))
    splits.end()
    log.info("%s", " ".join(f"{name}={value}" for name, value in metrics.items()))
    store.jobs.succeed(job.id, job.attempt, metrics=metrics)


class _Evaluation:
    """What is found out about a model of classes.

    Attributes:
        rows: what was predicted for the pictures of the chosen split, see `app.jobs.evaluated`.
    """

    def __init__(self, splits: SplitPredictions, dataset: StoredDataset, to_model: NDArray[np.int64]) -> None:
        self._splits = splits
        self._dataset = dataset
        self._to_model = to_model
        self.rows: list[NDArray[np.void]] = []
        # (probability of the true class, position, label, predicted, probability of the predicted class)
        self._worst: list[tuple[float, int, int, int, float]] = []

    def judge(self, classes: list[str]) -> tuple[Json, Json]:
        """Return all that is found, and the figures to compare it by."""
        assessment = Assessment(classes)
        errors = self._errors(assessment)
        report = assessment.report().model_dump(mode="json")
        document = {
            "classes": list(classes),
            "confusion": report.pop("confusion"),
            "report": report,
            "errors": errors,
            "diagnosis": diagnose(errors).model_dump(mode="json"),
            "mistakes": self.mistakes(classes),
        }
        return document, {
            "accuracy": report["accuracy"],
            "macro_f1": report["macro"]["f1"],
            "expected_calibration_error": report["expected_calibration_error"],
        }

    def _errors(self, assessment: Assessment) -> Json:
        """Return images and error of each split; what is seen of the chosen one also goes to `assessment`."""
        found: Json = {}
        for name in SPLIT_NAMES:
            wrong = 0
            for probabilities, targets, places in self._splits.batches(name):
                labels = self._to_model[targets]
                predicted = probabilities.argmax(axis=1)
                wrong += int(np.count_nonzero(predicted != labels))
                if name == self._splits.split:
                    assessment.add(probabilities, labels)
                    self.rows.append(rows_of(places, labels, probabilities))
                    self._note(probabilities, labels, predicted, places)
            images = self._splits.images(name)
            found[name] = {"images": images, "error": wrong / images if images else None}
        return found

    def mistakes(self, classes: list[str]) -> list[Json]:
        """Name the worst mistakes, those with the least probability of what is true first."""
        return [
            {
                "number": position,
                "name": self._dataset.name(position),
                "label": classes[label],
                "predicted": classes[predicted],
                "probability": probability,
                "label_probability": true,
            }
            for true, position, label, predicted, probability in self._worst
        ]

    def tiles(self, classes: list[str]) -> list[Tile]:
        """Return the pictures of the worst mistakes, each with what it is and what it was taken for."""
        return [
            Tile(self._dataset.read(position)[0], f"{classes[label]} as {classes[predicted]}")
            for _, position, label, predicted, _ in self._worst
        ]

    def _note(
        self,
        probabilities: NDArray[np.float32],
        labels: NDArray[np.int64],
        predicted: NDArray[Any],
        places: NDArray[np.int64],
    ) -> None:
        for row in np.flatnonzero(predicted != labels):
            label, taken = int(labels[row]), int(predicted[row])
            own, other = float(probabilities[row, label]), float(probabilities[row, taken])
            self._worst.append((own, int(places[row]), label, taken, other))
        self._worst = sorted(self._worst)[:MISTAKES]
