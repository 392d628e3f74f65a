"""Answer of one training step."""

from __future__ import annotations

from pydantic import Field

from app.api.common import Body, Number, Numbers
from app.api.insides import Spread


class StepPicture(Body):
    """One picture, before the step."""

    target: list[Number]
    """What is right: 1 for the class and 0 for the others; 1 for each label; or the values."""
    loss: Number
    scores: list[Number]
    """What the network puts out, before the loss's link."""
    prediction: list[Number]
    """After the link: probabilities of classes or labels, or values."""
    loss_after: Number
    """With the weights after the step."""


class StepNode(Body):
    """What the step did in one node. Lengths are Euclidean, of all trained weights of the node seen as one vector."""

    name: str
    type: str
    output_shape: list[int]
    activation: Spread
    """Of its output for all pictures, before the step."""
    parameters: int
    """Numbers that are trained; where there are none, what follows is null."""
    gradient_norm: Number
    """Length of the gradient of the mean loss, before clipping."""
    weight_norm: Number
    """Length of the weights before the step."""
    update_norm: Number
    """Length of the change."""
    update_ratio: Number
    """`update_norm` / `weight_norm`; about a thousandth is usual. Null where the weights are 0."""
    zero_gradients: Number
    """Share of the gradient's numbers that are exactly 0."""


class StepWeight(Body):
    """The numbers of one weight; axes as in the model's file."""

    shape: list[int]
    before: Numbers
    gradient: Numbers | None
    """Of the mean loss, before clipping; null where the weight is not trained."""
    update: Numbers
    """`after` - `before`."""
    after: Numbers


class StepCheck(Body):
    """Gradients compared with (L(w + h) - L(w - h)) / 2h, all in 64-bit floating point."""

    entries: int
    """How many numbers of weights were compared."""
    kinks: int
    """How many more have no gradient, since the slopes on their two sides differ: a relu at 0, a tie of a maximum."""
    largest_relative_difference: Number
    """Between a gradient and its difference, relative to the larger of the two, or to a thousandth of the largest that
    was compared. Null where nothing was. What follows is about this number."""
    weight: str | None
    position: list[int] | None
    """Its place in the array, from 0."""
    numeric: Number
    gradient: Number


class TrainingStep(Body):
    """One training step, taken apart."""

    loss: Number = Field(examples=[2.31])
    """Mean over the pictures, before the step."""
    loss_after: Number
    """Mean over the same pictures, with the weights after it."""
    learning_rate: float
    gradient_norm: Number
    """Length of the whole gradient, before clipping."""
    classes: list[str]
    """Names of the classes, labels or values; numbers where nobody has named them."""
    mean: list[float] | None
    """Of each channel, by which pictures are normalised; null for `inputs`."""
    deviation: list[float] | None
    pictures: list[StepPicture]
    nodes: list[StepNode]
    """In the order in which they are computed."""
    weights: dict[str, StepWeight]
    """Those in `show`."""
    numeric_check: StepCheck
