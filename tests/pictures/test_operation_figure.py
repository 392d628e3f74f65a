"""Figures of operations: legible, nothing overlapping or cut, and with the numbers of the operation."""

from __future__ import annotations

from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from pydantic import TypeAdapter

from app.operations.examples import EDGE, PICTURE, of_layer
from app.operations.figure import Shown, operation_figure
from app.operations.operation import Limits, Options, prepare, read_inputs, run
from app.pictures.drawing import Box, Drawing, Line, Raster, Text
from app.pictures.font import width
from app.pictures.grids import Mark
from app.pictures.operation_figure import Operand, draw_operation
from engine.layers import LAYERS, AnyLayer, LayerRecord

PARSE: TypeAdapter[Any] = TypeAdapter(AnyLayer)
LIMITS = Limits(10_000_000, 1 << 30, 1 << 32)
MARKED, CHOSEN, OUTLINE = "#fff0b8", "#fdb863", "#d95f02"
Rectangle = tuple[float, float, float, float]


def figure(kind: str, body: dict[str, Any]) -> Drawing:
    layer: LayerRecord = PARSE.validate_python({"type": kind, **body.get("layer", {})})
    inputs = read_inputs(body.get("input"), body.get("inputs"))
    asked = body.get("trace", True)
    positions = asked["positions"] if isinstance(asked, dict) else asked
    options = Options(dict(body.get("weights", {})), trace=positions)
    result = run(prepare(layer, inputs, options, LIMITS))
    return operation_figure(
        Shown(kind, result.task.operation, inputs.arrays, result.weights, result.output, result.traces[:2])
    )


def rectangle(text: Text, size: int) -> Rectangle:
    """Return left, top, right and bottom of words, as large as they are painted."""
    length = width(text.words, size)
    left = text.x - {"start": 0, "middle": length / 2, "end": length}[text.anchor]
    return left, text.y - size + 2, left + length, text.y + 2


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def check(drawing: Drawing) -> list[Text]:
    """Check the geometry of a figure, and return its words."""
    texts = [shape for shape in drawing.shapes if isinstance(shape, Text)]
    places = [rectangle(text, drawing.font_size) for text in texts]
    for text, (left, top, right, bottom) in zip(texts, places, strict=True):
        assert left >= 0, text
        assert top >= 0, text
        assert right <= drawing.width, text
        assert bottom <= drawing.height, text
    for (one, first), (other, second) in combinations(zip(texts, places, strict=True), 2):
        assert not overlap(first, second), (one, other)
    pictures = [shape for shape in drawing.shapes if isinstance(shape, Raster)]
    for shape in [*pictures, *(shape for shape in drawing.shapes if isinstance(shape, Box))]:
        assert 0 <= shape.x < shape.x + shape.width <= drawing.width, shape
        assert 0 <= shape.y < shape.y + shape.height <= drawing.height, shape
    for picture in pictures:
        frame = (picture.x, picture.y, picture.x + picture.width, picture.y + picture.height)
        assert not any(overlap(place, frame) for place in places), picture
    for line in (shape for shape in drawing.shapes if isinstance(shape, Line)):
        assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in line.points), line
    for cell in (shape for shape in drawing.shapes if isinstance(shape, Box) and shape.height == 21):
        inside = [
            (text, place)
            for text, place in zip(texts, places, strict=True)
            if cell.y < text.y < cell.y + cell.height and cell.x < text.x < cell.x + cell.width
        ]
        for text, (left, _, right, _) in inside:
            if text.anchor == "middle":
                assert cell.x <= left < right <= cell.x + cell.width, text
    return texts


EXAMPLES = [
    pytest.param(kind.tag(), body, id=f"{kind.tag()}, {title}")
    for kind in LAYERS
    for title, body in of_layer(kind).items()
]


@pytest.mark.parametrize(("kind", "body"), EXAMPLES)
def test_nothing_overlaps_or_is_cut_and_the_traced_number_is_marked(kind: str, body: dict[str, Any]) -> None:
    drawing = figure(kind, body)
    words = [text.words for text in check(drawing)]
    assert {"output", "input"} & set(words) or any(word.startswith("output") for word in words)
    assert any(shape.colour == MARKED for shape in drawing.shapes if isinstance(shape, Box))
    assert any(shape.colour == OUTLINE for shape in drawing.shapes if isinstance(shape, Line))
    root = ElementTree.fromstring(drawing.svg())  # noqa: S314 - our own
    written = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [word.strip() for word in written] == [word.strip() for word in words]


@pytest.mark.parametrize(
    ("kind", "strokes"),
    [
        ("add", [(0, 12), (12, 0)]),
        ("subtract", [(12, 0)]),
        ("multiply", [(10, 10), (10, -10)]),
        ("divide", [(-8, 14)]),
    ],
)
def test_inputs_are_joined_by_the_sign_of_their_layer(kind: str, strokes: list[tuple[int, int]]) -> None:
    drawing = figure(kind, {"inputs": [[[1, 2]], [[3, 4]]]})
    first = next(shape for shape in drawing.shapes if isinstance(shape, Text) and shape.words == "input 1")
    lines = [shape for shape in drawing.shapes if isinstance(shape, Line) and shape.width == 2]
    drawn = [
        tuple(int(end - begin) for begin, end in zip(line.points[0], line.points[-1], strict=True))
        for line in lines
        if max(x for x, _ in line.points) < first.x and line.points[0] != line.points[-1]
    ]
    assert drawn == strokes


def cells(drawing: Drawing, colour: str) -> list[str]:
    """Return the numbers in the cells of a colour, row by row."""
    texts = [shape for shape in drawing.shapes if isinstance(shape, Text)]
    return [
        next(
            text.words for text in texts if box.x < text.x < box.x + box.width and box.y < text.y < box.y + 21
        )
        for box in drawing.shapes
        if isinstance(box, Box) and box.colour == colour and box.height == 21
    ]


def test_the_window_is_marked_in_the_input_the_filter_and_the_output() -> None:
    body = {
        "input": PICTURE,
        "layer": {"filters": 1, "kernel_size": 3},
        "weights": {"weight": [[1, 0, -1]] * 3},
        "trace": [[1, 2, 0]],
    }
    drawing = figure("conv2d", body)
    window = [str(PICTURE[row][column]) for row in (1, 2, 3) for column in (2, 3, 4)]
    output = (8 + 2 + 3) - (3 + 1 + 7)
    assert cells(drawing, MARKED) == [*window, *(["1", "0", "-1"] * 3), str(output)]


def test_padding_is_drawn_around_the_input() -> None:
    drawing = figure("conv2d", {"input": EDGE, "layer": {"filters": 1, "kernel_size": 3, "padding": 1}})
    texts = check(drawing)
    assert sum(text.colour == "#999999" for text in texts) == 8 * 8 - 6 * 6


def test_the_winner_of_a_pool_stands_out() -> None:
    drawing = figure("max_pool2d", {"input": PICTURE, "layer": {"pool_size": 2}, "trace": [[0, 1, 0]]})
    assert cells(drawing, CHOSEN) == ["9"]
    assert sorted(cells(drawing, MARKED)) == ["1", "2", "8", "9"]


def test_the_part_of_a_long_vector_that_is_drawn_holds_the_mark() -> None:
    numbers = np.arange(100.0)
    drawing = draw_operation("a vector", [[Operand("v", numbers, mark=Mark(range(70, 71)))]], [])
    assert cells(drawing, MARKED) == ["70"]
    assert any("numbers 62 to 77" in text.words for text in check(drawing))


@pytest.mark.parametrize(
    "shape", [(512, 300, 3), (40, 13, 1), (13, 2, 9), (1, 500, 2), (500,), (30, 40), (3, 3, 64, 64)]
)
def test_large_arrays_fit(shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(0)
    numbers = draw.normal(0, 1e7, shape)
    drawing = draw_operation(
        "large", [[Operand("a", numbers), Operand("b", numbers, "=")]], ["1 + 2 = 3 " * 60]
    )
    check(drawing)
    assert drawing.width < 2000
    assert drawing.height < 2000


def test_which_of_many_filters_are_drawn_is_said() -> None:
    narrow = draw_operation("few", [[Operand("weight", np.ones((3, 3, 2, 6)))]], [])
    assert any("filters 0 to 3 of 6" in text.words for text in check(narrow))
    wide = np.full((9, 9, 1, 6), 1 / 3)
    drawing = draw_operation("one", [[Operand("weight", wide, mark=Mark(channels=range(5, 6)))]], [])
    assert any("filter 5 of 6" in text.words for text in check(drawing))


def test_what_is_not_finite_is_said() -> None:
    numbers = np.array([[np.nan, np.inf], [-np.inf, 0]])[..., None]
    words = [text.words for text in check(draw_operation("t", [[Operand("a", numbers)]], []))]
    assert words.count("not finite") == 3
