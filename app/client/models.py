"""The calls on models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx

from app.api.models import Alias, ImportedModel, Model, ModelEntry, Prediction, Predictions
from app.client.calls import (
    Attachment,
    Call,
    File,
    Picture,
    Stream,
    chosen,
    content,
    entries,
    nothing,
    pages,
    record,
    understood,
    written,
)
from app.client.insides import MODELS as _MODELS
from app.client.insides import Insides, Pictures, attached
from app.client.resource import M, call, stream


def _aliases(name: str, alias: str | None = None) -> str:
    path = f"{_MODELS}/{quote(name, safe='')}/aliases"
    return path if alias is None else f"{path}/{quote(alias, safe='')}"


def _into(file: File, path: str, **params: str) -> Call[None]:
    """Write what is answered into a file."""

    def write(answer: httpx.Response) -> None:
        Path(file).write_bytes(answer.content)

    return Call("GET", path, write, params)


class Models(Insides[M]):
    """Trained models; `model_id` can be written as name@version or name@alias where a model is only used."""

    @stream
    def list(
        self, *, name: str | None = None, contains: str | None = None, tag: str | None = None
    ) -> Stream[ModelEntry]:
        """List the models, newest first, without their architectures and provenance.

        Args:
            name: only those of this name.
            contains: only those with this in their name.
            tag: only those with this tag.
        """
        return pages(ModelEntry, _MODELS, name=name, contains=contains, tag=tag)

    @call
    def get(self, model_id: str) -> Call[Model]:
        """Return a model."""
        return record(Model, "GET", f"{_MODELS}/{model_id}")

    @call
    def change(self, /, model_id: str, **changes: Any) -> Call[Model]:
        """Change `name`, `description` or `tags` of a model; what is not given stays as it is."""
        return record(Model, "PATCH", f"{_MODELS}/{model_id}", json=changes)

    @call
    def delete(self, model_id: str) -> Call[None]:
        """Delete a model and its file."""
        return nothing("DELETE", f"{_MODELS}/{model_id}")

    @call
    def export(self, model_id: str, file: File) -> Call[None]:
        """Write a model into one safetensors file."""
        return _into(file, f"{_MODELS}/{model_id}/weights")

    @call
    def export_onnx(
        self, model_id: str, file: File, *, preprocessing: Literal["outside", "inside"] = "outside"
    ) -> Call[None]:
        """Write a model into one ONNX file, for other runtimes.

        Args:
            model_id: the model.
            file: where to write it.
            preprocessing: `outside`, the input is preprocessed already, float32 with the channels first; or `inside`,
                the input are pictures as bytes, with the channels last.
        """
        return _into(file, f"{_MODELS}/{model_id}/onnx", preprocessing=preprocessing)

    @call
    def import_file(
        self,
        file: File,
        *,
        name: str | None = None,
        preset: str | None = None,
        classes: Sequence[str] | None = None,
        input_shape: Sequence[int] | None = None,
        preprocessing: Mapping[str, Any] | None = None,
        target: str | None = None,
        external_data: File | None = None,
    ) -> Call[ImportedModel]:
        """Import a model file, ONNX, or weights of torchvision or timm; it becomes the next version of its name.

        Args:
            file: a model file or ONNX; or, with `preset`, a safetensors file with the names of torchvision or timm.
            name: what to call the model.
            preset: the preset whose layers the weights are of.
            classes: the names of the classes, in the order of the outputs.
            input_shape: (height, width, channels) of the pictures.
            preprocessing: `mean`, `deviation` and `picture`; see `POST /v1/models/import`.
            target: what the output of an ONNX file is: `class`, `labels` or `values`.
            external_data: the second file of an ONNX file whose tensors lie outside of it.
        """
        said = chosen({"classes": classes, "input_shape": input_shape, "preprocessing": preprocessing})
        fields = chosen({"name": name, "preset": preset, "target": target}) | {
            key: written(value) for key, value in said.items()
        }
        files = [Attachment.of("file", file)]
        if external_data is not None:
            files.append(Attachment.of("external_data", external_data))
        return record(ImportedModel, "POST", f"{_MODELS}/import", data=fields, files=files)

    @call
    def aliases(self, name: str) -> Call[tuple[Alias, ...]]:
        """Return the aliases of a name."""
        return entries(Alias, _aliases(name))

    @call
    def alias(self, name: str, alias: str) -> Call[Alias]:
        """Return an alias: which model `name@alias` stands for."""
        return record(Alias, "GET", _aliases(name, alias))

    @call
    def set_alias(self, name: str, alias: str, model_id: str, *, force: bool = False) -> Call[Alias]:
        """Let `name@alias` stand for a model of that name from now on; `force` also for one with other classes."""
        body = {"model_id": model_id, **({"force": True} if force else {})}
        return record(Alias, "PUT", _aliases(name, alias), json=body)

    @call
    def delete_alias(self, name: str, alias: str) -> Call[None]:
        """Let `name@alias` stand for nothing any more; the model stays."""
        return nothing("DELETE", _aliases(name, alias))

    @call
    def predict(
        self,
        model_id: str,
        pictures: Pictures,
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        errors: Literal["fail", "report"] | None = None,
    ) -> Call[tuple[Prediction, ...]]:
        """Upload pictures and return what the model predicts for each, in the same order.

        Args:
            model_id: the model.
            pictures: one or several: paths of files, or names and bytes.
            top_k: how many classes or labels to name for each.
            threshold: how probable a label must be to be among `labels`, for models of labels only.
            errors: whether a picture that cannot be decoded fails the call, or its own prediction has the `error`.
        """
        return Call(
            "POST",
            f"{_MODELS}/{model_id}/predict",
            lambda answer: tuple(understood(Predictions, answer).data),
            params={"top_k": top_k, "threshold": threshold, "errors": errors},
            files=attached(pictures),
        )

    @call
    def preprocess(self, model_id: str, picture: Picture) -> Call[bytes]:
        """Return a picture exactly as the model sees it, PNG."""
        path = f"{_MODELS}/{model_id}/preprocess"
        return content(path, "image/png", method="POST", files=attached(picture))
