"""What is learned about a model once it is trained: how sure its accuracy is, and what would make it better."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from app.api.evaluations import Mistake
from app.api.training_reports import CurvePoint, NearDuplicate, TrainingReport
from app.datasets.near_duplicates import near_duplicates
from app.datasets.readers.splits import SPLIT_NAMES
from app.datasets.storage import StoredDataset
from app.jobs.comparison import interval
from app.jobs.work.features import Course
from app.jobs.work.verdict import Judged, class_outlooks, verdict, words
from engine.arrays import Array, Indices
from engine.errors import EngineError
from engine.inputs.feed import ImageSet
from engine.training.loop import evaluated_at_once, first_state, kept_weights, preparation, train

log = logging.getLogger(__name__)

FOLDS = 4
_SHARES = (0.25, 0.5)
_MOST_PASSES = 200_000
"""Pictures times epochs of a head up to which it is trained a few times more: seconds."""
_SURE = 0.8
"""Probability of another class from which a label is suspicious."""
MOST = 50


@dataclass(frozen=True)
class _Some:
    """Some of the pictures of a split."""

    images: ImageSet
    places: Indices

    def __len__(self) -> int:
        return len(self.places)

    def read(self, indices: Indices) -> tuple[Array, Array]:
        """Return pictures and their classes."""
        return self.images.read(self.places[indices])


def report(
    course: Course, stored: StoredDataset, classes: tuple[str, ...], beat: Callable[[], None]
) -> TrainingReport:
    """Return the report of a run whose pictures have classes.

    Args:
        course: at its end.
        stored: the pictures.
        classes: their names.
        beat: called between any two batches; what it raises is raised on.
    """
    weights, _ = kept_weights(course.config, course.state)
    judged = {name: _judge(course, weights, getattr(course.data, name), beat) for name in ("dev", "test")}
    split = next((name for name in ("test", "dev") if len(judged[name])), None)
    curve: list[CurvePoint] = []
    held_out = [judged["dev"], judged["test"]]
    out_of_fold = _is_cheap(course)
    if out_of_fold:
        try:
            curve = _learning_curve(course, Judged.joined(held_out), beat)
            judged["train"] = _out_of_fold(course, beat)
        except EngineError as error:  # a part of the pictures may be too few; the model is good all the same
            log.warning("no learning curve: %s", error)
            curve, out_of_fold = [], False
    everything = Judged.joined(list(judged.values()))
    counts = np.bincount(course.data.train.read(np.arange(len(course.data.train)))[1], minlength=len(classes))
    positions = {name: stored.positions(name) for name in SPLIT_NAMES}
    pairs = near_duplicates(stored, np.concatenate([positions["dev"], positions["test"]]), positions["train"])
    deciding = judged[split] if split else Judged.none(len(classes))
    found = TrainingReport(
        verdict="unsure",
        words=[],
        split=split,
        images=len(deciding),
        accuracy=deciding.accuracy,
        interval=interval(deciding.right, len(deciding)),
        held_out_images=len(everything),
        held_out_accuracy=everything.accuracy,
        held_out_interval=interval(everything.right, len(everything)),
        classes=class_outlooks(everything, classes, counts.tolist()),
        out_of_fold=out_of_fold,
        learning_curve=curve,
        near_duplicates=[
            NearDuplicate(
                number=pair.number,
                split=SPLIT_NAMES[stored.splits[pair.number]],
                like=pair.like,
                name=stored.name(pair.number),
                like_name=stored.name(pair.like),
                similarity=round(pair.similarity, 4),
            )
            for pair in (pairs or [])[:MOST]
        ],
        near_duplicate_count=None if pairs is None else len(pairs),
        suspicious=_suspicious(judged, positions, classes, stored),
    )
    found = found.model_copy(update={"verdict": verdict(found)})
    return found.model_copy(update={"words": words(found)})


def _is_cheap(course: Course) -> bool:
    pictures = len(course.data.train)
    passes = pictures * course.config.epochs
    return course.quick and not course.data.variants and pictures >= FOLDS and passes <= _MOST_PASSES


def _judge(course: Course, weights: dict[str, Array], images: ImageSet, beat: Callable[[], None]) -> Judged:
    """Return what the network finds in pictures."""
    config = course.config
    trained = course.network.without_final(config.loss.link)
    execution = course.execute(trained, config.loss, preparation(config, course.state.preprocessing))
    at_once = evaluated_at_once(course.data.image_shape)
    probabilities, labels = [], []
    for first in range(0, len(images), at_once):
        batch, answers = images.read(np.arange(first, min(first + at_once, len(images))))
        probabilities.append(config.loss.predict(execution.scores(weights, batch)))
        labels.append(answers)
        beat()
    if not labels:
        return Judged.none(len(course.data.classes))
    return Judged(np.concatenate(probabilities), np.concatenate(labels))


def _learning_curve(course: Course, whole: Judged, beat: Callable[[], None]) -> list[CurvePoint]:
    """Return how good heads are that learn from a part of the pictures; parts of every class alike."""
    if not len(whole):
        return []
    points = []
    ranks = _ranks(course)
    for share in _SHARES:
        part = np.flatnonzero(ranks < share)
        weights = _trained(course, part, beat)
        seen = [_judge(course, weights, images, beat) for images in (course.data.dev, course.data.test)]
        points.append((share, len(part), Judged.joined(seen).accuracy))
    points.append((1.0, len(course.data.train), whole.accuracy))
    return [
        CurvePoint(share=share, images=images, accuracy=accuracy or 0.0) for share, images, accuracy in points
    ]


def _out_of_fold(course: Course, beat: Callable[[], None]) -> Judged:
    """Return what is found in each train picture by a head that has not learned from it."""
    images = course.data.train
    folds = (_ranks(course) * FOLDS).astype(np.int64)
    probabilities = np.empty((len(images), len(course.data.classes)), np.float32)
    labels = np.empty(len(images), np.int64)
    for fold in range(FOLDS):
        inside = np.flatnonzero(folds == fold)
        if not len(inside):
            continue
        weights = _trained(course, np.flatnonzero(folds != fold), beat)
        found = _judge(course, weights, _Some(images, inside), beat)
        probabilities[inside], labels[inside] = found.probabilities, found.labels
    return Judged(probabilities, labels)


def _ranks(course: Course) -> Array:
    """Return for each train picture where it comes among those of its class, in a drawn order: from 0 to below 1."""
    _, labels = course.data.train.read(np.arange(len(course.data.train)))
    order = np.random.Generator(np.random.PCG64(course.config.seed)).permutation(len(labels))
    ranks = np.empty(len(labels))
    for label in np.unique(labels):
        own = order[labels[order] == label]
        ranks[own] = np.arange(len(own)) / len(own)
    return ranks


def _trained(course: Course, places: Indices, beat: Callable[[], None]) -> dict[str, Array]:
    """Return the weights of a head that has learned from some of the pictures, as the whole run did from all."""
    data = replace(course.data, train=_Some(course.data.train, places))
    state = first_state(course.network, course.config, course.state.preprocessing)
    learning = [node for node in course.network.nodes if node.trainable_parameters]
    if len(learning) == 1:  # as the first weights of a new head
        for weight in state.weights.values():
            weight[...] = 0
    for _ in train(course.network, course.config, data, state, course.execute):
        beat()
    return kept_weights(course.config, state)[0]


def _suspicious(
    judged: dict[str, Judged], positions: dict[str, Indices], classes: tuple[str, ...], stored: StoredDataset
) -> list[Mistake]:
    found = []
    for split, seen in judged.items():
        predicted = seen.predicted
        for row in np.flatnonzero(predicted != seen.labels):
            probability = float(seen.probabilities[row, predicted[row]])
            if probability >= _SURE:
                label = int(seen.labels[row])
                found.append(
                    Mistake(
                        number=int(positions[split][row]),
                        name=stored.name(int(positions[split][row])),
                        label=classes[label],
                        predicted=classes[predicted[row]],
                        probability=probability,
                        label_probability=float(seen.probabilities[row, label]),
                    )
                )
    return sorted(found, key=lambda mistake: -(mistake.probability or 0.0))[:MOST]
