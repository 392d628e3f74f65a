"""The resources of the service, one class each, with the calls that exist on them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.client.records import (
    Alias,
    Architecture,
    CatalogEntry,
    Evaluation,
    Metrics,
    Model,
    Prediction,
    Record,
    Summary,
    TrainingJob,
)
from app.client.transport import Transport

Picture = Path | tuple[str, bytes]
"""A picture to send: a file, or a name and the bytes of one."""


class _Entries(Record):
    data: tuple[CatalogEntry, ...]


class _EpochMetrics(Record):
    data: tuple[Metrics, ...]


class _Predictions(Record):
    data: tuple[Prediction, ...]


class Catalog:
    """What exists: layers, presets, and all that goes into training."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def layers(self) -> tuple[CatalogEntry, ...]:
        """Return the layers that an architecture can be made of."""
        return self._entries("layers")

    def optimizers(self) -> tuple[CatalogEntry, ...]:
        """Return the optimizers."""
        return self._entries("optimizers")

    def schedules(self) -> tuple[CatalogEntry, ...]:
        """Return the ways in which a learning rate can move."""
        return self._entries("schedules")

    def losses(self) -> tuple[CatalogEntry, ...]:
        """Return the losses."""
        return self._entries("losses")

    def augmentations(self) -> tuple[CatalogEntry, ...]:
        """Return the ways in which training pictures can be varied."""
        return self._entries("augmentations")

    def initializers(self) -> tuple[CatalogEntry, ...]:
        """Return the ways in which weights can start."""
        return self._entries("initializers")

    def presets(self) -> tuple[CatalogEntry, ...]:
        """Return the architectures that are known by name, each with its `architecture`."""
        return self._entries("presets")

    def _entries(self, kind: str) -> tuple[CatalogEntry, ...]:
        return self._transport.record(_Entries, "GET", f"/v1/catalog/{kind}").data


class Architectures:
    """Stored architectures, and the summary of any."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str, architecture: Mapping[str, Any]) -> Architecture:
        """Store an architecture (`input_shape` and `layers`) under a name."""
        body = {**architecture, "name": name}
        return self._transport.record(Architecture, "POST", "/v1/architectures", json=body)

    def list(self) -> Iterator[Architecture]:
        """Go through the stored architectures, newest first."""
        return self._transport.pages(Architecture, "/v1/architectures")

    def get(self, architecture_id: str) -> Architecture:
        """Return a stored architecture."""
        return self._transport.record(Architecture, "GET", f"/v1/architectures/{architecture_id}")

    def delete(self, architecture_id: str) -> None:
        """Delete a stored architecture."""
        self._transport.request("DELETE", f"/v1/architectures/{architecture_id}")

    def summary(self, architecture: Mapping[str, Any]) -> Summary:
        """Compute the shapes and costs of an architecture without storing it."""
        return self._transport.record(Summary, "POST", "/v1/architectures/summary", json=dict(architecture))


class TrainingJobs:
    """Training, from the wish to the model."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, architecture: str | Mapping[str, Any], dataset: str, **options: Any) -> TrainingJob:
        """Ask for a training run; it starts when the service has room for it.

        Args:
            architecture: the id of a stored one, `{"preset": name}`, or one written out.
            dataset: the id of a data set.
            options: the other fields of the call: `epochs`, `batch_size`, `seed`, `optimizer`, `schedule`,
                `loss`, `select`, `name`. Those that are None are left to the service.
        """
        body = {
            "architecture": architecture if isinstance(architecture, str) else dict(architecture),
            "dataset": dataset,
            **{key: value for key, value in options.items() if value is not None},
        }
        return self._transport.record(TrainingJob, "POST", "/v1/training-jobs", json=body)

    def list(self, *, status: str | None = None) -> Iterator[TrainingJob]:
        """Go through the jobs, newest first; on request only those of one status."""
        return self._transport.pages(TrainingJob, "/v1/training-jobs", status=status)

    def get(self, job_id: str) -> TrainingJob:
        """Return a job."""
        return self._transport.record(TrainingJob, "GET", f"/v1/training-jobs/{job_id}")

    def watch(self, job_id: str, *, interval: float = 0.25) -> Iterator[TrainingJob]:
        """Yield the job every `interval` seconds, the last time when it has finished."""
        while True:
            job = self.get(job_id)
            yield job
            if job.finished:
                return
            time.sleep(interval)

    def metrics(self, job_id: str) -> tuple[Metrics, ...]:
        """Return the figures of each epoch so far."""
        return self._transport.record(_EpochMetrics, "GET", f"/v1/training-jobs/{job_id}/metrics").data

    def log(self, job_id: str) -> str:
        """Return what the workers of a job have written."""
        return self._transport.request("GET", f"/v1/training-jobs/{job_id}/log").text

    def cancel(self, job_id: str) -> TrainingJob:
        """Ask a job to stop; it ends as `cancelled` a moment later."""
        return self._transport.record(TrainingJob, "POST", f"/v1/training-jobs/{job_id}/cancel")

    def delete(self, job_id: str) -> None:
        """Delete a finished job; its model stays."""
        self._transport.request("DELETE", f"/v1/training-jobs/{job_id}")


class Models:
    """Trained models."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Iterator[Model]:
        """Go through the models, newest first."""
        return self._transport.pages(Model, "/v1/models")

    def get(self, model_id: str) -> Model:
        """Return a model."""
        return self._transport.record(Model, "GET", f"/v1/models/{model_id}")

    def delete(self, model_id: str) -> None:
        """Delete a model and its file."""
        self._transport.request("DELETE", f"/v1/models/{model_id}")

    def export(self, model_id: str, file: Path) -> None:
        """Write a model into one safetensors file."""
        file.write_bytes(self._transport.request("GET", f"/v1/models/{model_id}/weights").content)

    def bring(self, file: Path, *, name: str | None = None) -> Model:
        """Import a model file; it becomes the next version of its name."""
        with file.open("rb") as content:
            return self._transport.record(
                Model,
                "POST",
                "/v1/models/import",
                data={} if name is None else {"name": name},
                files={"file": (file.name, content, "application/octet-stream")},
            )

    def set_alias(self, name: str, alias: str, model_id: str) -> Alias:
        """Let `name@alias` stand for a model of that name from now on."""
        path = f"/v1/models/{quote(name, safe='')}/aliases/{quote(alias, safe='')}"
        return self._transport.record(Alias, "PUT", path, json={"model_id": model_id})

    def predict(
        self, model_id: str, pictures: Sequence[Picture], *, top_k: int | None = None
    ) -> tuple[Prediction, ...]:
        """Upload pictures and return what the model sees in each, in the same order."""
        named = [(item.name, item.read_bytes()) if isinstance(item, Path) else item for item in pictures]
        return self._transport.record(
            _Predictions,
            "POST",
            f"/v1/models/{model_id}/predict",
            params={"top_k": top_k},
            files=[("files", (name, content)) for name, content in named],
        ).data


class Evaluations:
    """How good models are on data sets."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, model: str, dataset: str, *, split: str = "test") -> Evaluation:
        """Ask for an evaluation; see `wait`."""
        body = {"model": model, "dataset": dataset, "split": split}
        return self._transport.record(Evaluation, "POST", "/v1/evaluations", json=body)

    def list(self) -> Iterator[Evaluation]:
        """Go through the evaluations, newest first."""
        return self._transport.pages(Evaluation, "/v1/evaluations")

    def get(self, evaluation_id: str) -> Evaluation:
        """Return an evaluation; once it has succeeded, with its report."""
        return self._transport.record(Evaluation, "GET", f"/v1/evaluations/{evaluation_id}")

    def wait(self, evaluation_id: str, *, interval: float = 0.25) -> Evaluation:
        """Look at an evaluation every `interval` seconds until it has ended."""
        while not (evaluation := self.get(evaluation_id)).finished:
            time.sleep(interval)
        return evaluation

    def delete(self, evaluation_id: str) -> None:
        """Delete a finished evaluation."""
        self._transport.request("DELETE", f"/v1/evaluations/{evaluation_id}")
