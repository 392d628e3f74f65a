"""Blocks: layers written nested, which expand into the nodes of one flat graph."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from engine.arrays import Shape
from engine.errors import ShapeError
from engine.layers.activation import ReLU
from engine.layers.base import AnyLayer, Block, Example, Layer, Scope
from engine.layers.convolution import Conv2D
from engine.layers.merge import Add, Concatenate
from engine.layers.parameters import Activation

_CONV = {"type": "conv2d", "filters": 2, "kernel_size": 3, "padding": "same"}


class Residual(Block):
    """A body of layers and a shortcut around it, added: a = psi(z + shortcut(a_before)).

    `identity` passes the input on. `projection` is a learned 1x1 convolution that brings it to the body's
    shape, `fixed_projection` one that is not learned: it takes every s-th pixel and fills new channels with 0.
    Or the shortcut is a list of layers of its own.
    """

    type: Literal["residual"] = "residual"
    layers: Annotated[tuple[AnyLayer, ...], Field(min_length=1)]
    """The body."""
    shortcut: Literal["identity", "projection", "fixed_projection"] | tuple[AnyLayer, ...] = "identity"
    """What leads around the body."""
    activation: Activation | None = ReLU()
    """The article's psi, after the sum."""

    examples = (
        Example({"type": "residual", "layers": [_CONV | {"activation": "relu"}, _CONV]}, ((5, 4, 2),)),
        Example(
            {"type": "residual", "layers": [_CONV | {"stride": 2}], "shortcut": "projection"}, ((5, 6, 3),)
        ),
        Example(
            {"type": "residual", "layers": [_CONV | {"stride": 2}], "shortcut": "fixed_projection"},
            ((5, 5, 1),),
        ),
        Example(
            {
                "type": "residual",
                "layers": [_CONV, {"type": "batch_norm"}],
                "shortcut": [{"type": "conv2d", "filters": 2, "kernel_size": 1}, {"type": "batch_norm"}],
                "activation": None,
            },
            ((4, 4, 3),),
        ),
    )
    formula = "a = psi(z + W_s a_before), W_s the identity, learned or fixed"
    source = "He et al. 2015, Deep residual learning for image recognition, section 3.2, equations 1 and 2"

    def expand(self, scope: Scope, source: str) -> str:
        body = scope.chain(self.layers, source, ("layers",), name="body")
        if isinstance(self.shortcut, tuple):
            around = scope.chain(self.shortcut, source, ("shortcut",), name="shortcut")
        elif self.shortcut == "identity":
            around = source
        else:
            layer = self._projection(scope.shape(source), scope.shape(body))
            around = scope.add(layer, (source,), "shortcut")
        if scope.shape(body) != scope.shape(around):
            raise ShapeError(
                f"the body gives {_written(scope.shape(body))} but the shortcut {_written(scope.shape(around))}",
                path=("shortcut",),
                hint="use shortcut 'projection', or give the body padding 'same', stride 1 and "
                f"{scope.shape(source)[-1]} channels at its end",
            )
        total = scope.add(Add(), (body, around), "add")
        return total if self.activation is None else scope.add(self.activation, (total,), "activation")

    def _projection(self, source: Shape, target: Shape) -> Layer:
        if len(source) != 3 or len(target) != 3:
            raise ShapeError(
                f"a projection is a 1x1 convolution of a map, but it would lead from {_written(source)} "
                f"to {_written(target)}",
                path=("shortcut",),
                hint="give the shortcut as a list of layers",
            )
        # a 1x1 window at stride s has ceil(n / s) positions, so s is found from the sizes
        strides = tuple(-(-n // m) for n, m in zip(source[:2], target[:2], strict=True))
        if tuple(-(-n // s) for n, s in zip(source[:2], strides, strict=True)) != target[:2]:
            raise ShapeError(
                f"no stride of a 1x1 convolution leads from {_written(source)} to {_written(target)}",
                path=("shortcut",),
                hint="use padding 'same' in the body",
            )
        learned: dict[str, Any] = {
            "filters": target[2],
            "kernel_size": (1, 1),
            "stride": strides,
            "bias": False,
        }
        if self.shortcut == "fixed_projection":
            return Conv2D(**learned, weight_initializer="dirac", trainable=False)
        return Conv2D(**learned)


class Parallel(Block):
    """Several branches side by side from one input, concatenated or added."""

    type: Literal["parallel"] = "parallel"
    branches: Annotated[tuple[tuple[AnyLayer, ...], ...], Field(min_length=2)]
    """Lists of layers; an empty one passes the input on."""
    merge: Literal["concatenate", "add"] = "concatenate"
    """How the branches' outputs become one."""

    examples = (
        Example(
            {
                "type": "parallel",
                "branches": [
                    [_CONV],
                    [{"type": "max_pool2d", "pool_size": 3, "stride": 1, "padding": "same"}],
                ],
            },
            ((4, 5, 2),),
        ),
        Example({"type": "parallel", "branches": [[_CONV], []], "merge": "add"}, ((4, 4, 2),)),
    )
    formula = "a = [branch_1(a_before), branch_2(a_before), ...]"
    source = "Szegedy et al. 2014, Going deeper with convolutions, section 4"

    def expand(self, scope: Scope, source: str) -> str:
        ends = [
            scope.chain(branch, source, ("branches", number), name=f"branch_{number + 1}")
            for number, branch in enumerate(self.branches)
        ]
        layer = Concatenate() if self.merge == "concatenate" else Add()
        return scope.add(layer, ends, self.merge)


def _written(shape: Shape) -> str:
    return "x".join(map(str, shape))
