"""The answer of a prediction, which is written without the types of `app.api`: what they say is true of it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.api.models import Predictions
from app.errors import Invalid
from app.models.prediction import Picture
from app.web.answers.models import predictions

CLASSES = ["a", "b", "c"]
ROWS = [
    np.array([0.25, 0.5, 0.25], np.float32),
    np.array([0.75, 0.5, 0.0], np.float32),
    np.array([np.nan, 1.0, np.inf], np.float32),
]
PICTURES = [Picture(b"", filename="one.png", parameter="files"), *[Picture(b"", pointer="/images/1")] * 3]
FAULT = Invalid.at(("images", 3), "this is no picture", "send a picture")


def answer(target: str, *, report: bool = True, **options: Any) -> Predictions:
    record: Any = SimpleNamespace(id="model_1", target=target, classes=CLASSES)
    given = {"top_k": 2, "threshold": None} | options
    body = predictions(record, PICTURES, [*ROWS, FAULT], **given, report=report)
    return Predictions.model_validate_json(body)


def test_classes() -> None:
    data = answer("class").data
    first = data[0]
    assert (first.label, first.class_index, first.probability, first.filename) == ("b", 1, 0.5, "one.png")
    # of equals the first one
    assert [found.label for found in first.top] == ["b", "a"]
    assert first.labels is first.values is first.error is None
    assert data[2].top[0].probability is None


@pytest.mark.parametrize(("threshold", "labels"), [(None, ["a", "b"]), (0.75, ["a"]), (0.0, ["a", "b", "c"])])
def test_labels(threshold: float | None, labels: list[str]) -> None:
    second = answer("labels", threshold=threshold).data[1]
    assert second.label is second.class_index is second.probability is second.values is None
    assert [found.label for found in second.top] == ["a", "b"]
    assert second.labels is not None
    assert [found.label for found in second.labels] == labels


def test_values() -> None:
    data = answer("values").data
    assert data[1].top == []
    assert data[1].labels is None
    assert data[1].values is not None
    assert [(one.name, one.value) for one in data[1].values] == [("a", 0.75), ("b", 0.5), ("c", 0.0)]
    assert data[2].values is not None
    assert [one.value for one in data[2].values] == [None, 1.0, None]


@pytest.mark.parametrize("target", ["class", "labels", "values"])
def test_a_picture_that_failed(target: str) -> None:
    last = answer(target).data[-1]
    assert last.label is last.labels is last.values is last.class_index is last.probability is None
    assert last.top == []
    assert last.error is not None
    assert (last.error.pointer, last.error.parameter) == ("/images/3", None)
    assert (last.error.detail, last.error.hint) == ("this is no picture", "send a picture")
    with pytest.raises(Invalid) as raised:
        answer(target, report=False)
    assert raised.value is FAULT
