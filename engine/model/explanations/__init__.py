"""Every method of explanation there is: the one list that all else is computed from."""

from __future__ import annotations

from typing import Annotated

from engine.choices import OneOf
from engine.model.explanations.base import Explained, Explanation, Passes
from engine.model.explanations.class_activation import GradCam
from engine.model.explanations.gradients import Gradient, InputXGradient, SmoothGrad
from engine.model.explanations.integrated import IntegratedGradients
from engine.model.explanations.occlusion import Occlusion
from engine.model.explanations.run import Finding, explain

EXPLANATIONS: tuple[type[Explanation], ...] = (
    Gradient,
    InputXGradient,
    IntegratedGradients,
    SmoothGrad,
    GradCam,
    Occlusion,
)

AnyExplanation = Annotated[Explanation, OneOf(EXPLANATIONS)]

__all__ = ["EXPLANATIONS", "AnyExplanation", "Explained", "Explanation", "Finding", "Passes", "explain"]
