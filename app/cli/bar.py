"""The bar of progress on a terminal, redrawn in place."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from app.cli.output import printable


class Bar:
    """A bar with a line of text below it; what is printed meanwhile appears above."""

    def __init__(self, name: str) -> None:
        self._bar = Progress(TextColumn(name), BarColumn(), TaskProgressColumn())
        self._task = self._bar.add_task(name, total=1.0)
        self._live = Live(console=Console(), refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def update(self, text: str, fraction: float | None = None) -> None:
        """Show where it is, and how much of it is done."""
        self._bar.update(self._task, total=None if fraction is None else 1.0, completed=fraction or 0.0)
        self._live.update(Group(self._bar, Text(printable(text))))
