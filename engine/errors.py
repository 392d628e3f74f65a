"""What can go wrong in the engine, in terms of the document that the caller wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class EngineError(Exception):
    """A fault with its place and, where there is one, its cure.

    Attributes:
        detail: what is wrong, in a sentence that names the values received.
        path: keys into the caller's document, such as `("layers", 3, "kernel_size")`.
        hint: what would fix it, or None.
    """

    def __init__(self, detail: str, *, path: Sequence[str | int] = (), hint: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.path = tuple(path)
        self.hint = hint

    def within(self, *prefix: str | int) -> EngineError:
        """Return the same fault, seen from a document that holds this one at `prefix`."""
        return type(self)(self.detail, path=(*prefix, *self.path), hint=self.hint)


class ShapeError(EngineError):
    """Shapes that do not meet: a window larger than its input, a sum of unequal maps."""


class GraphError(EngineError):
    """A graph that cannot be built: an unknown input, a name used twice."""


class LimitError(EngineError):
    """More parameters than this installation allows; raised before anything is allocated."""


class ModelFileError(EngineError):
    """A model file or checkpoint that is damaged, foreign or does not fit its own description."""


class Lacking(NamedTuple):
    """Nodes of a graph that no layers here compute, all for one reason."""

    operator: str
    nodes: tuple[str, ...]
    needs: str
    """What they would need."""

    def __str__(self) -> str:
        """Say it in a sentence."""
        named = ", ".join(map(repr, self.nodes[:3]))
        more = f" and {len(self.nodes) - 3} more" if len(self.nodes) > 3 else ""
        return f"{self.operator} ({named}{more}) needs {self.needs}"


class UnsupportedGraphError(ModelFileError):
    """A graph of another library with nodes that no layers here compute.

    Attributes:
        lacking: all of them.
    """

    def __init__(self, lacking: Sequence[Lacking]) -> None:
        super().__init__(
            "the graph has what no layers here compute: " + "; ".join(map(str, lacking)),
            hint="export the model with other operators, or without these nodes",
        )
        self.lacking = tuple(lacking)

    def within(self, *prefix: str | int) -> UnsupportedGraphError:
        """Return the same fault: a graph is a file, and no part of a document."""
        return self


class NonFiniteError(EngineError):
    """The loss or a gradient became NaN or infinite; the weights are still those of the step before."""


class ExportError(EngineError):
    """A network that cannot be written for another runtime, or not be read by it."""
