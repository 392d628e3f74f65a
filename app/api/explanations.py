"""Answers about what a model's scores come from."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from app.api.common import Body, JsonObject, Number, Numbers


class PassCounts(Body):
    """How often the picture went through the network."""

    forward: int
    backward: int
    """On the way back, be it a part of the way; each takes about as long as one forward."""


class Explanation(Body):
    """What the score of a class, label or value comes from in one picture."""

    model_config = ConfigDict(serialize_by_alias=True)

    model_id: str
    filename: str | None
    """The name under which the picture was uploaded."""
    method: str = Field(examples=["grad_cam"])
    options: JsonObject
    """The options of the method, those that were not given with their defaults; null is the default that depends on the
    picture or the network."""
    class_: str = Field(alias="class")
    """The class, label or value that is explained."""
    class_index: int
    score: Number
    """What is explained: the class's or label's score before softmax or sigmoid, or the value."""
    relative: bool
    """Whether the mean of the scores of all classes was taken off it."""
    node: str | None
    """The node whose maps `grad_cam` weighed; null for other methods."""
    map: Numbers
    """[height][width] of the picture as the model sees it; [height][width][channel] where `channels` was asked for."""
    signed: bool
    """Whether the map says for (positive) and against (negative) the score; else it says only how much."""
    checks: JsonObject
    """What must hold of the map, in numbers, such as `sum` and `score_difference` of integrated gradients."""
    passes: PassCounts


class Explanations(Body):
    """What was found in several pictures, in the order in which they were sent."""

    data: list[Explanation]
