"""From a layer, numbers and weights to an output and gradients; everything is checked before it is allocated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from app.errors import Invalid
from app.operations.limits import ARITHMETIC, MEMORY, exceeded
from app.operations.numbers import Keys, array, narrowed, written
from app.operations.tracing import choose, trace
from engine.arrays import Array, Shape
from engine.errors import EngineError, LimitError
from engine.graph.differences import NumericCheck, check
from engine.graph.operation import Operation
from engine.graph.trace import NodeTrace
from engine.layers import Context, LayerRecord, WeightSpec
from engine.layers.base import Statistics
from engine.layers.trace import Position

_CHECKED = 64
"""Numbers of which gradients are compared with differences, at most."""
_CHECK_OPERATIONS = 500_000_000
"""Operations that this comparison may take."""


class Limits(NamedTuple):
    """What one operation may need at most."""

    parameters: int
    memory_bytes: int
    steps: int


@dataclass(frozen=True)
class Inputs:
    """What an operation is applied to.

    Attributes:
        arrays: each (H, W, C) or (C,); float64 of numbers, float32 of pictures.
        flat: whether maps were sent as (H, W), and so an output of one channel is shown.
        place: the field of the body that they stand in.
        scale: of a picture, what its pixels, 0 to 255, were multiplied by.
    """

    arrays: tuple[Array, ...]
    flat: bool
    place: Keys
    scale: float = 1.0

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Shapes of the arrays."""
        return tuple(x.shape for x in self.arrays)

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture that was sent as a file."""
        return self.place in (("image",), ("file",))

    @property
    def precision(self) -> type[np.floating[Any]]:
        """In what the operation is computed."""
        return np.float32 if any(x.dtype == np.float32 for x in self.arrays) else np.float64

    def shown(self, x: Array) -> Array:
        """Return an array as its sender would write it: (H, W) of one channel where maps came so."""
        return x[..., 0] if self.flat and x.ndim == 3 and x.shape[2] == 1 else x


@dataclass(frozen=True)
class Options:
    """What an operation is computed with, and what is wanted beside its output.

    Attributes:
        weights: arrays or nested lists by the names of the operation's weights; those left out are drawn.
        seed: of what is drawn.
        statistics: which mean and variance apply.
        output_gradient: nested lists, `ones`, or None where no gradients are wanted.
        trace: positions of numbers whose arithmetic is wanted, true for the first ones.
    """

    weights: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    statistics: Statistics = "running"
    output_gradient: Any = None
    trace: bool | Sequence[Sequence[int]] = False


@dataclass(frozen=True)
class Task:
    """An operation that is ready to run.

    Attributes:
        operation: the layer on inputs of these shapes.
        inputs: what it is applied to.
        given: weights that were sent, by the names that the operation gives them; `run` draws the others.
        context: which statistics apply, and the seed of what is drawn.
        output_gradient: gradient of the output, in the output's own shape; None where no gradients are wanted.
        positions: of numbers of the output whose arithmetic is wanted.
    """

    operation: Operation
    inputs: Inputs
    given: dict[str, Array]
    context: Context
    output_gradient: Array | None
    positions: tuple[Position, ...] = ()

    @property
    def memory(self) -> int:
        """The bytes that running it takes, as estimated."""
        gradients = self.output_gradient is not None
        return self.operation.work(records=gradients).numbers * _number_bytes(self.inputs, gradients)


@dataclass(frozen=True)
class Gradients:
    """dL/dx of each input, dL/dw of each weight that is learned, and how far they are from differences."""

    inputs: tuple[Array, ...]
    weights: dict[str, Array]
    check: NumericCheck


@dataclass(frozen=True)
class Result:
    """What an operation gave; arrays are in their own shapes, `Inputs.shown` makes them those of the sender."""

    task: Task
    weights: dict[str, Array]
    output: Array
    gradients: Gradients | None
    traces: tuple[NodeTrace, ...]


def read_inputs(input_: Any, inputs: Sequence[Any] | None) -> Inputs:
    """Return the numbers of a body: of one input, or of several.

    Raises:
        Invalid: they are no numbers of equal lists; none or both are given.
    """
    if (input_ is None) == (inputs is None):
        both = "input and inputs are both given" if inputs is not None else "there is nothing to compute with"
        raise Invalid.at("input", both, "send `input`, `image`, or `inputs` where a layer takes several")
    if inputs is None:
        places: list[tuple[Keys, Any]] = [(("input",), input_)]
    else:
        places = [(("inputs", number), value) for number, value in enumerate(inputs)]
    arrays = [array(value, place, (1, 2, 3)) for place, value in places]
    maps = [x for x in arrays if x.ndim > 1]
    whole = tuple(x[..., None] if x.ndim == 2 else x for x in arrays)
    return Inputs(whole, bool(maps) and all(x.ndim == 2 for x in maps), places[0][0][:1])


def prepare(
    layer: LayerRecord, inputs: Inputs, options: Options, limits: Limits, place: Keys = ("layer",)
) -> Task:
    """Return an operation that is ready to run: its shapes fit, and it is within the limits.

    Args:
        layer: the layer or block.
        inputs: what it is applied to.
        options: weights, and what is wanted beside the output.
        limits: what it may need.
        place: the field of the body that the layer's hyperparameters stand in; empty where they have none of their
            own: then a refusal of what takes too much names the input.

    Raises:
        ShapeError, GraphError, LimitError, Invalid, TooLarge: as their place and hint say.
    """
    operation = _build(layer, inputs, limits, place)
    _check_work(operation, inputs, options.output_gradient is not None, limits, place)
    positions = choose(operation, options.trace, options.statistics)
    given = _given_weights(operation, options.weights, inputs.precision)
    dy = _gradient_of_output(operation, inputs, options.output_gradient)
    context = Context(statistics=options.statistics, seed=options.seed)
    return Task(operation, inputs, given, context, dy, positions)


def run(task: Task, go_on: Callable[[], None] = lambda: None) -> Result:
    """Compute an operation, and the gradients and traces that are wanted.

    `go_on` is called on the way, and may raise.
    """
    xs, operation = task.inputs.arrays, task.operation
    weights = operation.initial_weights(task.context.seed, task.inputs.precision) | task.given
    # what becomes infinite or undefined is part of the answer
    with np.errstate(all="ignore"):
        traces = trace(operation, xs, weights, task.positions)
        if task.output_gradient is None:
            go_on()
            tape = operation.forward(weights, xs, task.context)
            return Result(task, weights, tape.output[0], None, traces)
        dy = task.output_gradient
        go_on()
        output, dxs, dweights = operation.gradients(weights, xs, dy, task.context)
        gradients = Gradients(dxs, dweights, _check(task, weights, dy, dxs, dweights, go_on))
        return Result(task, weights, output, gradients, traces)


def _build(layer: LayerRecord, inputs: Inputs, limits: Limits, place: Keys) -> Operation:
    try:
        return Operation.build(layer, inputs.shapes, limits.parameters)
    except EngineError as error:
        if error.path or isinstance(error, LimitError):
            raise error.within(*place) from None
        # the examples of a layer say whether it takes maps, vectors or both
        levels = {len(shape) for example in layer.examples for shape in example.inputs}
        if {len(shape) for shape in inputs.shapes} <= levels:
            raise error.within(*inputs.place) from None
        form = "a list of numbers (C)" if levels == {1} else "lists (H, W) or (H, W, C)"
        raise type(error)(error.detail, path=inputs.place, hint=f"send {form}") from None


def _check_work(operation: Operation, inputs: Inputs, gradients: bool, limits: Limits, place: Keys) -> None:
    work = operation.work(records=gradients)
    hint = "use a smaller input, a smaller window or fewer filters; an operator can raise the limit"
    for needed, limit, what in (
        (work.numbers * _number_bytes(inputs, gradients), limits.memory_bytes, MEMORY),
        (work.operations * (3 if gradients else 1), limits.steps, ARITHMETIC),
    ):
        if needed > limit:
            raise exceeded(place or inputs.place, what, needed, limit, hint)


def _number_bytes(inputs: Inputs, gradients: bool) -> int:
    """Return the bytes of each number; gradients are checked in float64."""
    return 8 if gradients else np.dtype(inputs.precision).itemsize


def _given_weights(
    operation: Operation, weights: Mapping[str, Any], precision: type[np.floating[Any]]
) -> dict[str, Array]:
    specs = operation.weight_specs
    given = {}
    for name, value in weights.items():
        if name not in specs:
            known = ", ".join(f"{each} {written(spec.shape)}" for each, spec in specs.items())
            raise Invalid.at(
                ("weights", name),
                f"{operation.layer.type} has no weight {name!r}",
                f"it has {known}" if specs else "it has no weights at all: leave them out",
            )
        place = ("weights", name)
        numbers = _fitted(value, specs[name], place)
        given[name] = narrowed(numbers, place) if precision == np.float32 else numbers
    return given


def _fitted(value: Any, spec: WeightSpec, place: Keys) -> Array:
    """Return an array in the shape of a spec; axes of length 1 at its end may have been left out."""
    numbers = array(value, place, range(5)) if not isinstance(value, np.ndarray) else value
    missing = len(spec.shape) - numbers.ndim
    if missing < 0 or (*numbers.shape, *[1] * missing) != spec.shape:
        raise Invalid.at(
            place,
            f"an array {written(numbers.shape)} where {written(spec.shape)} is needed",
            f"its axes are {', '.join(spec.axes)}; those of length 1 at the end can be left out",
        )
    return numbers.reshape(spec.shape)


def _gradient_of_output(operation: Operation, inputs: Inputs, value: Any) -> Array | None:
    if value is None:
        return None
    shape = operation.output_shape
    if value == "ones":
        return np.ones(shape, inputs.precision)
    numbers = array(value, ("output_gradient",), (1, 2, 3))
    if shape not in {numbers.shape, (*numbers.shape, 1)}:
        raise Invalid.at(
            "output_gradient",
            f"an array {written(numbers.shape)} where the output is {written(shape)}",
            'give a number for each number of the output, or "ones"',
        )
    numbers = numbers.reshape(shape)
    return narrowed(numbers, ("output_gradient",)) if inputs.precision == np.float32 else numbers


def _check(
    task: Task,
    weights: Mapping[str, Array],
    dy: Array,
    dxs: Sequence[Array],
    dweights: Mapping[str, Array],
    go_on: Callable[[], None],
) -> NumericCheck:
    operation = task.operation
    # two passes for each number, and one more
    most = min(_CHECKED, (_CHECK_OPERATIONS // max(1, operation.work(records=False).operations) - 1) // 2)
    if most <= 0:
        return NumericCheck(None, 0, 0)
    picture = np.array(operation.picture(task.inputs.arrays), np.float64)
    wide = {name: np.array(array, np.float64) for name, array in weights.items()}

    def output() -> Array:
        go_on()
        y: Array = operation.forward(wide, operation.parts(picture), task.context).output[0]
        return y

    gradients = [operation.picture(dxs), *dweights.values()]
    return check(output, [picture, *(wide[name] for name in dweights)], gradients, dy, most)
