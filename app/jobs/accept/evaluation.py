"""From what a caller asks to evaluate to a complete job."""

from __future__ import annotations

from app.api.requests.evaluations import EvaluationCreate
from app.errors import Invalid
from app.jobs.accept.growth import growth_warnings
from app.jobs.accept.references import find_dataset, find_model
from app.jobs.kinds import EVALUATION
from app.jobs.requests import EvaluationRequest
from app.models.matching import check_match, differences
from app.store import Store
from app.store.records import JobRecord


def new_evaluation(request: EvaluationCreate, store: Store) -> JobRecord:
    """Make the job for a request.

    Raises:
        Invalid: there is no such model or data set, or they do not match.
        Conflict: the data set is not ready.
    """
    model = find_model(request.model, store, "model")
    dataset = find_dataset(request.dataset, store)
    try:
        check_match(model, dataset)
    except Invalid as error:
        hint = "take a data set like the one that it was trained on"
        raise Invalid.at("dataset", error.detail, hint) from None
    accepted = EvaluationRequest(
        model=model.id,
        dataset=dataset.id,
        dataset_images=dataset.images,
        dataset_revision=dataset.revision,
        split=request.split,
        warnings=(
            *differences(model, dataset),
            *growth_warnings(dataset, dataset.images, dataset.revision, store),
        ),
    )
    return EVALUATION.job(accepted, dataset_id=dataset.id, model_id=model.id)
