"""How fast training goes, and the progress that a job shows."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Any

from app.store.records import Json
from engine.training.loop import Progress

_PACE_SECONDS = 15.0
_PACE_INTERVAL = 0.25


def finite(figures: dict[str, Any]) -> Json:
    """Return the same with null for every number that JSON cannot hold."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figures.items()
    }


class Pace:
    """How fast it goes, over the last seconds, and the progress that follows from it."""

    def __init__(self, exact_resume: bool, epochs: int) -> None:
        self.last: Json = {}
        self._epochs = epochs
        """Of all stages."""
        self._exact_resume = exact_resume
        self._images = 0
        # (time, step, images seen in this attempt), the oldest first
        self._marks: deque[tuple[float, int, int]] = deque()

    def document(self, progress: Progress) -> Json:
        """Return what the job shows as its progress."""
        at = time.monotonic()
        if progress.kind == "step":
            self._images += progress.images
        if not self._marks or at - self._marks[-1][0] >= _PACE_INTERVAL:
            self._marks.append((at, progress.step, self._images))
            while at - self._marks[0][0] > _PACE_SECONDS:
                self._marks.popleft()
        since, step, images = self._marks[0]
        seconds, steps = at - since, progress.step - step
        tally = progress.state.tally
        whole = progress.steps // progress.epochs * self._epochs
        self.last = {
            "stage": "training" if progress.kind == "step" else "evaluation",
            "epoch": progress.epoch,
            "epochs": self._epochs,
            "step": progress.step,
            "steps": whole,
            "fraction": progress.step / whole,
            "images_per_second": round((self._images - images) / seconds, 1) if steps and seconds else None,
            "eta_seconds": round(seconds / steps * (whole - progress.step), 1) if steps and seconds else None,
            "exact_resume": self._exact_resume,
        }
        if progress.metrics is not None:
            self.last |= finite(progress.metrics.model_dump(include={"train_loss", "train_accuracy"}))
        elif tally.images:
            self.last |= finite({"train_loss": tally.mean_loss, "train_accuracy": tally.accuracy})
        return self.last
