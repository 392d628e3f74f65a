"""Answers of single layers: as JSON, and as files of NumPy."""

from __future__ import annotations

from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse

from app.api.operations import (
    NumericCheck,
    OperationAnswer,
    OperationGradients,
    OperationNode,
    OperationTrace,
)
from app.operations.operation import Result, Task
from app.pictures.bounds import Bounds
from app.web.answers.arrays import check_file_numbers, check_numbers, npz, numbers
from app.web.answers.traces import node_traces
from engine.arrays import Array, elements
from engine.layers import Block

_HINT = "ask for image/png or application/x-npz"
_MOST_WEIGHTS = 10_000


def check_size(task: Task, form: str) -> None:
    """Refuse what would be too much to write as JSON, or into a file, before it is computed.

    Raises:
        TooLarge: output and gradients together have more numbers than are written in this form.
    """
    shapes = [task.operation.output_shape]
    if task.output_gradient is not None:
        shapes += [x.shape for x in task.inputs.arrays]
        shapes += [spec.shape for spec in task.operation.weight_specs.values() if spec.trainable]
    if form != "application/json":
        for shape in shapes:
            check_file_numbers(shape, "use a smaller input or fewer filters")
    else:
        shape = shapes[0] if len(shapes) == 1 else (sum(map(elements, shapes)),)
        check_numbers(shape, _HINT)


def as_json(result: Result, kernel: Array | None = None) -> Response:
    """Return a result as JSON."""
    task, shown = result.task, result.task.inputs.shown
    output = shown(result.output)
    few = sum(array.size for array in result.weights.values()) <= _MOST_WEIGHTS
    nodes = _nodes(task)
    answer = OperationAnswer(
        output=_listed(output),
        output_shape=list(output.shape),
        formula=task.operation.formula,
        weights={name: _listed(array) for name, array in result.weights.items()} if few else None,
        parameters=sum(node.parameters for node in nodes),
        multiply_adds=sum(node.multiply_adds for node in nodes),
        nodes=nodes,
        precision=str(result.output.dtype),
        kernel=None if kernel is None else _listed(kernel),
        gradients=_gradients(result),
        trace=_traces(result) if task.positions else None,
        trace_total=elements(task.operation.output_shape) if task.positions else None,
    )
    return JSONResponse(answer.model_dump(mode="json"))


def as_npz(result: Result, name: str, bounds: Bounds) -> Response:
    """Return the arrays of a result: `output`, `weights/…`, `gradients/inputs/0` and so on, `gradients/weights/…`."""
    shown = result.task.inputs.shown
    arrays = {"output": shown(result.output)}
    arrays |= {f"weights/{name}": array for name, array in result.weights.items()}
    if result.gradients is not None:
        arrays |= {f"gradients/inputs/{n}": shown(dx) for n, dx in enumerate(result.gradients.inputs)}
        arrays |= {f"gradients/weights/{name}": dw for name, dw in result.gradients.weights.items()}
    return npz(arrays, f"{name}.npz", bounds)


def _gradients(result: Result) -> OperationGradients | None:
    found = result.gradients
    if found is None:
        return None
    return OperationGradients(
        inputs=[_listed(result.task.inputs.shown(dx)) for dx in found.inputs],
        weights={name: _listed(dw) for name, dw in found.weights.items()},
        numeric_check=NumericCheck(**found.check._asdict()),
    )


def _traces(result: Result) -> list[OperationTrace]:
    task = result.task
    flat = not isinstance(task.operation.layer, Block) and all(
        len(shape) == 3 and task.inputs.flat and shape[2] == 1
        for shape in (*task.inputs.shapes, task.operation.output_shape)
    )
    shown = []
    for found in node_traces(result.traces, flat=flat):
        around = {name: value for name, value in found if name != "trace"}
        through = None if found.through is None else found.through.trace
        shown.append(OperationTrace(**dict(found.trace) | around | {"through": through}))
    return shown


def _nodes(task: Task) -> list[OperationNode]:
    operation = task.operation
    return [
        OperationNode(
            name=node.name.removeprefix(f"{operation.name}/"),
            type=node.layer.type,
            output_shape=list(node.output_shape),
            formula=node.layer.size_formula(*node.input_shapes),
            parameters=node.parameters,
            multiply_adds=node.layer.cost(*node.input_shapes).multiply_adds,
        )
        for node in operation.network.nodes
        if node.name not in operation.sources
    ]


def _listed(array: Array) -> Any:
    return numbers(array, _HINT)
