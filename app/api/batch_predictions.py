"""Answers about batch predictions."""

from __future__ import annotations

from app.api.common import Body, Number
from app.api.jobs import JobBody


class BatchProgress(Body):
    """How far it is."""

    images: int = 0
    """Files that have been looked at."""
    failed: int = 0
    """Those among them that no picture could be read from."""
    of: int
    """Files in the archive."""
    fraction: Number = 0.0


class BatchPrediction(JobBody):
    """A batch prediction: what was asked for, and what became of it."""

    model_id: str
    top_k: int
    filename: str
    """The name that the archive was uploaded under; empty when it had none."""
    progress: BatchProgress
