"""Answers about what a model's scores come from, from what was found."""

from __future__ import annotations

import numpy as np
from fastapi import Response
from numpy.typing import NDArray

from app.api.explanations import Explanation, PassCounts
from app.pictures.bounds import Bounds
from app.store.records import ModelRecord
from app.web.answers.arrays import npz
from engine.model.explanations import Explanation as Method
from engine.model.explanations import Finding


def explanation(
    record: ModelRecord,
    method: Method,
    filename: str | None,
    finding: Finding,
    channels: bool,
    *,
    relative: bool,
) -> Explanation:
    """Show what was found in a picture."""
    explained = finding.explained
    shown = explained.values if channels else method.map(explained.values)
    return Explanation(
        model_id=record.id,
        filename=filename,
        method=method.type,
        options=method.model_dump(mode="json", exclude={"type"}),
        **{"class": record.classes[finding.index]},
        class_index=finding.index,
        score=explained.score,
        relative=relative,
        node=explained.node,
        map=shown.tolist(),
        signed=method.signed,
        checks=explained.checks,
        passes=PassCounts(forward=finding.passes.forward, backward=finding.passes.backward),
    )


def arrays(record: ModelRecord, method: Method, findings: list[Finding], bounds: Bounds) -> Response:
    """Return what was found in pictures as a file of NumPy: `values` (N, H, W, C), `maps` (N, H, W), `scores` (N,)."""
    values: list[NDArray[np.float32]] = [finding.explained.values for finding in findings]
    return npz(
        {
            "values": np.stack(values),
            "maps": np.stack([method.map(each) for each in values]),
            "scores": np.array([finding.explained.score for finding in findings], np.float32),
            "class_indices": np.array([finding.index for finding in findings]),
            "classes": np.array([record.classes[finding.index] for finding in findings]),
        },
        f"{record.name}-{method.type}.npz",
        bounds,
    )
