"""How the axes of an ONNX tensor map to those of a node of ours.

A node's output is (N, H, W, C) or (N, C). Its axes, or factors of them, are atoms. An axis of ONNX is a row of atoms,
from the slowest to the fastest: that of channels is one atom, that of a flattened map three, (C, H, W). So a Transpose
is another order of rows, a Reshape another grouping of the same atoms, some of them split; neither needs a layer until
somebody needs the numbers in another order than they are. Axes of size 1 have no atoms.

>>> before = channels_first((4, 5, 6))        # (N, 6, 4, 5) of (N, 4, 5, 6)
>>> split = before.reshape((BATCH, 2, 3, 4, 5))
>>> split.transpose((0, 2, 1, 3, 4)).reshape((BATCH, 6, 4, 5)).place == before.place
False
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.arrays import Array, Shape

BATCH = 2_147_483_629
"""Stands for the size of a batch while a graph is taken apart: a prime that no other size reaches, so that whatever
is computed with it, as N*C, can be told from all that is computed without."""


@dataclass(frozen=True, eq=False, slots=True)
class Atom:
    """An axis of a node's output, or a factor of one."""

    size: int


Atoms = tuple[Atom, ...]
SAMPLES = Atom(BATCH)
"""The axis of the batch."""


@dataclass(frozen=True)
class Layout:
    """Where the atoms of a tensor are, there and here."""

    dims: tuple[Atoms, ...]
    """Of each axis in ONNX."""
    place: tuple[Atoms, ...]
    """Of each axis here, without the batch: of a map those of (height, width, channels), of a vector (channels,)."""

    @property
    def sizes(self) -> Shape:
        """The shape in ONNX; sizes of which the batch is a factor are multiples of `BATCH`."""
        return tuple(map(size, self.dims))

    @property
    def shape(self) -> Shape:
        """The shape here."""
        return tuple(map(size, self.place))

    @property
    def order(self) -> Atoms:
        """All atoms in the order of ONNX."""
        return sum(self.dims, ())

    @property
    def flat(self) -> Atoms:
        """All atoms but the batch, in the order of ours."""
        return sum(self.place, ())

    def transpose(self, axes: Sequence[int]) -> Layout:
        """Return the layout with the axes of ONNX in this order."""
        return Layout(tuple(self.dims[axis] for axis in axes), self.place)

    def reshape(self, sizes: Sequence[int]) -> Layout | None:
        """Return the layout with other sizes in ONNX; None if they would cut through an atom unevenly."""
        rest = list(self.order)
        split: dict[Atom, Atoms] = {}
        dims = []
        for wanted in sizes:
            taken = []
            while wanted > 1 and rest:
                atom = rest.pop(0)
                if atom.size > 1 and wanted % atom.size == 0:
                    taken.append(atom)
                    wanted //= atom.size
                elif atom.size % wanted == 0:
                    first, second = Atom(wanted), Atom(atom.size // wanted)
                    split[atom] = (first, second)
                    taken.append(first)
                    rest.insert(0, second)
                    wanted = 1
                else:
                    return None
            if wanted != 1:
                return None
            dims.append(tuple(taken))
        if rest:
            return None
        return Layout(tuple(dims), _replaced(self.place, split))

    def squeeze(self, axes: Iterable[int]) -> Layout:
        """Return the layout without these axes, whose size is 1."""
        gone = set(axes)
        return Layout(tuple(dim for axis, dim in enumerate(self.dims) if axis not in gone), self.place)

    def moved(self, place: tuple[Atoms, ...]) -> Layout:
        """Return the layout of the same tensor in a node whose axes are these."""
        return Layout(self.dims, place)

    def split(self, parts: Mapping[Atom, Atoms]) -> Layout:
        """Return the layout with atoms replaced by their factors."""
        return Layout(_replaced(self.dims, parts), _replaced(self.place, parts))

    def renamed(self, names: Mapping[Atom, Atom]) -> Layout:
        """Return the layout with other atoms in the place of some."""

        def row(atoms: Atoms) -> Atoms:
            return tuple(names.get(atom, atom) for atom in atoms)

        return Layout(tuple(map(row, self.dims)), tuple(map(row, self.place)))

    def to_onnx(self, batch: Array) -> Array:
        """Return a node's output (N, *shape) as the tensor of ONNX."""
        atoms = (SAMPLES, *self.flat)
        apart = batch.reshape(len(batch), *(atom.size for atom in atoms[1:]))
        turned = apart.transpose([atoms.index(atom) for atom in self.order])
        sizes = [math.prod(len(batch) if atom is SAMPLES else atom.size for atom in dim) for dim in self.dims]
        return turned.reshape(sizes)

    def from_onnx(self, tensor: Array) -> Array:
        """Return a tensor of ONNX as a node's output (N, *shape)."""
        samples = tensor.size // math.prod(atom.size for atom in self.flat)
        order = self.order
        apart = tensor.reshape([samples if atom is SAMPLES else atom.size for atom in order])
        atoms = (SAMPLES, *self.flat)
        return apart.transpose([order.index(atom) for atom in atoms]).reshape(samples, *self.shape)


def size(atoms: Atoms) -> int:
    """Return the size of an axis of these atoms."""
    return math.prod(atom.size for atom in atoms)


def atom(size: int) -> Atoms:
    """Return a new axis; one of size 1 has no atoms."""
    return () if size == 1 else (Atom(size),)


def channels_first(shape: Shape) -> Layout:
    """Return the layout (N, C, H, W) of a map (H, W, C), or (N, C) of a vector (C,)."""
    place = tuple(map(atom, shape))
    return Layout(((SAMPLES,), *place[-1:], *place[:-1]), place)


def channels_last(shape: Shape) -> Layout:
    """Return the layout (N, H, W, C) of a map (H, W, C)."""
    place = tuple(map(atom, shape))
    return Layout(((SAMPLES,), *place), place)


def aligned(first: Layout, second: Layout) -> tuple[Layout, Layout] | None:
    """Return two layouts with one set of atoms, those of the first; None if their axes do not meet.

    Axes of ONNX meet from the last one backwards. Where one of the two has size 1 the other keeps its atoms.
    """
    while True:
        names: dict[Atom, Atom] = {}
        for one, other in zip(reversed(first.dims), reversed(second.dims), strict=False):
            if not one or not other:
                continue
            if size(one) != size(other):
                return None
            parts = _meeting(one, other, names)
            if parts is None:
                return None
            if parts[0] or parts[1]:
                first, second = first.split(parts[0]), second.split(parts[1])
                break
        else:
            return first, second.renamed(names)


def _meeting(
    one: Atoms, other: Atoms, names: dict[Atom, Atom]
) -> tuple[dict[Atom, Atoms], dict[Atom, Atoms]] | None:
    """Note which atoms of two equal axes are the same, or return by what factors one has to be split; None if none."""
    for mine, theirs in zip(one, other, strict=False):
        if mine.size == theirs.size:
            names[theirs] = mine
        elif mine.size % theirs.size == 0:
            return {mine: (Atom(theirs.size), Atom(mine.size // theirs.size))}, {}
        elif theirs.size % mine.size == 0:
            return {}, {theirs: (Atom(mine.size), Atom(theirs.size // mine.size))}
        else:
            return None
    return {}, {}


def _replaced(rows: tuple[Atoms, ...], parts: Mapping[Atom, Atoms]) -> tuple[Atoms, ...]:
    def whole(atom: Atom) -> Atoms:
        return sum(map(whole, parts[atom]), ()) if atom in parts else (atom,)

    return tuple(sum(map(whole, row), ()) for row in rows)


def arranger(before: Atoms, after: Atoms, axis: int) -> Callable[[Array], Array]:
    """Return what brings the numbers along one axis of an array from one order of atoms into another."""
    order = [before.index(atom) for atom in after]
    if order == sorted(order):
        return lambda array: array

    def arranged(array: Array) -> Array:
        at = axis % array.ndim
        apart = array.reshape(*array.shape[:at], *(atom.size for atom in before), *array.shape[at + 1 :])
        rest = range(at + len(before), apart.ndim)
        turned = np.transpose(apart, (*range(at), *(at + place for place in order), *rest))
        return turned.reshape(array.shape)

    return arranged


def written(sizes: Sequence[int]) -> str:
    """Return a shape for messages, with N for the size of a batch."""

    def text(each: int) -> str:
        if each % BATCH or not each:
            return str(each)
        return "N" if each == BATCH else f"{each // BATCH}*N"

    return f"[{', '.join(map(text, sizes))}]"
