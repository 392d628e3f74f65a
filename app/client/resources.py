"""The resources of the service, one class each, with the calls that exist on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.api.architectures import ArchitectureAnswer, ArchitectureComparison, ArchitectureEntry, Summary
from app.api.batch_predictions import BatchPrediction
from app.api.catalog import LayerPart, NamedFilter, Part, PresetEntry
from app.api.comparisons import EvaluationComparison
from app.api.evaluations import (
    ConfusionMatrix,
    Evaluation,
    FinishedEvaluation,
    Mistake,
    PicturePrediction,
)
from app.client.calls import (
    Attachment,
    Call,
    File,
    Script,
    Stream,
    awaited,
    chosen,
    content,
    entries,
    finished,
    nothing,
    pages,
    record,
    watched,
)
from app.client.resource import Jobs, M, Resource, call, stream

_CATALOG = "/v1/catalog"
_ARCHITECTURES = "/v1/architectures"
_EVALUATIONS = "/v1/evaluations"
_BATCHES = "/v1/batch-predictions"


class Catalog(Resource[M]):
    """What exists: layers, presets, and all that goes into training."""

    @call
    def layers(self) -> Call[tuple[LayerPart, ...]]:
        """Return the layers that an architecture can be made of."""
        return entries(LayerPart, f"{_CATALOG}/layers")

    @call
    def optimizers(self) -> Call[tuple[Part, ...]]:
        """Return the optimizers."""
        return entries(Part, f"{_CATALOG}/optimizers")

    @call
    def schedules(self) -> Call[tuple[Part, ...]]:
        """Return the ways in which a learning rate can move."""
        return entries(Part, f"{_CATALOG}/schedules")

    @call
    def losses(self) -> Call[tuple[Part, ...]]:
        """Return the losses."""
        return entries(Part, f"{_CATALOG}/losses")

    @call
    def augmentations(self) -> Call[tuple[Part, ...]]:
        """Return the ways in which training pictures can be varied."""
        return entries(Part, f"{_CATALOG}/augmentations")

    @call
    def filters(self) -> Call[tuple[NamedFilter, ...]]:
        """Return the kernels that can be applied to a picture by name."""
        return entries(NamedFilter, f"{_CATALOG}/filters")

    @call
    def initializers(self) -> Call[tuple[Part, ...]]:
        """Return the ways in which weights can start."""
        return entries(Part, f"{_CATALOG}/initializers")

    @call
    def explanations(self) -> Call[tuple[Part, ...]]:
        """Return the ways in which a prediction can be explained."""
        return entries(Part, f"{_CATALOG}/explanations")

    @call
    def presets(self) -> Call[tuple[PresetEntry, ...]]:
        """Return the presets, each with its `architecture`."""
        return entries(PresetEntry, f"{_CATALOG}/presets")


class Architectures(Resource[M]):
    """Stored architectures, and the summary of any."""

    @call
    def create(self, name: str, architecture: Mapping[str, Any]) -> Call[ArchitectureAnswer]:
        """Store an architecture (`input_shape` and `layers`) under a name."""
        return record(ArchitectureAnswer, "POST", _ARCHITECTURES, json={**architecture, "name": name})

    @stream
    def list(self) -> Stream[ArchitectureEntry]:
        """List the stored architectures, newest first, without their layers."""
        return pages(ArchitectureEntry, _ARCHITECTURES)

    @call
    def get(self, architecture_id: str) -> Call[ArchitectureAnswer]:
        """Return a stored architecture."""
        return record(ArchitectureAnswer, "GET", f"{_ARCHITECTURES}/{architecture_id}")

    @call
    def delete(self, architecture_id: str) -> Call[None]:
        """Delete a stored architecture."""
        return nothing("DELETE", f"{_ARCHITECTURES}/{architecture_id}")

    @call
    def summary(self, architecture: Mapping[str, Any], *, batch_size: int | None = None) -> Call[Summary]:
        """Compute the shapes and costs of an architecture without storing it.

        Args:
            architecture: `{"preset": name}`, or `input_shape` and `layers`.
            batch_size: how many pictures at a time the memory of training is for.
        """
        params = {"batch_size": batch_size}
        return record(Summary, "POST", f"{_ARCHITECTURES}/summary", params=params, json=dict(architecture))

    @call
    def compare(
        self, first: str | Mapping[str, Any], second: str | Mapping[str, Any]
    ) -> Call[ArchitectureComparison]:
        """Put two architectures side by side: each an id, `{"preset": name}`, or one written out."""
        chosen = [each if isinstance(each, str) else dict(each) for each in (first, second)]
        return record(
            ArchitectureComparison, "POST", f"{_ARCHITECTURES}/compare", json={"architectures": chosen}
        )

    @call
    def diagram(
        self, architecture: str | Mapping[str, Any], *, folded: bool = True, accept: str = "image/svg+xml"
    ) -> Call[bytes]:
        """Return a drawing of an architecture, stored under an id or written out, as SVG or `image/png`.

        Args:
            architecture: the id, `{"preset": name}`, or `input_shape` and `layers`.
            folded: whether layers that keep the shape stand in the box of the one before them.
            accept: the form of the drawing.
        """
        options: dict[str, Any] = {"params": {"folded": folded}}
        if isinstance(architecture, str):
            return content(f"{_ARCHITECTURES}/{architecture}/diagram", accept, **options)
        drawn = dict(architecture)
        return content(f"{_ARCHITECTURES}/diagram", accept, method="POST", json=drawn, **options)


class Evaluations(Jobs[M, Evaluation]):
    """How good models are on data sets."""

    _path = _EVALUATIONS
    _body = Evaluation

    @call
    def create(
        self, model: str, dataset: str, *, split: str = "test", webhook: str | None = None
    ) -> Call[Evaluation]:
        """Ask for an evaluation, whose end is announced at an address if one is given; see `wait`."""
        body = chosen({"model": model, "dataset": dataset, "split": split, "webhook": webhook})
        return record(Evaluation, "POST", _EVALUATIONS, json=body)

    @stream
    def list(self, *, status: str | None = None) -> Stream[Evaluation]:
        """List the evaluations, newest first; on request only those of one status."""
        return pages(Evaluation, _EVALUATIONS, status=status)

    @call
    def get(self, evaluation_id: str) -> Call[FinishedEvaluation]:
        """Return an evaluation; once it has succeeded, with its report."""
        return record(FinishedEvaluation, "GET", f"{_EVALUATIONS}/{evaluation_id}")

    @stream
    def watch(self, evaluation_id: str, *, interval: float = 0.5) -> Stream[FinishedEvaluation]:
        """Yield an evaluation every `interval` seconds, the last time when it has ended."""
        return watched(
            record(FinishedEvaluation, "GET", f"{_EVALUATIONS}/{evaluation_id}"), finished, interval
        )

    @call
    def wait(self, evaluation_id: str, *, interval: float = 0.25) -> Script[FinishedEvaluation]:
        """Wait until an evaluation has ended, asking every `interval` seconds, and return it."""
        return awaited(
            record(FinishedEvaluation, "GET", f"{_EVALUATIONS}/{evaluation_id}"), finished, interval
        )

    @call
    def confusion_matrix(self, evaluation_id: str, *, accept: str = "image/svg+xml") -> Call[bytes]:
        """Return how often what was taken for what, drawn as SVG or `image/png`."""
        return content(f"{_EVALUATIONS}/{evaluation_id}/confusion-matrix", accept)

    @call
    def confusion_counts(self, evaluation_id: str) -> Call[ConfusionMatrix]:
        """Return the same in numbers."""
        path = f"{_EVALUATIONS}/{evaluation_id}/confusion-matrix"
        return record(ConfusionMatrix, "GET", path, accept="application/json")

    @call
    def mistakes(self, evaluation_id: str) -> Call[bytes]:
        """Return the worst mistakes as a sheet of pictures, PNG."""
        return content(f"{_EVALUATIONS}/{evaluation_id}/mistakes", "image/png")

    @call
    def worst(self, evaluation_id: str) -> Call[tuple[Mistake, ...]]:
        """Return what is known of the worst mistakes: file names, labels, and the calls that correct them."""
        return entries(Mistake, f"{_EVALUATIONS}/{evaluation_id}/mistakes")

    @stream
    def predictions(
        self,
        evaluation_id: str,
        *,
        label: str | None = None,
        predicted: str | None = None,
        missed: str | None = None,
        invented: str | None = None,
        wrong: bool | None = None,
        order: str | None = None,
        value: str | None = None,
    ) -> Stream[PicturePrediction]:
        """List what was predicted for each picture of the split, in the order of their numbers.

        Args:
            evaluation_id: the evaluation.
            label: only pictures of this class, or that have this label.
            predicted: only those that were taken for this class, or for which this label was predicted.
            missed: only those that have this label, which was not predicted.
            invented: only those for which this label was predicted, and that do not have it.
            wrong: only those that the model is wrong, or not wrong, about.
            order: `worst` for what the model is furthest off first.
            value: with `order`, by how far this value is off.
        """
        narrowed = {
            "label": label,
            "predicted": predicted,
            "missed": missed,
            "invented": invented,
            "wrong": wrong,
            "order": order,
            "value": value,
        }
        return pages(PicturePrediction, f"{_EVALUATIONS}/{evaluation_id}/predictions", **narrowed)

    @call
    def compare(self, first: str, second: str) -> Call[EvaluationComparison]:
        """Compare two models by evaluations, by their ids, on the same split of the same data set."""
        body = {"evaluations": [first, second]}
        return record(EvaluationComparison, "POST", f"{_EVALUATIONS}/compare", json=body)


class BatchPredictions(Jobs[M, BatchPrediction]):
    """What models see in whole archives of pictures."""

    _path = _BATCHES
    _body = BatchPrediction

    @call
    def create(
        self, model: str, archive: File, *, top_k: int | None = None, webhook: str | None = None
    ) -> Call[BatchPrediction]:
        """Upload a zip archive of pictures to predict; see `wait` and `result`.

        Args:
            model: the id of a model, or its name.
            archive: the pictures.
            top_k: how many classes to name for each.
            webhook: an address at which its end is announced.
        """
        fields = chosen({"model": model, "top_k": top_k, "webhook": webhook})
        return record(BatchPrediction, "POST", _BATCHES, data=fields, files=[Attachment.of("file", archive)])

    @stream
    def list(self, *, status: str | None = None) -> Stream[BatchPrediction]:
        """List the batch predictions, newest first; on request only those of one status."""
        return pages(BatchPrediction, _BATCHES, status=status)

    @call
    def get(self, batch_id: str) -> Call[BatchPrediction]:
        """Return a batch prediction: how far it is."""
        return record(BatchPrediction, "GET", f"{_BATCHES}/{batch_id}")

    @stream
    def watch(self, batch_id: str, *, interval: float = 0.5) -> Stream[BatchPrediction]:
        """Yield a batch prediction every `interval` seconds, the last time when it has ended."""
        return watched(record(BatchPrediction, "GET", f"{_BATCHES}/{batch_id}"), finished, interval)

    @call
    def wait(self, batch_id: str, *, interval: float = 0.5) -> Script[BatchPrediction]:
        """Wait until a batch prediction has ended, asking every `interval` seconds, and return it."""
        return awaited(record(BatchPrediction, "GET", f"{_BATCHES}/{batch_id}"), finished, interval)

    @call
    def result(self, batch_id: str) -> Call[bytes]:
        """Return the table of what the model sees in each picture, CSV in UTF-8."""
        return content(f"{_BATCHES}/{batch_id}/result", "text/csv")
