"""What a converter works with: one node of the graph, its inputs, and ways to ask for them in a certain form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from engine.arrays import Shape
from engine.layers import Layer
from engine.model.onnx_format.records import MAX_AXES, AttributeValue, GraphNode, Tensor
from engine.model.onnx_import.values.builder import Builder, Weight
from engine.model.onnx_import.values.layout import (
    SAMPLES,
    Atoms,
    Layout,
    arranger,
    atom,
    channels_first,
    size,
)
from engine.model.onnx_import.values.value import (
    Budget,
    Computed,
    Constant,
    Unsupported,
    Value,
    derived,
)

T = TypeVar("T", int, float, str, tuple[int, ...], tuple[float, ...])


@dataclass(frozen=True)
class Call:
    """One node, to be converted."""

    node: GraphNode
    version: int
    """Of the rule that was chosen."""
    inputs: tuple[Value | None, ...]
    """None where one is left out."""
    builder: Builder
    budget: Budget
    batch: int | None
    """How large a batch is in the file; None where that is left open."""

    def attribute(self, name: str, default: T) -> T:
        """Return an attribute of the type of its default.

        Raises:
            Unsupported: it is of another type.
        """
        value = self.node.attributes.get(name, default)
        if isinstance(default, float) and isinstance(value, int):
            value = float(value)
        if isinstance(value, tuple) and not value:
            value = type(default)()
        if not isinstance(value, type(default)):
            raise Unsupported(f"an attribute {name!r} like {default!r} and not {value!r}")
        return value

    def has(self, name: str) -> bool:
        """Tell whether an attribute is there."""
        return name in self.node.attributes

    def tensor(self, name: str) -> Tensor:
        """Return an attribute that is a tensor."""
        value: AttributeValue | None = self.node.attributes.get(name)
        if not isinstance(value, Tensor):
            raise Unsupported(f"an attribute {name!r} that is a tensor")
        return value

    def given(self, place: int) -> bool:
        """Tell whether the input at this place is there."""
        return place < len(self.inputs) and self.inputs[place] is not None

    def computed(self, place: int = 0) -> Computed:
        """Return an input that depends on the picture.

        Raises:
            Unsupported: it is left out or a constant.
        """
        value = self.inputs[place] if self.given(place) else None
        if not isinstance(value, Computed):
            raise Unsupported(f"an input {place + 1} that depends on the picture")
        return value

    def constant(self, place: int) -> Constant:
        """Return an input that is a constant.

        Raises:
            Unsupported: it is left out, or depends on the picture.
        """
        value = self.inputs[place] if self.given(place) else None
        if not isinstance(value, Constant):
            raise Unsupported(f"an input {place + 1} that is a constant")
        return value

    def integers(self, name: str, place: int | None = None) -> tuple[int, ...] | None:
        """Return a list of integers that older versions have as an attribute and newer ones as an input."""
        if place is not None and self.given(place):
            return self.constant(place).integers()
        return self.attribute(name, (0,)) if self.has(name) else None

    def axes(self, rank: int, axes: Sequence[int]) -> tuple[int, ...]:
        """Return axes of a tensor of `rank` axes, those counted from the end counted from the start.

        Raises:
            Unsupported: they are others, or some twice, or more than tensors here have.
        """
        if rank > MAX_AXES or len(axes) > rank:
            raise Unsupported(f"tensors of at most {MAX_AXES} axes, each said once")
        if any(not -rank <= axis < rank for axis in axes):
            raise Unsupported(f"axes of a tensor that has {rank} and not {list(axes)}")
        found = tuple(axis % rank for axis in axes)
        if len(set(found)) < len(found):
            raise Unsupported(f"each axis once and not {list(axes)}")
        return found

    def add(self, layer: Layer, *inputs: str, weights: Mapping[str, Weight] | None = None) -> str:
        """Add a layer, called as its weights are in the file, or as its node."""
        return self.builder.add(layer, *inputs, name=self._name(weights), weights=weights)

    def same(self, layer: Layer, value: Computed | None = None) -> list[Value]:
        """Add a layer that computes each number of the first input, or of `value`, from that number."""
        value = value or self.computed()
        return [Computed(self.add(layer, value.node), value.layout)]

    def map(self, value: Computed) -> str:
        """Return a node whose output (N, H, W, C) is the tensor (N, C, H, W), or (N, C, W) with a height of 1.

        Raises:
            Unsupported: the tensor has no such axes.
        """
        dims = value.layout.dims
        if not 3 <= len(dims) <= 4 or dims[0] != (SAMPLES,):
            raise Unsupported("maps (N, C, H, W)")
        height = dims[2] if len(dims) == 4 else ()
        return self.builder.arranged(value, (height, dims[-1], dims[1]))

    def mapped(self, node: str, axes: int) -> Computed:
        """Return the output (N, H, W, C) of a node as a tensor (N, C, H, W), or (N, C, W) if it has three axes."""
        layout = channels_first(self.builder.shape(node))
        return Computed(node, layout if axes == 4 else layout.squeeze([2]))

    def by_channel(self, value: Computed, axes: Sequence[int]) -> ByChannel:
        """Return a node whose last axis runs over these axes of a tensor, in whatever order."""
        layout = value.layout
        wanted: Atoms = sum((layout.dims[axis] for axis in axes), ())
        if SAMPLES in wanted:
            raise Unsupported("numbers that are the same for all pictures of a batch")
        if set(wanted) == set(layout.place[-1]):
            return ByChannel(value, wanted)
        rest = tuple(each for each in layout.flat if each not in wanted)
        ordered = tuple(each for each in layout.flat if each in wanted)
        if layout.flat != rest + ordered:
            ordered = wanted
        place = (rest, (), ordered) if rest else (ordered,)
        return ByChannel(Computed(self.builder.arranged(value, place), layout.moved(place)), wanted)

    def with_channels(self, value: Computed, axis: int) -> Computed:
        """Return a tensor in a node whose channels are one axis of it, in that order."""
        layout = value.layout
        channels = layout.dims[axis]
        if SAMPLES in channels:
            raise Unsupported("channels on another axis than the batch")
        if set(channels) == set(layout.place[-1]):
            place = (*layout.place[:-1], channels)
        else:
            place = (tuple(each for each in layout.flat if each not in channels), (), channels)
        return Computed(self.builder.arranged(value, place), layout.moved(place))

    def spaced(self, value: Computed, axes: Sequence[int]) -> Spaced:
        """Return a node in which certain axes of a tensor, at most two, are height and width.

        Raises:
            Unsupported: there are more, or one is the batch.
        """
        layout = value.layout
        rank = len(layout.dims)
        space = layout.place[:-1]
        if all(layout.dims[axis] and layout.dims[axis] in space for axis in axes):
            return Spaced(value.node, layout, {axis: space.index(layout.dims[axis]) for axis in axes})
        two = next((pair for pair in ((2, 3), (1, 2)) if rank == 4 and set(axes) <= set(pair)), tuple(axes))
        if rank == 4 and set(axes) <= {1, 2} and layout.place[:-1] == layout.dims[2:]:
            two = tuple(axes)  # the channels of (N, C, H, W), and perhaps its height
        if len(two) > 2 or any(SAMPLES in layout.dims[axis] for axis in two):
            raise Unsupported("no more than two axes that change, such as height and width")
        rows = dict(zip(two, range(2 - len(two), 2), strict=True))
        rows_of_map = tuple(layout.dims[axis] for axis in two)
        channels = tuple(each for each in layout.flat if not any(each in dim for dim in rows_of_map))
        place = (*((),) * (2 - len(two)), *rows_of_map, channels)
        return Spaced(self.builder.arranged(value, place), layout.moved(place), rows)

    def stretch(self, value: Computed, constant: Constant) -> Stretched:
        """Bring numbers that are stretched over a tensor into the form of `StretchedLayer`.

        Raises:
            Unsupported: the tensor would be stretched too.
        """
        sizes = (1,) * (len(value.shape) - len(constant.shape)) + constant.shape
        axes = [axis for axis, each in enumerate(sizes) if each > 1]
        more = len(sizes) - len(value.shape)
        layout = Layout(((),) * more + value.layout.dims, value.layout.place)
        if any(layout.sizes[axis] != sizes[axis] for axis in axes):
            raise Unsupported(
                f"a constant that is stretched over the other input, and not {list(constant.shape)}"
            )
        value = Computed(value.node, layout)
        wanted: Atoms = sum((layout.dims[axis] for axis in axes), ())
        row = constant.reshaped((constant.elements,))
        if not wanted:
            return Stretched(value, Weight(row, ("channels",)), {"shared": True, "per_pixel": False})
        space = sum(layout.place[:-1], ())
        if space and set(wanted) in (set(space), set(layout.flat)):
            order = tuple(each for each in layout.flat if each in wanted)
            shared = set(wanted) == set(space)
            shape = (*layout.shape[:-1], 1) if shared else layout.shape
            numbers = row.changed(row.shape, arranger(wanted, order, 0)).reshaped(shape)
            form = {"shared": shared, "per_pixel": True}
            return Stretched(value, Weight(numbers, ("height", "width", "channels")), form)
        channelled = self.by_channel(value, axes)
        weight = Weight(channelled.along(row), ("channels",))
        return Stretched(channelled.value, weight, {"shared": False, "per_pixel": False})

    def derive(self, make: Callable[[], object], shape: Shape, like: Constant, *others: Constant) -> Constant:
        """Return a constant of the type of `like` that is computed from it, and from others."""
        sources = (like, *others)
        self.budget.charge(_product(shape) - sum(source.elements for source in sources))
        return derived(make, shape, like.dtype, *sources)  # type: ignore[arg-type]

    def _name(self, weights: Mapping[str, Weight] | None) -> str:
        for weight in (weights or {}).values():
            for separator in ("/", "."):
                prefix, found, _ = weight.constant.name.rpartition(separator)
                if found and prefix:
                    return prefix
        return self.node.name or next(filter(None, self.node.outputs), "")


class Stretched(NamedTuple):
    """A value, and numbers that a layer stretches over it."""

    value: Computed
    weight: Weight
    form: dict[str, bool]
    """Hyperparameters of a `StretchedLayer`."""


class Spaced(NamedTuple):
    """A node of maps, and which axes of the tensor that it is are height and width."""

    node: str
    layout: Layout
    rows: dict[int, int]
    """Of each such axis whether it is the first here, height, or the second."""

    def changed(self, node: str, shape: Shape) -> Computed:
        """Return a node of another height and width as the tensor whose axes those are."""
        dims, place = list(self.layout.dims), list(self.layout.place)
        for axis, row in self.rows.items():
            if size(place[row]) != shape[row]:
                dims[axis] = place[row] = atom(shape[row])
        return Computed(node, Layout(tuple(dims), tuple(place)))


class ByChannel(NamedTuple):
    """A value whose node has certain axes of a tensor as its channels."""

    value: Computed
    atoms: Atoms
    """Those axes, in the order of ONNX."""

    @property
    def node(self) -> str:
        """The node."""
        return self.value.node

    @property
    def layout(self) -> Layout:
        """How the tensor lies in it."""
        return self.value.layout

    def along(self, constant: Constant, axis: int = 0) -> Constant:
        """Bring numbers that are ordered as the tensor along one axis into the order of the node's channels."""
        if constant.shape[axis] != size(self.atoms):
            raise Unsupported(
                f"{size(self.atoms)} numbers, one for each channel, where there are {constant.shape[axis]}"
            )
        if self.atoms == self.layout.place[-1]:
            return constant
        return constant.changed(constant.shape, arranger(self.atoms, self.layout.place[-1], axis))

    def replaced(self, node: str, channels: Atoms, axis: int) -> Computed:
        """Return a node of other channels as the tensor whose axis `axis` they are."""
        dims = tuple(channels if at == axis else dim for at, dim in enumerate(self.layout.dims))
        return Computed(node, Layout(dims, (*self.layout.place[:-1], channels)))


def _product(shape: Shape) -> int:
    product = 1
    for each in shape:
        product *= each
    return product


Converter = Callable[[Call], list[Value]]


class Rule(NamedTuple):
    """How an operator becomes layers, from one version of it on."""

    type: str
    since: int
    convert: Converter
    domain: str = ""
