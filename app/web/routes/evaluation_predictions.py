"""What evaluations found of single pictures, and two of them compared."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Body, Query

from app.api.common import PageOf
from app.api.comparisons import EvaluationComparison
from app.api.evaluations import PicturePrediction
from app.api.requests.evaluations import EvaluationComparisonRequest
from app.datasets.storage import open_dataset
from app.errors import Conflict, Invalid, NotFound
from app.jobs.comparison import compare
from app.jobs.evaluated import Evaluated, read_rows
from app.jobs.kinds import EVALUATION
from app.scopes import READ
from app.services import Services, ServicesDep
from app.store.records import JobRecord
from app.text import one_of
from app.web.answers.evaluations import Names, evaluation_comparison, picture_prediction
from app.web.bodies.needs import needs
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from app.web.routes.evaluations import EvaluationDep
from app.web.routes.paging import AfterNumber, Limit
from engine.recipe.targets import NOUN, NOUNS, Target

router = APIRouter(prefix="/v1/evaluations", route_class=StrictRoute, tags=["evaluations"])

_TAKES: dict[str, tuple[Target, ...]] = {
    "label": ("class", "labels"),
    "predicted": ("class", "labels"),
    "missed": ("labels",),
    "invented": ("labels",),
    "wrong": ("class", "labels"),
    "value": ("values",),
}
"""Which models each parameter is for."""


def _name(description: str) -> object:
    return Query(max_length=255, description=description)


@router.get(
    "/{evaluation_id}/predictions",
    summary="List each picture's prediction",
    responses=problems(404, 409, 422),
)
def list_predictions(
    record: EvaluationDep,
    services: ServicesDep,
    limit: Limit = 50,
    after: AfterNumber = None,
    label: Annotated[str | None, _name("Only pictures of this class, or that have this label.")] = None,
    predicted: Annotated[
        str | None,
        _name("Only pictures that were taken for this class, or for which this label was predicted."),
    ] = None,
    missed: Annotated[
        str | None, _name("Only pictures that have this label, which was not predicted.")
    ] = None,
    invented: Annotated[
        str | None, _name("Only pictures for which this label was predicted, and that do not have it.")
    ] = None,
    wrong: Annotated[
        bool | None, Query(description="Only pictures that the model is wrong, or not wrong, about.")
    ] = None,
    order: Annotated[
        Literal["number", "worst"],
        Query(
            description="By their numbers, or what the model is furthest off first: where it found the truth least "
            "probable, or is wrong by most in values."
        ),
    ] = "number",
    value: Annotated[
        str | None, _name("Of values, with `order=worst`: by how far this one is off, and not all together.")
    ] = None,
) -> PageOf[PicturePrediction]:
    """List what was predicted for each picture of the split: classes with their probability, labels, or values.

    `label=cat&predicted=dog` are the pictures behind a cell of the confusion matrix. What the model is wrong about has
    the calls that correct it, should not the model be wrong but the label.
    """
    evaluated = read_rows(record, services.artifacts)
    given = {
        "label": label,
        "predicted": predicted,
        "missed": missed,
        "invented": invented,
        "wrong": wrong,
        "value": value,
    }
    for name, asked in given.items():
        if asked is not None and evaluated.target not in _TAKES[name]:
            detail = f"the model predicts {NOUNS[evaluated.target]}, and these are not chosen by `{name}`"
            takes = [taken for taken, targets in _TAKES.items() if evaluated.target in targets]
            hint = f"use {', '.join(takes)}, or leave it out"
            raise Invalid.at(name, detail, hint, parameter=True)
    wanted = np.ones(len(evaluated), np.bool_)
    if label is not None:
        wanted &= evaluated.having(_place(evaluated, label, "label"))
    if predicted is not None:
        wanted &= evaluated.predicted(_place(evaluated, predicted, "predicted"))
    if missed is not None:
        place = _place(evaluated, missed, "missed")
        wanted &= evaluated.having(place) & ~evaluated.predicted(place)
    if invented is not None:
        place = _place(evaluated, invented, "invented")
        wanted &= evaluated.predicted(place) & ~evaluated.having(place)
    if wrong is not None and evaluated.wrong is not None:
        wanted &= evaluated.wrong == wrong
    if value is not None and order != "worst":
        raise Invalid.at("value", "only `order=worst` goes by a value", "add `order=worst`", parameter=True)
    rows = np.arange(len(evaluated))
    if order == "worst":
        rows = evaluated.order(None if value is None else _place(evaluated, value, "value"))
    rows = rows[_first(evaluated.numbers[rows], after, order) :]
    rows = rows[wanted[rows]]
    name_of = file_names(record, services)
    data = [picture_prediction(record, evaluated, row, name_of) for row in rows[:limit].tolist()]
    return PageOf(data=data, next=str(data[-1].number) if len(rows) > limit else None)


def _first(numbers: np.ndarray, after: int | None, order: str) -> int:
    """Return where among pictures in some order those begin that come after one of them."""
    if after is None:
        return 0
    if order == "number":
        return int(np.searchsorted(numbers, after, side="right"))
    (found,) = np.nonzero(numbers == after)
    if not len(found):
        detail = f"the evaluation has no picture {after}"
        raise Invalid.at("after", detail, "pass the `next` of the page before", parameter=True)
    return int(found[0]) + 1


def _place(evaluated: Evaluated, name: str, parameter: str) -> int:
    names = evaluated.names
    if name not in names:
        hint = one_of(name, names, NOUNS[evaluated.target])
        detail = f"the model has no {NOUN[evaluated.target]} {name[:100]!r}"
        raise Invalid.at(parameter, detail, hint, parameter=True, code="unknown-class")
    return names.index(name)


def file_names(record: JobRecord, services: Services) -> Names:
    """Return what gives the names of the files of an evaluation's pictures; none of a data set that is gone."""
    try:
        return open_dataset(services.store, services.artifacts, record.request["dataset"]).name
    except (NotFound, Conflict):
        return lambda number: None


@router.post("/compare", summary="Compare two evaluations", responses=problems(400, 409, 413, 415, 422))
@needs(READ)
def compare_evaluations(
    request: Annotated[EvaluationComparisonRequest, Body()], services: ServicesDep
) -> EvaluationComparison:
    """Compare two models by evaluations on the same split of the same data set.

    Both accuracies with their intervals, which pictures only one is right about, and the p-value of McNemar's exact
    test: how probable it is that equally good models differ as much. Pictures that were corrected
    between the two, or that one has not seen, are left out. Of models of classes, or of labels: there a picture is
    right where all of its labels are.
    """
    records = [_evaluation(services, given, place) for place, given in enumerate(request.evaluations)]
    first, second = records
    for name, noun in (("dataset", "data set"), ("split", "split")):
        if first.request[name] != second.request[name]:
            detail = (
                f"they judge by different pictures: evaluation {first.id!r} by the {noun} {first.request[name]!r}, "
                f"{second.id!r} by {second.request[name]!r}"
            )
            hint = "evaluate both models on the same split of the same data set"
            raise Invalid.at(["evaluations"], detail, hint, code="other-pictures")
    one, other = (read_rows(record, services.artifacts) for record in records)
    try:
        comparison = compare(one, other)
    except ValueError:
        detail = "models of values are neither right nor wrong about a picture"
        hint = "compare the errors in the `report` of each evaluation"
        raise Invalid.at(["evaluations"], detail, hint, code="other-target") from None
    return evaluation_comparison((first, second), (one, other), comparison, file_names(first, services))


def _evaluation(services: Services, identifier: str, place: int) -> JobRecord:
    try:
        record = services.store.jobs.get(identifier)
        if record.kind != EVALUATION.name:
            raise NotFound.of(EVALUATION.noun, identifier)
    except NotFound as error:
        hint = "take the `id` of an evaluation that `/v1/evaluations` lists"
        raise Invalid.at(["evaluations", place], error.detail, hint) from None
    return record
