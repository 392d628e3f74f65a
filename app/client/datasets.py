"""The calls on data sets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from app.client.records import Addition, Dataset, Downloadable, LabelledPicture, Record
from app.client.transport import Transport

_BYTES = "application/octet-stream"


class _Downloads(Record):
    data: tuple[Downloadable, ...]


def _form_value(value: Any) -> str:
    """Write a value as the text of a form field: numbers that belong together have commas between them."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


class Datasets:
    """Labelled pictures."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self, archive: Path, *, labels: Path | None = None, name: str | None = None, **options: Any
    ) -> Dataset:
        """Upload pictures: a zip archive, an npz file or an IDX file of images.

        Returns at once, while the pictures are still being read; see `wait`.

        Args:
            archive: the file.
            labels: the IDX file of labels, when `archive` is one of images.
            name: what to call the data set; by default the name of the file.
            options: the other fields of the call: `image_size` (a number or height and width), `channels`,
                `fit`, `background`, `invert`, `duplicates`, `split` (three shares), `seed`.
        """
        fields = {key: _form_value(value) for key, value in options.items() if value is not None}
        with ExitStack() as opened:
            files = {"file": (archive.name, opened.enter_context(archive.open("rb")), _BYTES)}
            if labels is not None:
                files["labels"] = (labels.name, opened.enter_context(labels.open("rb")), _BYTES)
            return self._transport.record(
                Dataset,
                "POST",
                "/v1/datasets",
                data={"name": name or archive.stem, **fields},
                files=files,
            )

    def downloads(self) -> tuple[Downloadable, ...]:
        """Return the well-known data sets that the service can fetch by name."""
        return self._transport.record(_Downloads, "GET", "/v1/datasets/downloads").data

    def download(self, dataset: str, *, name: str | None = None, **options: Any) -> Dataset:
        """Let the service fetch a well-known data set, such as mnist; see `wait`.

        Args:
            dataset: one of the names in `downloads`.
            name: what to call it.
            options: the other fields of the call: `image_size`, `channels`, `fit`, `split`, `seed` ...
        """
        body = {"dataset": dataset, "name": name, **options}
        chosen = {key: value for key, value in body.items() if value is not None}
        return self._transport.record(Dataset, "POST", "/v1/datasets/downloads", json=chosen)

    def append(
        self, dataset_id: str, pictures: Path | Sequence[Path], *, label: str | None = None
    ) -> Addition:
        """Add pictures to a data set: files of one label, or a zip archive of class folders without one.

        Returns at once, while the pictures are still being read; see `additions`.
        """
        paths = [pictures] if isinstance(pictures, Path) else list(pictures)
        part = "file" if label is None else "files"
        with ExitStack() as opened:
            files = [(part, (path.name, opened.enter_context(path.open("rb")), _BYTES)) for path in paths]
            path = f"/v1/datasets/{dataset_id}/images"
            data = {} if label is None else {"label": label}
            return self._transport.record(Addition, "POST", path, data=data, files=files)

    def additions(self, dataset_id: str) -> Iterator[Addition]:
        """Go through what was added to a data set or is on its way, newest first."""
        return self._transport.pages(Addition, f"/v1/datasets/{dataset_id}/additions")

    def wait_addition(self, addition: Addition, *, interval: float = 0.5) -> Addition:
        """Look at an addition every `interval` seconds until it is over."""
        while not addition.finished:
            time.sleep(interval)
            addition = next(found for found in self.additions(addition.dataset_id) if found.id == addition.id)
        return addition

    def statistics(self, dataset_id: str) -> dict[str, Any]:
        """Return pictures per class and split, and the figures of each channel."""
        found: dict[str, Any] = self._transport.request("GET", f"/v1/datasets/{dataset_id}/statistics").json()
        return found

    def samples(self, dataset_id: str, **query: Any) -> bytes:
        """Return a sheet of samples as PNG; the query takes `split`, `per_class`, `first_class` and `seed`."""
        path = f"/v1/datasets/{dataset_id}/samples"
        return self._transport.request("GET", path, params=query, accept="image/png").content

    def preview(self, dataset_id: str, augmentations: Sequence[Mapping[str, Any]], **options: Any) -> bytes:
        """Return a sheet of pictures and what augmentations make of them, as PNG.

        Args:
            dataset_id: the data set.
            augmentations: as for a training job.
            options: the other fields of the call: `images`, `variants`, `split`, `seed`.
        """
        body = {"augmentations": [dict(augmentation) for augmentation in augmentations], **options}
        path = f"/v1/datasets/{dataset_id}/augmentation-preview"
        return self._transport.request("POST", path, json=body, accept="image/png").content

    def cancel(self, dataset_id: str) -> Dataset:
        """Stop what is being read or fetched for a data set."""
        return self._transport.record(Dataset, "POST", f"/v1/datasets/{dataset_id}/cancel")

    def list(self) -> Iterator[Dataset]:
        """Go through the data sets, newest first."""
        return self._transport.pages(Dataset, "/v1/datasets")

    def get(self, dataset_id: str) -> Dataset:
        """Return a data set."""
        return self._transport.record(Dataset, "GET", f"/v1/datasets/{dataset_id}")

    def wait(self, dataset_id: str, *, interval: float = 0.5) -> Dataset:
        """Look at a data set every `interval` seconds until it is ready or has failed."""
        while not (dataset := self.get(dataset_id)).finished:
            time.sleep(interval)
        return dataset

    def watch(self, dataset_id: str, *, interval: float = 0.5) -> Iterator[Dataset]:
        """Look at a data set every `interval` seconds, the last time when it is ready or has failed."""
        while True:
            dataset = self.get(dataset_id)
            yield dataset
            if dataset.finished:
                return
            time.sleep(interval)

    def picture(self, dataset_id: str, number: int, *, split: str | None = None) -> LabelledPicture:
        """Return one picture and its label; with a split, `number` counts in that split alone."""
        path = f"/v1/datasets/{dataset_id}/images/{number}"
        answer = self._transport.request("GET", path, params={"split": split}, accept="image/png")
        return LabelledPicture(
            number=int(answer.headers["Image-Number"]),
            split=answer.headers["Image-Split"],
            label=unquote(answer.headers["Image-Label"]),
            class_index=int(answer.headers["Image-Class-Index"]),
            content=answer.content,
        )

    def delete(self, dataset_id: str) -> None:
        """Delete a data set and its pictures."""
        self._transport.request("DELETE", f"/v1/datasets/{dataset_id}")
