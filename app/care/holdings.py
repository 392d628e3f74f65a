"""Which files an installation has to have, as its rows say."""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from app.datasets.segments import IMAGES_FILE, LABELS_FILE, SPLITS_FILE, TARGETS_FILE
from app.files import paths
from app.files.artifacts import Artifacts, Stored, Written, is_name
from app.jobs.kinds import BATCH_PREDICTION, EVALUATION, TRAINING
from app.jobs.uploads import uploads_of
from app.states import JobStatus
from app.store import Store
from app.store.files import JobFiles, ModelFile, SegmentFolder
from app.store.records import Json

_FOUND = {EVALUATION.name: paths.report, BATCH_PREDICTION.name: paths.predictions}
"""What a job of a kind has found for certain, also one of an earlier version."""
DIRECTORIES = (paths.MODELS, paths.DATASETS, paths.DIRECTORY, paths.UPLOADS)
"""Where the files are that rows name."""
_MOST_PARTS = 100_000
_SEGMENT = (IMAGES_FILE, LABELS_FILE, SPLITS_FILE)


@dataclass(frozen=True, slots=True)
class Held:
    """A file that has to be there.

    Attributes:
        name: of the artifact.
        owner: what has it, for people: `model model_x`.
        sha256: its recorded checksum; None where none is recorded.
        bytes: its recorded size.
        job_id: whose checksum is yet to be recorded: a job's file that never changes any more.
        dataset_id: the same of a data set.
        grows: whether somebody may be writing to it: a log.
        builtin: whether it comes with the package, and is put back at the next start where it is missing.
    """

    name: str
    owner: str
    sha256: str | None = None
    bytes: int | None = None
    job_id: str | None = None
    dataset_id: str | None = None
    grows: bool = False
    builtin: bool = False

    @property
    def recordable(self) -> bool:
        """Whether its checksum should be recorded and is not."""
        return self.sha256 is None and (self.job_id is not None or self.dataset_id is not None)


@dataclass
class Holdings:
    """The files of all rows.

    Attributes:
        files: by name.
        segments: the directories of data sets, by name.
        unusable: what rows name that can be the name of no file, and what is to be said of it.
    """

    files: dict[str, Held] = field(default_factory=dict)
    segments: dict[str, SegmentFolder] = field(default_factory=dict)
    unusable: list[tuple[str, str]] = field(default_factory=list)

    def unsound_segments(self, checksums: Mapping[str, str]) -> list[str]:
        """Return the segments that were never checked, and whose files are not those that were written.

        Args:
            checksums: of the files, by name; a segment of which one is missing is passed over.
        """
        found = []
        for folder, segment in self.segments.items():
            names = [f"{folder}/{name}" for name in (*_SEGMENT, TARGETS_FILE)]
            held = [self.files[name] for name in names if name in self.files]
            whole = len(held) >= len(_SEGMENT) and all(file.name in checksums for file in held)
            if whole and all(file.recordable for file in held):
                joined = "".join(checksums[file.name] for file in held)
                if hashlib.sha256(joined.encode()).hexdigest() != segment.sha256:
                    found.append(folder)
        return found


class Listing:
    """Which files there are: one look at all of them, since an object store is asked over a network."""

    def __init__(self, files: Iterable[Stored]) -> None:
        self._files: dict[str, list[Stored]] = defaultdict(list)
        for file in files:
            self._files[file.name.rpartition("/")[0]].append(file)

    @classmethod
    def of(cls, artifacts: Artifacts) -> Self:
        """Look at all files that can belong to rows."""
        return cls(itertools.chain.from_iterable(map(artifacts.everything, DIRECTORIES)))

    def __contains__(self, name: str) -> bool:
        return name in self.names(name.rpartition("/")[0])

    def __iter__(self) -> Iterator[Stored]:
        return itertools.chain.from_iterable(self._files.values())

    def files(self, directory: str) -> list[Stored]:
        """Return those that are directly in a directory."""
        return self._files.get(directory, [])

    def names(self, directory: str) -> list[str]:
        """Return the names of those that are directly in a directory."""
        return [file.name for file in self.files(directory)]


def holdings(store: Store, there: Listing) -> Holdings:
    """Return which files there have to be.

    Args:
        store: the rows.
        there: the files that there are: some that earlier versions have written are known by being there.
    """
    found = Holdings()
    recorded: dict[str, list[Written]] = defaultdict(list)
    for file in store.files.recorded().values():
        recorded[file.name.rpartition("/")[0]].append(file)
    for model in store.files.models():
        _add(found, there, [_of_model(model)])
    builtin = store.files.builtin_datasets()
    for segment in store.files.segments():
        if is_name(segment.path):
            found.segments[segment.path] = segment
            _add(
                found,
                there,
                _of_segment(segment, recorded[segment.path], there, segment.dataset_id in builtin),
            )
        else:
            found.unusable.append(
                (ascii(segment.path), f"of data set {segment.dataset_id} is no name of a directory")
            )
    requests = store.files.unfinished_requests()
    for job in store.files.jobs():
        _add(
            found,
            there,
            _of_job(job, recorded[paths.directory(job.id)], requests, there),
        )
    return found


def _add(found: Holdings, there: Listing, files: Iterable[Held]) -> None:
    for file in files:
        if is_name(file.name):
            if not (file.builtin and file.name not in there):
                found.files[file.name] = file
        else:
            found.unusable.append((ascii(file.name), f"of {file.owner} is no name of a file"))


def _of_model(model: ModelFile) -> Held:
    return Held(model.path, f"model {model.id}", model.sha256, model.bytes, builtin=model.builtin)


def _of_segment(
    segment: SegmentFolder, recorded: Iterable[Written], there: Listing, builtin: bool
) -> Iterable[Held]:
    owner = f"data set {segment.dataset_id}"
    names = {f"{segment.path}/{name}": None for name in _SEGMENT} if not recorded else {}
    present = {} if recorded else dict.fromkeys(there.names(segment.path))
    for name in names | present:
        yield Held(name, owner, dataset_id=segment.dataset_id, builtin=builtin)
    for file in recorded:
        yield Held(file.name, owner, file.sha256, file.bytes, builtin=builtin)


def _of_job(
    job: JobFiles, recorded: Iterable[Written], unfinished: Mapping[str, Json], there: Listing
) -> Iterable[Held]:
    owner = f"job {job.id}"
    present = there.names(paths.directory(job.id))
    for name in present:
        if name.endswith(".log"):
            yield Held(name, owner, grows=True)
    yield from _going_on(job, unfinished, owner, present)
    if job.status is JobStatus.SUCCEEDED:
        for file in recorded:
            yield Held(file.name, owner, file.sha256, file.bytes, builtin=job.builtin)
        if not recorded:
            names = {name for of in paths.FINDINGS if (name := of(job.id)) in present}
            for name in sorted(names | ({_FOUND[job.kind](job.id)} if job.kind in _FOUND else set())):
                yield Held(name, owner, job_id=job.id, builtin=job.builtin)


def _going_on(
    job: JobFiles, unfinished: Mapping[str, Json], owner: str, present: list[str]
) -> Iterable[Held]:
    """Return what a job needs to go on, or another to continue it; of a part, what the whole needs."""
    checkpoint = job.checkpoint or {}
    if isinstance(name := checkpoint.get("name"), str) and "deleted_at" not in checkpoint:
        yield Held(name, owner, checkpoint.get("sha256"), checkpoint.get("bytes"))
    if (job.part_of or job.id) not in unfinished:
        return
    request = unfinished.get(job.id, {})
    parts, attempts = checkpoint.get("parts"), checkpoint.get("attempts")
    parts = min(parts, _MOST_PARTS) if isinstance(parts, int) else 0
    attempts = [each for each in attempts if isinstance(each, int)] if isinstance(attempts, list) else []
    for part, attempt in enumerate([1] * (parts - len(attempts)) + attempts[:parts], 1):
        yield Held(paths.rows(job.id, part, attempt), owner)
    for name in uploads_of(request):
        yield Held(name, owner)
    begins = request.get("continue_from") or request.get("initial_weights")
    begun = job.kind == TRAINING.name and begins and job.waits_for is None
    if paths.initial(job.id) in present or begun:
        yield Held(paths.initial(job.id), owner)
