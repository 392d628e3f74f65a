"""Where files are, as names of artifacts."""

from __future__ import annotations

DIRECTORY = "jobs"
MODELS = "models"
DATASETS = "datasets"
UPLOADS = "uploads"
"""Where files are that were received and belong to a job that has not ended."""
FEATURES = "features"
"""Where files are with what frozen trunks make of pictures."""
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


def log(job_id: str, attempt: int) -> str:
    """Return the file with all that the worker of an attempt has printed."""
    return f"{DIRECTORY}/{job_id}/attempt-{attempt}.log"


def checkpoint(job_id: str, attempt: int, step: int) -> str:
    """Return the file of a checkpoint."""
    return f"{DIRECTORY}/{job_id}/{CHECKPOINT}{attempt}-{step}.safetensors"


def initial(job_id: str) -> str:
    """Return the file that a job begins with: a copy of another job's checkpoint, or of a model."""
    return f"{DIRECTORY}/{job_id}/initial.safetensors"


def model(model_id: str) -> str:
    """Return the file of a model."""
    return f"{MODELS}/{model_id}.safetensors"


def dataset(dataset_id: str) -> str:
    """Return the directory of a data set."""
    return f"{DATASETS}/{dataset_id}"


def segment(dataset_id: str, number: int) -> str:
    """Return the directory of a segment of a data set."""
    return f"{dataset(dataset_id)}/segment-{number:04}"


def report(job_id: str) -> str:
    """Return the file with the findings of an evaluation, or about the model of a training job, JSON."""
    return f"{DIRECTORY}/{job_id}/report.json"


def evaluated(job_id: str) -> str:
    """Return the file with what an evaluation found of each picture, npy."""
    return f"{DIRECTORY}/{job_id}/evaluated.npy"


def mistakes(job_id: str) -> str:
    """Return the sheet of the worst mistakes of an evaluation, PNG."""
    return f"{DIRECTORY}/{job_id}/mistakes.png"


def rows(job_id: str, part: int) -> str:
    """Return the file with a part of the rows of a batch prediction, CSV; the first is 1."""
    return f"{DIRECTORY}/{job_id}/part-{part}{ROWS}"


def predictions(job_id: str) -> str:
    """Return the file with what a batch prediction found, CSV."""
    return f"{DIRECTORY}/{job_id}/predictions.csv"
