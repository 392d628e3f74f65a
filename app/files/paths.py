"""Where files are, as names of artifacts.

What an attempt of a job writes and no other file replaces has the attempt in its name: one that is over and does not
know it yet neither overwrites nor removes what the next one has written. The first attempt goes without.
"""

from __future__ import annotations

import re

DIRECTORY = "jobs"
MODELS = "models"
DATASETS = "datasets"
UPLOADS = "uploads"
"""Where files are that were received and belong to a job that has not ended."""
FEATURES = "features"
"""Where files are with what frozen trunks make of pictures."""
DOWNLOADS = "downloads"
"""Where files are that are being fetched, or were when that broke off."""
CACHE = "cache"
"""Where copies are of files in an object store."""
MACHINES = "machines"
"""Where figures are of the machines that have used the data directory."""
CARE = "care"
"""Where room is for what looks after the data directory."""
RESTORING = "restoring"
"""Where what is being restored into a directory is, until all of it is there."""
BEFORE_UPGRADE = "before-upgrade"
"""Where copies of the database are as it was before it was brought to another version."""
SEGMENT = "segment-"
"""How the names of directories begin with pictures of a data set, after the directory of that."""
CHECKPOINT = "checkpoint-"
"""How the names of checkpoints begin, after the directory of their job."""
ROWS = ".rows"
"""How the names of files with rows of a table end."""


def directory(job_id: str) -> str:
    """Return the directory of all that a job writes for itself."""
    return f"{DIRECTORY}/{job_id}"


def lock(job_id: str) -> str:
    """Return the file that is locked for as long as a worker has the job; it holds the process id."""
    return f"{DIRECTORY}/{job_id}/lock"


def is_lock(name: str) -> bool:
    """Tell whether a file is such a lock."""
    return name.startswith(f"{DIRECTORY}/") and name.endswith("/lock")


def log(job_id: str, attempt: int) -> str:
    """Return the file with all that the worker of an attempt has printed."""
    return f"{DIRECTORY}/{job_id}/attempt-{attempt}.log"


def checkpoint(job_id: str, attempt: int, step: int, *, again: bool = False) -> str:
    """Return the file of a checkpoint, or of another one of the same step."""
    return f"{DIRECTORY}/{job_id}/{CHECKPOINT}{attempt}-{step}{'-again' if again else ''}.safetensors"


def attempt_of_checkpoint(name: str) -> int | None:
    """Return the attempt that has written a checkpoint, by its name; None of another file."""
    written = re.search(rf"/{CHECKPOINT}(\d+)-", name)
    return None if written is None else int(written[1])


def initial(job_id: str) -> str:
    """Return the file that a job begins with: a copy of another job's checkpoint, or of a model."""
    return f"{DIRECTORY}/{job_id}/initial.safetensors"


def model(model_id: str, attempt: int = 1) -> str:
    """Return the file of a model."""
    return f"{MODELS}/{model_id}{f'.{attempt}' if attempt > 1 else ''}.safetensors"


def dataset(dataset_id: str) -> str:
    """Return the directory of a data set."""
    return f"{DATASETS}/{dataset_id}"


def segment(dataset_id: str, number: int, job_id: str | None = None, attempt: int = 1) -> str:
    """Return the directory of a segment of a data set, as an attempt of a job writes it, or as it comes with us."""
    written = "" if job_id is None else f"-{job_id}-{attempt}"
    return f"{dataset(dataset_id)}/{SEGMENT}{number:04}{written}"


def of_earlier_attempt(name: str, job_id: str, attempt: int) -> bool:
    """Tell whether a file or directory is one that an earlier attempt of a job has written, by how its name ends."""
    written = re.search(rf"-{re.escape(job_id)}-(\d+)$", name)
    return written is not None and int(written[1]) < attempt


def report(job_id: str, attempt: int = 1) -> str:
    """Return the file with the findings of an evaluation, or about the model of a training job, JSON."""
    return _found(job_id, "report", attempt, "json")


def evaluated(job_id: str, attempt: int = 1) -> str:
    """Return the file with what an evaluation found of each picture, npy."""
    return _found(job_id, "evaluated", attempt, "npy")


def mistakes(job_id: str, attempt: int = 1) -> str:
    """Return the sheet of the worst mistakes of an evaluation, PNG."""
    return _found(job_id, "mistakes", attempt, "png")


def rows(job_id: str, part: int, attempt: int = 1) -> str:
    """Return the file with a part of the rows of a batch prediction, CSV; the first is 1."""
    return _found(job_id, f"part-{part}", attempt, ROWS.removeprefix("."))


def predictions(job_id: str, attempt: int = 1) -> str:
    """Return the file with what a batch prediction found, CSV."""
    return _found(job_id, "predictions", attempt, "csv")


def _found(job_id: str, name: str, attempt: int, ending: str) -> str:
    return f"{DIRECTORY}/{job_id}/{name}{f'-{attempt}' if attempt > 1 else ''}.{ending}"


FINDINGS = (report, evaluated, mistakes, predictions)
"""What jobs find, each as an attempt writes it before the job has succeeded in it."""
