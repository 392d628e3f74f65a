"""Boxes in their blocks: which arrows run inside of which frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.pictures.diagram.cards import Card

Item = str
"""The name of a card, or of a frame with a `/` behind it: the two never meet."""


@dataclass(slots=True)
class Arrow:
    """Where one card's output runs inside of one frame: from one item, or from above, to others, and out below."""

    source: str
    """The card whose output it carries."""
    start: Item | None
    """None where it enters the frame from outside."""
    ends: dict[Item, None] = field(default_factory=dict)
    """The frames inside that it enters, in order."""
    inputs: list[tuple[Item, int]] = field(default_factory=list)
    """Cards that it ends in, each with the number of the input."""
    leaves: bool = False
    """Whether something outside reads it, so that it runs on through the lower side."""


@dataclass(slots=True)
class Frame:
    """A block, or the whole network: items in order, and what runs between them."""

    name: str
    """Empty for the whole network."""
    title: str
    cards: dict[Item, Card] = field(default_factory=dict)
    frames: dict[Item, Frame] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    """In an order in which each comes after what it reads."""
    arrows: dict[str, Arrow] = field(default_factory=dict)
    """By source."""

    def arrow(self, source: str, start: Item | None) -> Arrow:
        """Return what carries this card's output here, begun if there is none yet."""
        return self.arrows.setdefault(source, Arrow(source, start))


def nest(cards: Sequence[Card]) -> Frame:
    """Return the whole network as a tree of frames."""
    root = Frame("", "")
    above: dict[str, tuple[Frame, ...]] = {}
    for card in cards:
        above[card.name] = frames = _frames(root, card)
        frames[-1].cards[card.name] = card
        frames[-1].items.append(card.name)
        for number, source in enumerate(card.sources):
            _connect(source, card.name, number, above[source], frames)
    return root


def _frames(root: Frame, card: Card) -> tuple[Frame, ...]:
    """Return the frames around a card, outermost first; those that it is the first in are made."""
    frames = [root]
    for block in card.blocks:
        outer, key = frames[-1], f"{block.name}/"
        if key not in outer.frames:
            short = block.name.removeprefix(outer.name and f"{outer.name}/")
            title = short if block.type in short else f"{short} ({block.type})"
            outer.frames[key] = Frame(block.name, title)
            outer.items.append(key)
        frames.append(outer.frames[key])
    return tuple(frames)


def _connect(
    source: str, target: str, number: int, leaving: tuple[Frame, ...], entering: tuple[Frame, ...]
) -> None:
    """Lead an arrow out of the frames that only its source is in, and into those that only its target is in."""
    shared = sum(1 for one, other in zip(leaving, entering, strict=False) if one is other)
    start = source
    for frame in reversed(leaving[shared:]):
        frame.arrow(source, start).leaves = True
        start = f"{frame.name}/"
    begin: Item | None = start
    for depth in range(shared - 1, len(entering)):
        arrow = entering[depth].arrow(source, begin)
        if depth + 1 < len(entering):
            arrow.ends[f"{entering[depth + 1].name}/"] = None
        else:
            arrow.inputs.append((target, number))
        begin = None
