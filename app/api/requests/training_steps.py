"""Body of a request to take one training step apart."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.requests.architectures import ArchitectureChoice
from engine.inputs.preprocessing import Preprocessing
from engine.recipe.config import GradientClip, Pattern
from engine.recipe.losses import AnyLoss, SoftmaxCrossEntropy
from engine.recipe.optimizers import Adam, AnyOptimizer
from engine.spec import NonNegativeInt, Seed, Spec

MOST_CHECKED = 1000


class StepWeights(Spec):
    """What the weights are before the step."""

    seed: Seed = 0
    """What first weights are drawn from, and what dropout drops: as in a training job of this seed."""
    model: Annotated[str, Field(max_length=200)] | None = None
    """The id of a model, its name (the newest version), name and version or alias: its weights are taken, wherever
    names and shapes agree."""


class CheckRequest(Spec):
    """How gradients are compared with differences."""

    entries: Annotated[int, Field(strict=True, ge=0, le=MOST_CHECKED)] = 20
    """How many numbers of weights, shared out evenly over the arrays; each takes two passes over the pictures."""
    seed: Seed = 0
    """What they are drawn from."""


class TrainingStepRequest(Spec):
    """A network, some pictures, and how to learn from them. Pictures are given in one of three forms."""

    architecture: ArchitectureChoice | None = None
    """The network, as in a training job; by default that of the model in `weights`."""
    weights: StepWeights = StepWeights()
    """What they are before the step."""
    images: Annotated[list[str], Field(min_length=1)] | None = None
    """Picture files in base64, fitted as those of the data set or the model are."""
    inputs: Annotated[list[Any], Field(min_length=1)] | None = None
    """Numbers as the first layer receives them, as lists (N, H, W, C), or (N, H, W) of one channel."""
    dataset: Annotated[str, Field(max_length=100, examples=["digits"])] | None = None
    """The id or name of a data set: where pictures are taken from by `indices`, or what `images` are treated like."""
    split: Literal["train", "dev", "test"] | None = None
    """Count `indices` in this split only, instead of in the whole data set."""
    indices: Annotated[list[NonNegativeInt], Field(min_length=1)] | None = None
    """Places of pictures in the data set, from 0, in the order in which they are trained on."""
    targets: Annotated[list[Any], Field(min_length=1)] | None = None
    """What is right, for each picture: the name or the index of a class; a list of names or indices of labels; or a
    list of values. By default what the data set says."""
    optimizer: AnyOptimizer = Adam()
    """How the gradient becomes a step."""
    loss: AnyLoss = SoftmaxCrossEntropy()
    """What is minimised."""
    clip: GradientClip | None = None
    """How large gradients may be; by default any size."""
    freeze: Annotated[tuple[Pattern, ...], Field(max_length=1000)] = ()
    """Names of nodes whose weights stay as they are, with * for any characters."""
    preprocessing: Preprocessing | None = None
    """How pictures become numbers; by default as the model does, else by the mean and deviation of the data set's train
    split, else of the pictures that are sent."""
    show: Annotated[tuple[str, ...], Field(max_length=100, examples=[["conv2d_1/weight"]])] = ()
    """Full names of weights whose numbers are shown: before, gradient, update and after."""
    numeric_check: CheckRequest | None = None
    """By default as many of 20 numbers as take little time."""
