"""The shapes and costs of a network, as records."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from engine.spec import describe


class SummaryRecord(BaseModel):
    """What is computed of a network: it does not change, and its schema says what each number is."""

    model_config = ConfigDict(frozen=True, json_schema_extra=describe)


class LayerSummary(SummaryRecord):
    """One node of the network."""

    name: str
    """Its key in the weights file and in every per-layer endpoint."""
    type: str
    pointer: str
    """Where in the architecture's document the layer or block is that it comes from (RFC 6901)."""
    inputs: list[str]
    """Names of the nodes it reads; `input` is the picture."""
    output_shape: list[int]
    """[height, width, channels], or [numbers] of a vector."""
    formula: dict[str, str]
    """How the output's size comes about, with the numbers put in."""
    parameters: int
    trainable_parameters: int
    multiply_adds: int
    """For one picture."""
    activation_bytes: int
    """Of the output for one picture, float32."""
    training_bytes: int
    """Kept for one picture between forward and backward, with gradients, float32."""
    receptive_field: list[int]
    """Height and width in pixels of the picture that one output cell can see."""
    jump: list[int | float]
    """Pixels of the picture between two neighbouring output cells; less than one where a map is enlarged."""
    dense_equivalent_parameters: int | None
    """Parameters that a fully connected layer would need for the same map (parameter sharing)."""
    connection_density: float | None
    """Share of input-output pairs that are connected (sparsity of connections); padding is no input."""


class Totals(SummaryRecord):
    """Sums over the network."""

    parameters: int
    trainable_parameters: int
    multiply_adds: int
    """For one picture."""
    weight_bytes: int
    activation_bytes: int
    """Of all outputs for one picture."""
    training_bytes: int
    """Estimate for one step on `batch_size` pictures: weights, gradients, the slots of the largest optimizer,
    activations."""
    batch_size: int


class Hint(SummaryRecord):
    """Something in a network that is likely to be a mistake."""

    code: str
    """Which rule applies: stable, in kebab-case."""
    node: str | None
    """The node that it is about; null for the network as a whole."""
    pointer: str
    """Where in the architecture's document the layer is (RFC 6901); of a node inside of a block, the block."""
    detail: str
    """What is there, with its numbers."""
    fix: str
    """What to change."""


class Summary(SummaryRecord):
    """A network in numbers."""

    input_shape: Annotated[list[int], Field(min_length=3, max_length=3)]
    output_shape: list[int]
    totals: Totals
    layers: list[LayerSummary]
    hints: list[Hint] = Field(default_factory=list)
    """What is likely to be a mistake, and what to change; at most twenty of each kind."""
