"""Answers about evaluations, from what is stored and what their workers have written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.api.comparisons import ComparedEvaluation, ComparedPicture, EvaluationComparison
from app.api.evaluations import (
    CorrectionCall,
    Evaluation,
    EvaluationMetrics,
    EvaluationProgress,
    EvaluationReport,
    FinishedEvaluation,
    Mistake,
    PicturePrediction,
)
from app.datasets.correct import FIELDS
from app.jobs.comparison import Comparison, interval, words
from app.jobs.evaluated import Evaluated
from app.store.records import DeliveryRecord, JobRecord, Json
from app.web.answers.dataset_pictures import picture_path
from app.web.answers.jobs import fields, shared
from engine.recipe.targets import Target

MOST_COMPARED = 100
"""Pictures that one model alone is right about, which a comparison names."""

Names = Callable[[int], str | None]
"""Gives the name of the file that a picture came in, by its number."""


def evaluation(record: JobRecord, delivery: DeliveryRecord | None = None) -> Evaluation:
    """Show a record, and the message of its end."""
    return Evaluation(**_evaluation(record, delivery))


def finished_evaluation(
    record: JobRecord, document: Json | None, delivery: DeliveryRecord | None
) -> FinishedEvaluation:
    """Show a record, what its worker has written, which is None until it has succeeded, and the message of its end."""
    report = None
    if document is not None:
        rest = {name: document[name] for name in ("errors", "diagnosis")}
        accuracy, images = document["report"].get("accuracy"), document["report"]["images"]
        report = EvaluationReport(
            **document["report"],
            **rest,
            interval=None if accuracy is None else interval(round(accuracy * images), images),
            mistakes=evaluation_mistakes(record, document),
        )
    return FinishedEvaluation(**_evaluation(record, delivery), report=report)


def evaluation_mistakes(record: JobRecord, document: Json) -> list[Mistake]:
    """Show the worst mistakes among what the worker of an evaluation has written."""
    dataset, target = record.request["dataset"], document.get("target", "class")
    return [
        Mistake(**entry, **_links(dataset, target, entry, correct=True)) for entry in document["mistakes"]
    ]


def mistake(dataset: str, found: Mistake) -> Mistake:
    """Show a picture of a data set whose class may be wrong, with the calls that correct it."""
    links = _links(dataset, "class", found.model_dump(), correct=True)
    return found.model_copy(update=links)


def picture_prediction(
    record: JobRecord, evaluated: Evaluated, row: int, name_of: Names
) -> PicturePrediction:
    """Show what an evaluation found of a picture.

    Args:
        record: the evaluation.
        evaluated: what it found.
        row: of which picture.
        name_of: gives the names of files.
    """
    number = int(evaluated.numbers[row])
    said = {"number": number, "name": name_of(number), **evaluated.said(row)}
    wrong = None if evaluated.wrong is None else bool(evaluated.wrong[row])
    links = _links(record.request["dataset"], evaluated.target, said, correct=wrong is not False)
    return PicturePrediction(**said, wrong=wrong, **links)


def evaluation_comparison(
    records: tuple[JobRecord, JobRecord],
    evaluated: tuple[Evaluated, Evaluated],
    comparison: Comparison,
    name_of: Names,
) -> EvaluationComparison:
    """Show what two evaluations found of the same pictures."""
    images = len(comparison)
    first, _ = records

    def picture(place: int) -> ComparedPicture:
        both = [
            picture_prediction(record, found, int(rows[place]), name_of)
            for record, found, rows in zip(records, evaluated, comparison.rows, strict=True)
        ]
        return ComparedPicture(
            number=both[0].number,
            name=both[0].name,
            image_url=picture_path(first.request["dataset"], both[0].number),
            predictions=(both[0], both[1]),
        )

    def compared(which: int) -> ComparedEvaluation:
        right = int(comparison.right[which].sum())
        return ComparedEvaluation(
            id=records[which].id,
            model_id=records[which].request["model"],
            right=right,
            accuracy=right / images if images else None,
            interval=interval(right, images),
            only_right=len(comparison.only(which)),
        )

    only = [comparison.only(which)[:MOST_COMPARED].tolist() for which in (0, 1)]
    both_right = comparison.right[0] & comparison.right[1]
    return EvaluationComparison(
        dataset=first.request["dataset"],
        split=first.request["split"],
        images=images,
        left_out=comparison.left_out,
        evaluations=(compared(0), compared(1)),
        both_right=int(both_right.sum()),
        both_wrong=int((~comparison.right[0] & ~comparison.right[1]).sum()),
        p_value=comparison.p_value,
        words=words(comparison, [record.request["model"] for record in records]),
        only_first=[picture(place) for place in only[0]],
        only_second=[picture(place) for place in only[1]],
    )


def _links(dataset: str, target: Target, said: Json, *, correct: bool) -> dict[str, Any]:
    """Return where a picture is, and the calls that make of it what was predicted, and that leave it out."""
    url = picture_path(dataset, said["number"])
    if not correct:
        return {"image_url": url}
    if target == "class":
        shown: Any = said["predicted"]
        summary = f"label it {shown!r}"
    elif target == "labels":
        shown = [label["name"] for label in said["labels"] if label["predicted"]]
        summary = f"label it {', '.join(map(repr, shown)) or 'with nothing'}"
    else:
        shown = {value["name"]: value["predicted"] for value in said["values"]}
        summary = "give it the values that were predicted"
    calls = (
        CorrectionCall(summary=summary, method="PATCH", url=url, body={FIELDS[target]: shown}),
        CorrectionCall(summary="leave it out", method="PATCH", url=url, body={"excluded": True}),
    )
    return {"image_url": url, "corrections": calls}


def _evaluation(record: JobRecord, delivery: DeliveryRecord | None) -> dict[str, Any]:
    return {
        **shared(record, delivery),
        "model_id": record.request["model"],
        "dataset": record.request["dataset"],
        "dataset_images": record.request.get("dataset_images"),
        "dataset_revision": record.request.get("dataset_revision", 0),
        "split": record.request["split"],
        "warnings": record.request.get("warnings", []),
        "progress": EvaluationProgress(**fields(EvaluationProgress, record.progress)),
        "metrics": EvaluationMetrics(**record.metrics) if record.metrics else None,
    }
