"""What a model's scores come from, in pictures as they were sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.errors import Invalid
from app.models.opened import OpenedModel, unknown_node
from app.models.prediction import Picture
from app.pictures.bounds import Bounds
from app.store.records import ModelRecord
from app.text import did_you_mean
from engine.errors import EngineError
from engine.graph.network import Network
from engine.model.explanations import Explanation, Finding, explain
from engine.model.explanations.score import kept_bytes, step_bytes

_WORDS = {"class": "class", "labels": "label", "values": "value"}
_MOST_NAMES = 20
"""Names of classes that an error lists."""


def word(record: ModelRecord) -> str:
    """Return what one of the model's outputs is: a class, a label or a value."""
    return _WORDS[record.target]


def index_of(record: ModelRecord, name: str | None) -> int | None:
    """Return which output has a name; None, if none is given, stands for the predicted one.

    Raises:
        Invalid: the model has none of that name; or none is given, and the model predicts several values.
    """
    listed = ", ".join(record.classes[:_MOST_NAMES])
    more = len(record.classes) - _MOST_NAMES
    names = f"{listed} and {more} more" if more > 0 else listed
    if name is None:
        if record.target != "values":
            return None
        if len(record.classes) == 1:
            return 0
        detail = "the model predicts several values, and one of them is explained"
        raise Invalid.at("class", detail, f"name one of {names}", parameter=True)
    if name in record.classes:
        return record.classes.index(name)
    hint = did_you_mean(name, record.classes, f"name one of {names}", 3)
    raise Invalid.at(
        "class", f"the model has no {word(record)} {name[:100]!r}", hint, parameter=True, code="unknown-class"
    )


def check(
    opened: OpenedModel, method: Explanation, pictures: int, *, most_multiply_adds: int, most_bytes: int
) -> None:
    """Refuse a method that this model cannot be explained by, or that takes more than is allowed.

    Raises:
        Invalid: an option does not fit the network; a pass back needs more memory than `most_bytes`; or all passes
            take more than `most_multiply_adds`.
    """
    network = opened.scoring
    node = getattr(method, "node", None)
    if node is not None and node not in {known.name for known in network.nodes}:
        raise unknown_node(node, [known.name for known in network.nodes if len(known.output_shape) == 3])
    try:
        method.check(network)
    except EngineError as error:
        raise Invalid.at(error.path or "method", error.detail, error.hint, parameter=True) from None
    if method.passes(network).backward:
        check_way_back(network, "method", "use occlusion, which takes none", most_bytes)
    each = network.multiply_adds
    passes = pictures * (method.passes(network).total + 1)  # one finds the predicted class
    if passes * each > most_multiply_adds:
        fitting = most_multiply_adds // max(1, each)
        raise Invalid.at(
            "method",
            f"{method.type} of {pictures} {'picture' if pictures == 1 else 'pictures'} takes up to {passes:,} passes "
            f"of {each:,} multiply-adds through this network; at most {fitting:,} passes are taken here",
            f"{method.lower}; the operator can raise CONVSERVE_MAX_EXPLANATION_MULTIPLY_ADDS",
            parameter=True,
            code="too-many-passes",
            numbers={"passes": passes, "multiply_adds": passes * each, "limit_passes": fitting},
        )


def check_way_back(network: Network, parameter: str, hint: str, most_bytes: int) -> None:
    """Refuse a pass back through a network, which keeps the outputs of all nodes, where memory does not allow it.

    Raises:
        Invalid: it needs more than `most_bytes`; `parameter` is what asked for it.
    """
    needed = kept_bytes(network)
    if needed > most_bytes:
        raise Invalid.at(
            parameter,
            f"a pass back through this network needs about {needed:,} bytes of memory, and {most_bytes:,} are allowed",
            hint,
            parameter=True,
            code="memory-limit-exceeded",
            numbers={"needed_bytes": needed, "limit_bytes": most_bytes},
        )


def explain_pictures(
    opened: OpenedModel,
    method: Explanation,
    pictures: Sequence[Picture],
    index: int | None,
    bounds: Bounds,
    *,
    relative: bool = False,
) -> Iterator[list[Finding] | None]:
    """Explain pictures one after the other; yields None between passes, and at last what was found in each.

    With `relative` it is explained how much larger the score is than the mean of all.

    Raises:
        Invalid: one is no picture, or is damaged.
        TooLarge: one has too many pixels.
    """
    found: list[Finding] = []
    network, model = opened.scoring, opened.model
    needed = step_bytes(network)
    for picture in pictures:
        x = opened.images([picture], bounds)[0]
        findings = explain(method, network, model.weights, model.preprocessing, x, index, relative=relative)
        finding = None
        while finding is None:
            # not held while others have their turn: one of them may wait for it
            with bounds.reserve(needed):
                finding = next(findings)
            if finding is None:
                yield None
        found.append(finding)
    yield found
