"""How weights start: "injecting noise into the model", as the article has it, of the right size.

A layer names its initializer by a word (`"he_normal"`), or writes it out where a number is wanted
(`{"type": "constant", "value": 0.1}`). Convolution weights are (KH, KW, I, O) and dense weights (I, O):
all axes but the last feed one output, and their product is the fan-in; the fan-out counts the last
axis instead of the one before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag

from engine.arrays import Array, Shape, elements
from engine.choices import OneOf
from engine.errors import ShapeError
from engine.spec import PositiveFloat, Spec


class InitializerRecord(Spec):
    """The contract of an initializer."""

    type: str

    examples: ClassVar[tuple[dict[str, Any], ...]]
    formula: ClassVar[str]
    source: ClassVar[str]

    @classmethod
    def tag(cls) -> str:
        """Return the value of `type` that stands for this class."""
        default: str = cls.model_fields["type"].default
        return default

    def check(self, shape: Shape) -> None:
        """Raise ShapeError when a weight of this shape cannot start so."""

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first values of a weight of this shape, in float64."""
        raise NotImplementedError


_GLOROT = (
    "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward networks, equation 16"
)
_HE = "He et al. 2015, Delving deep into rectifiers, section 2.2"
_LECUN = "LeCun et al. 1998, Efficient backprop, section 4.6"


class _Scaled(InitializerRecord):
    """Draws whose size keeps the variance of what flows through a layer."""

    scale: ClassVar[float]
    mode: ClassVar[Literal["in", "average"]] = "in"

    def variance(self, shape: Shape) -> float:
        """Return scale / fan-in, or scale / the mean of fan-in and fan-out."""
        fan_in = elements(shape[:-1])
        fan_out = elements((*shape[:-2], shape[-1]))
        return self.scale / (fan_in if self.mode == "in" else (fan_in + fan_out) / 2)


class _ScaledNormal(_Scaled):
    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        weights: Array = generator.standard_normal(shape) * np.sqrt(self.variance(shape))
        return weights


class _ScaledUniform(_Scaled):
    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        limit = np.sqrt(3 * self.variance(shape))
        return generator.uniform(-limit, limit, shape)


class HeNormal(_ScaledNormal):
    """For layers before a relu: normal, of the variance that a relu, which takes half of it away, leaves alone."""

    type: Literal["he_normal"] = "he_normal"

    examples = ({"type": "he_normal"},)
    formula = "w ~ N(0, 2 / fan_in)"
    source = _HE
    scale = 2.0


class HeUniform(_ScaledUniform):
    """As `he_normal`, from an interval."""

    type: Literal["he_uniform"] = "he_uniform"

    examples = ({"type": "he_uniform"},)
    formula = "w ~ U(-l, l), l = sqrt(6 / fan_in)"
    source = _HE
    scale = 2.0


class GlorotNormal(_ScaledNormal):
    """For layers before a tanh or sigmoid: a compromise between the way forward and the way back."""

    type: Literal["glorot_normal"] = "glorot_normal"

    examples = ({"type": "glorot_normal"},)
    formula = "w ~ N(0, 2 / (fan_in + fan_out))"
    source = _GLOROT
    scale = 1.0
    mode = "average"


class GlorotUniform(_ScaledUniform):
    """As `glorot_normal`, from an interval."""

    type: Literal["glorot_uniform"] = "glorot_uniform"

    examples = ({"type": "glorot_uniform"},)
    formula = "w ~ U(-l, l), l = sqrt(6 / (fan_in + fan_out))"
    source = _GLOROT
    scale = 1.0
    mode = "average"


class LeCunNormal(_ScaledNormal):
    """For layers before a selu, or before nothing at all."""

    type: Literal["lecun_normal"] = "lecun_normal"

    examples = ({"type": "lecun_normal"},)
    formula = "w ~ N(0, 1 / fan_in)"
    source = _LECUN
    scale = 1.0


class LeCunUniform(_ScaledUniform):
    """As `lecun_normal`, from an interval."""

    type: Literal["lecun_uniform"] = "lecun_uniform"

    examples = ({"type": "lecun_uniform"},)
    formula = "w ~ U(-l, l), l = sqrt(3 / fan_in)"
    source = _LECUN
    scale = 1.0


class TruncatedNormal(InitializerRecord):
    """Normal, of a deviation that you choose; what lies beyond two deviations is drawn again."""

    type: Literal["truncated_normal"] = "truncated_normal"
    deviation: PositiveFloat = 0.02
    """Standard deviation before the truncation."""

    examples = ({"type": "truncated_normal"}, {"type": "truncated_normal", "deviation": 0.1})
    formula = "w ~ N(0, deviation^2), |w| <= 2 deviation"
    source = "Szegedy et al. 2015, Rethinking the Inception architecture, as in its published code"

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        weights = generator.standard_normal(shape)
        while (far := np.abs(weights) > 2).any():
            weights[far] = generator.standard_normal(int(np.count_nonzero(far)))
        return weights * self.deviation


class Constant(InitializerRecord):
    """One value for all."""

    type: Literal["constant"] = "constant"
    value: Annotated[float, Field(strict=True)]
    """The value."""

    examples = ({"type": "constant", "value": 0.1},)
    formula = "w = value"
    source = "Krizhevsky et al. 2012, ImageNet classification, section 5, for biases"

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        return np.full(shape, self.value, np.float64)


class Zeros(InitializerRecord):
    """Zeros: for biases and shifts."""

    type: Literal["zeros"] = "zeros"

    examples = ({"type": "zeros"},)
    formula = "w = 0"
    source = "Goodfellow, Bengio & Courville 2016, Deep learning, section 8.4"

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        return np.zeros(shape)


class Ones(InitializerRecord):
    """Ones: for the scales of normalisation."""

    type: Literal["ones"] = "ones"

    examples = ({"type": "ones"},)
    formula = "w = 1"
    source = "Ioffe & Szegedy 2015, Batch normalization, section 3"

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        return np.ones(shape)


class Dirac(InitializerRecord):
    """A convolution that passes input channel c on to output channel c, and nothing to outputs beyond the inputs."""

    type: Literal["dirac"] = "dirac"

    examples = ({"type": "dirac"},)
    formula = "K[i, j, c, k] = 1 in the middle of the filter where c = k, else 0"
    source = "Zagoruyko & Komodakis 2017, DiracNets, section 3"

    def check(self, shape: Shape) -> None:
        if len(shape) != 4:
            raise ShapeError(
                "dirac is for convolution weights, which have four axes",
                path=("weight_initializer",),
                hint='use "he_normal", or another that is not for convolutions alone',
            )

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        self.check(shape)
        weight = np.zeros(shape)
        channels = np.arange(min(shape[2:]))
        weight[shape[0] // 2, shape[1] // 2, channels, channels] = 1
        return weight


INITIALIZERS: tuple[type[InitializerRecord], ...] = (
    HeNormal,
    HeUniform,
    GlorotNormal,
    GlorotUniform,
    LeCunNormal,
    LeCunUniform,
    TruncatedNormal,
    Constant,
    Zeros,
    Ones,
    Dirac,
)

_BY_NAME = {
    kind.tag(): kind
    for kind in INITIALIZERS
    if not any(field.is_required() for field in kind.model_fields.values())
}


def _form(value: Any) -> str | None:
    if isinstance(value, str):
        return "<name>"
    return "<written>" if isinstance(value, dict | InitializerRecord) else None


if TYPE_CHECKING:
    Initializer = str | InitializerRecord
else:
    Initializer = Annotated[
        Annotated[Literal[tuple(_BY_NAME)], Tag("<name>")]
        | Annotated[InitializerRecord, OneOf(INITIALIZERS), Tag("<written>")],
        Discriminator(
            _form,
            custom_error_type="initializer_form",
            custom_error_message='give a name such as "he_normal", or {"type": "constant", "value": 0.1}',
        ),
    ]


def check(kind: Initializer, shape: Shape) -> None:
    """Raise ShapeError when a weight of this shape cannot start so."""
    _record(kind).check(shape)


def initialize(
    kind: Initializer, shape: Shape, generator: np.random.Generator, dtype: type[np.floating] = np.float32
) -> Array:
    """Return the first values of a weight of this shape."""
    weights: Array = _record(kind).draw(shape, generator).astype(dtype)
    return weights


def _record(kind: Initializer) -> InitializerRecord:
    return _BY_NAME[kind].model_validate({}) if isinstance(kind, str) else kind
