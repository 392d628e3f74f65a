"""The calls on data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx

from app.api.dataset_pictures import (
    Addition,
    AdditionEntry,
    DatasetCorrection,
    DatasetPicture,
    DatasetStatistics,
    Samples,
)
from app.api.datasets import Dataset, DatasetEntry
from app.api.downloads import Downloadable
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
    nothing,
    pages,
    record,
    watched,
)
from app.client.resource import M, Resource, call, stream

_DATASETS = "/v1/datasets"


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture of a data set.

    Attributes:
        number: its place in the whole data set.
        split: train, dev or test.
        label: the name of its class, None in data sets of labels or values.
        class_index: the index of that class.
        labels: the names of its labels, in a data set of these.
        values: its numbers, in the order of the data set's `classes`.
        content: the bytes of a PNG file.
        name: of the file that it came in, if it had one.
        excluded: whether it is left out of its split.
    """

    number: int
    split: str
    label: str | None
    class_index: int | None
    labels: tuple[str, ...]
    values: tuple[float, ...]
    content: bytes
    name: str | None = None
    excluded: bool = False


def _form_value(value: Any) -> str:
    """Write a value as the text of a form field: numbers that belong together have commas between them."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _finished(dataset: Dataset) -> bool:
    return dataset.finished


def _labelled(answer: httpx.Response) -> LabelledPicture:
    index = answer.headers.get("Image-Class-Index")
    label, values = answer.headers.get("Image-Label", ""), answer.headers.get("Image-Values", "")
    return LabelledPicture(
        number=int(answer.headers["Image-Number"]),
        split=answer.headers["Image-Split"],
        label=None if index is None else unquote(label),
        class_index=None if index is None else int(index),
        labels=tuple(map(unquote, label.split("|"))) if index is None and label else (),
        values=tuple(map(float, values.split(","))) if values else (),
        content=answer.content,
        name=unquote(answer.headers["Image-Name"]) if "Image-Name" in answer.headers else None,
        excluded=answer.headers.get("Image-Excluded") == "true",
    )


class Datasets(Resource[M]):
    """Labelled pictures."""

    @call
    def upload(
        self, /, archive: File, *, labels: File | None = None, name: str | None = None, **options: Any
    ) -> Call[Dataset]:
        """Upload pictures: a zip archive, an npz file or an IDX file of images.

        Returns at once, while the pictures are still being read; see `wait`.

        Args:
            archive: the file.
            labels: the IDX file of labels, when `archive` is one of images.
            name: what to call the data set; by default the name of the file.
            options: the other fields of the call: `target` (class, labels or values), `image_size` (a number or
                height and width), `channels`, `fit`, `resize`, `background`, `invert`, `duplicates`, `split`
                (three shares), `seed`, `defaults` (fixed, or auto for what fits the pictures), `tags`, `webhook`.
        """
        fields = {key: _form_value(value) for key, value in chosen(options).items()}
        files = [Attachment.of("file", archive)]
        if labels is not None:
            files.append(Attachment.of("labels", labels))
        return record(
            Dataset, "POST", _DATASETS, data={"name": name or Path(archive).stem, **fields}, files=files
        )

    @call
    def downloads(self) -> Call[tuple[Downloadable, ...]]:
        """Return the published data sets that the service can download by name."""
        return entries(Downloadable, f"{_DATASETS}/downloads")

    @call
    def download(self, /, dataset: str, *, name: str | None = None, **options: Any) -> Call[Dataset]:
        """Let the service download a published data set, such as mnist; see `wait`.

        Args:
            dataset: one of the names in `downloads`.
            name: what to call it.
            options: the other fields of the call: `image_size`, `channels`, `fit`, `split`, `seed`, `webhook` ...
        """
        body = chosen({"dataset": dataset, "name": name, **options})
        return record(Dataset, "POST", f"{_DATASETS}/downloads", json=body)

    @call
    def append(
        self,
        dataset_id: str,
        pictures: File | Sequence[File],
        *,
        label: str | None = None,
        webhook: str | None = None,
    ) -> Call[Addition]:
        """Add pictures to a data set: files of one label, or a zip archive of class folders without one.

        Returns at once, while the pictures are still being read; see `wait_addition`.
        """
        part = "file" if label is None else "files"
        return record(
            Addition,
            "POST",
            f"{_DATASETS}/{dataset_id}/images",
            data=chosen({"label": label, "webhook": webhook}),
            files=Attachment.each(part, pictures),
        )

    @call
    def log(self, dataset_id: str) -> Call[str]:
        """Return what the workers have written that made a data set and added to it."""
        return Call("GET", f"{_DATASETS}/{dataset_id}/log", lambda answer: answer.text)

    @stream
    def additions(self, dataset_id: str) -> Stream[AdditionEntry]:
        """List the requests to add pictures to a data set, newest first."""
        return pages(AdditionEntry, f"{_DATASETS}/{dataset_id}/additions")

    @call
    def addition(self, dataset_id: str, addition_id: str) -> Call[Addition]:
        """Return a request to add pictures: how far it is, what was added and what left out."""
        return record(Addition, "GET", f"{_DATASETS}/{dataset_id}/additions/{addition_id}")

    @call
    def wait_addition(self, addition: AdditionEntry, *, interval: float = 0.5) -> Script[Addition]:
        """Wait until an addition has ended, asking every `interval` seconds, and return it."""
        path = f"{_DATASETS}/{addition.dataset_id}/additions/{addition.id}"
        return awaited(record(Addition, "GET", path), lambda found: found.finished, interval)

    @call
    def picture_details(self, dataset_id: str, number: int) -> Call[DatasetPicture]:
        """Return what is known of a picture: its file, class and split, and whether it is left out."""
        path = f"{_DATASETS}/{dataset_id}/images/{number}"
        return record(DatasetPicture, "GET", path, accept="application/json")

    @stream
    def pictures(
        self,
        dataset_id: str,
        *,
        split: str | None = None,
        label: str | None = None,
        name: str | None = None,
        excluded: bool | None = None,
    ) -> Stream[DatasetPicture]:
        """List the pictures of a data set in the order of their numbers, with the names of their files.

        Args:
            dataset_id: the data set.
            split: only those of this split.
            label: only those of this class, or with this label.
            name: only those that came in a file of this name.
            excluded: only those that are left out, or only those that are not.
        """
        narrowed = {"split": split, "label": label, "name": name, "excluded": excluded}
        return pages(DatasetPicture, f"{_DATASETS}/{dataset_id}/images", **narrowed)

    @call
    def correct_picture(
        self,
        dataset_id: str,
        number: int,
        *,
        label: str | None = None,
        labels: Sequence[str] | None = None,
        values: Mapping[str, float] | None = None,
        excluded: bool | None = None,
        dry_run: bool = False,
    ) -> Call[DatasetCorrection]:
        """Say what one picture shows, leave it out, or put it back; see `correct`."""
        shown = {
            "label": label,
            "labels": None if labels is None else list(labels),
            "values": None if values is None else dict(values),
        }
        body = chosen({**shown, "excluded": excluded, "dry_run": dry_run})
        return record(DatasetCorrection, "PATCH", f"{_DATASETS}/{dataset_id}/images/{number}", json=body)

    @call
    def correct(
        self, dataset_id: str, corrections: Sequence[Mapping[str, Any]], *, dry_run: bool = False
    ) -> Call[DatasetCorrection]:
        """Say what pictures show, leave them out, or put them back: all of it in one new revision.

        Args:
            dataset_id: the data set.
            corrections: for each picture its `number`, and `excluded` or what it shows: its `label`, in a data set of
                labels all of its `labels`, in one of values those of its `values` that are others, by name.
            dry_run: only say what would change.
        """
        body = {"corrections": [dict(correction) for correction in corrections], "dry_run": dry_run}
        return record(DatasetCorrection, "POST", f"{_DATASETS}/{dataset_id}/corrections", json=body)

    @stream
    def corrections(self, dataset_id: str) -> Stream[DatasetCorrection]:
        """List the revisions of a data set, newest first, with what was corrected in each."""
        return pages(DatasetCorrection, f"{_DATASETS}/{dataset_id}/corrections")

    @call
    def statistics(self, dataset_id: str) -> Call[DatasetStatistics]:
        """Return pictures per class and split, and the figures of each channel."""
        return record(DatasetStatistics, "GET", f"{_DATASETS}/{dataset_id}/statistics")

    @call
    def samples(self, /, dataset_id: str, **query: Any) -> Call[bytes]:
        """Return a sheet of samples as PNG; the query takes `split`, `per_class`, `first_class` and `seed`."""
        return content(f"{_DATASETS}/{dataset_id}/samples", "image/png", params=query)

    @call
    def sample_pictures(self, /, dataset_id: str, **query: Any) -> Call[tuple[Samples, ...]]:
        """Return what is known of the same pictures: number, split, what they show, file name, and where they are."""
        return entries(Samples, f"{_DATASETS}/{dataset_id}/samples", **query)

    @call
    def preview(
        self, /, dataset_id: str, augmentations: Sequence[Mapping[str, Any]], **options: Any
    ) -> Call[bytes]:
        """Return a sheet of pictures and what augmentations make of them, as PNG.

        Args:
            dataset_id: the data set.
            augmentations: as for a training job.
            options: the other fields of the call: `images`, `variants`, `split`, `seed`.
        """
        body = {"augmentations": [dict(augmentation) for augmentation in augmentations], **options}
        path = f"{_DATASETS}/{dataset_id}/augmentation-preview"
        return content(path, "image/png", method="POST", json=body)

    @call
    def cancel(self, dataset_id: str) -> Call[Dataset]:
        """Stop what is being read or downloaded for a data set."""
        return record(Dataset, "POST", f"{_DATASETS}/{dataset_id}/cancel")

    @stream
    def list(
        self,
        *,
        status: str | None = None,
        name: str | None = None,
        contains: str | None = None,
        tag: str | None = None,
    ) -> Stream[DatasetEntry]:
        """List the data sets, newest first.

        Args:
            status: only those of this status: ingesting, ready or failed.
            name: only those of this name.
            contains: only those with this in their name.
            tag: only those with this tag.
        """
        return pages(DatasetEntry, _DATASETS, status=status, name=name, contains=contains, tag=tag)

    @call
    def get(self, dataset_id: str) -> Call[Dataset]:
        """Return a data set."""
        return record(Dataset, "GET", f"{_DATASETS}/{dataset_id}")

    @call
    def wait(self, dataset_id: str, *, interval: float = 0.5) -> Script[Dataset]:
        """Wait until a data set is ready or has failed, asking every `interval` seconds, and return it."""
        return awaited(record(Dataset, "GET", f"{_DATASETS}/{dataset_id}"), _finished, interval)

    @stream
    def watch(self, dataset_id: str, *, interval: float = 0.5) -> Stream[Dataset]:
        """Yield a data set every `interval` seconds, the last time when it is ready or has failed."""
        return watched(record(Dataset, "GET", f"{_DATASETS}/{dataset_id}"), _finished, interval)

    @call
    def picture(
        self, dataset_id: str, number: int, *, split: str | None = None, size: int | None = None
    ) -> Call[LabelledPicture]:
        """Return one picture and what it shows.

        Args:
            dataset_id: the data set.
            number: of the picture; with a split it counts in that alone.
            split: train, dev or test.
            size: make a larger picture so small that its longer side has so many pixels.
        """
        path = f"{_DATASETS}/{dataset_id}/images/{number}"
        return Call("GET", path, _labelled, params={"split": split, "size": size}, accept="image/png")

    @call
    def delete(self, dataset_id: str) -> Call[None]:
        """Delete a data set and its pictures."""
        return nothing("DELETE", f"{_DATASETS}/{dataset_id}")
