"""Diagrams of networks: nothing overlaps, nothing is cut, and every arrow leads where it should."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from app.errors import Invalid
from app.pictures.diagram.cards import cards, describe, shape_words
from app.pictures.diagram.draw import draw, paint
from app.pictures.diagram.layout import STUB, Layout, PlacedBox, Route, lay_out
from app.pictures.drawing import Box, Drawing, Line, Text
from app.pictures.font import width
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.layers import LAYERS, Layer
from engine.presets import PRESETS, find

LONG = "a_name_that_is_as_long_as_names_may_be_and_has_no_place_to_break"
SVG = "{http://www.w3.org/2000/svg}"
Rectangle = tuple[int, int, int, int]


def conv(filters: int = 4, size: Any = 3, **options: Any) -> dict[str, Any]:
    return {"type": "conv2d", "filters": filters, "kernel_size": size, "padding": "same", **options}


BLOCKS_IN_BLOCKS = [
    conv(8),
    {
        "type": "parallel",
        "branches": [
            [conv(4, 1)],
            [],
            [conv(), {"type": "residual", "layers": [conv(), conv()], "name": "deep"}],
            [{"type": "max_pool2d", "pool_size": 3, "stride": 1, "padding": "same"}, conv(4, [5, 1])],
        ],
    },
    {"type": "squeeze_and_excitation"},
    {"type": "inverted_residual", "filters": 20},
    {"type": "dense_block", "depth": 3, "growth": 2},
    {
        "type": "inception",
        "filters_1x1": 1,
        "filters_3x3": 2,
        "reduce_5x5": 3,
        "filters_5x5": 1,
        "filters_pool": 1,
    },
    {"type": "flatten"},
    {"type": "dense", "units": 3},
]
LONG_NAMES = [
    conv(8, name=LONG),
    {
        "type": "parallel",
        "name": LONG[:-1],
        "branches": [[{"type": "residual", "name": LONG, "layers": [conv(8, name=LONG)]}], []],
    },
]
READ_FROM_FAR = [
    conv(8, name="e1", activation="relu"),
    {"type": "max_pool2d", "name": "p1"},
    conv(16, name="e2", activation="relu"),
    {"type": "max_pool2d", "name": "p2"},
    conv(16, name="e3"),
    {"type": "upsample2d", "name": "u2"},
    {"type": "concatenate", "name": "c2", "inputs": ["e2", "u2"]},
    {"type": "upsample2d", "name": "u1"},
    {"type": "concatenate", "name": "c1", "inputs": ["u1", "e1", "u1"]},
    {"type": "residual", "layers": [conv(72), {"type": "add", "inputs": ["conv2d_1", "c1", "c1"]}]},
    {
        "type": "parallel",
        "branches": [[conv(2)], [{"type": "concatenate", "inputs": ["e1", "input", "u1"]}]],
    },
    conv(1, 1, stride=2, name="end"),
    {"type": "concatenate", "inputs": ["end", "p1"]},
]


def network(layers: list[dict[str, Any]], input_shape: tuple[int, ...] = (16, 16, 3)) -> Network:
    return Network.build(Architecture.model_validate({"input_shape": input_shape, "layers": layers}))


def preset(name: str) -> Network:
    found = find(name)
    assert found is not None
    return Network.build(found.architecture())


CASES = {
    **{each.name: each.name for each in PRESETS},
    "blocks in blocks": BLOCKS_IN_BLOCKS,
    "long names": LONG_NAMES,
    "read from far": READ_FROM_FAR,
    "a single layer": [conv()],
}


@pytest.fixture(
    scope="module", params=[(case, folded) for case in CASES for folded in (True, False)], ids=str
)
def drawn(request: pytest.FixtureRequest) -> tuple[Network, Layout]:
    name, folded = request.param
    case = CASES[name]
    built = preset(case) if isinstance(case, str) else network(case)
    return built, lay_out(cards(built, folded=folded))


def rectangle(box: Any) -> Rectangle:
    return box.x, box.y, box.x + box.width, box.y + box.height


def with_label(box: PlacedBox) -> Rectangle:
    left, top, right, bottom = rectangle(box)
    return left, top, right, bottom + STUB


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def neighbours(boxes: list[PlacedBox]) -> Iterator[tuple[PlacedBox, PlacedBox]]:
    """Yield the pairs that share some height: the others cannot overlap."""
    ordered = sorted(boxes, key=lambda box: box.y)
    for place, one in enumerate(ordered):
        low = with_label(one)[3]
        for other in itertools.takewhile(lambda box, low=low: box.y < low, ordered[place + 1 :]):
            yield one, other


def test_no_box_overlaps_another(drawn: tuple[Network, Layout]) -> None:
    _, layout = drawn
    for one, other in neighbours(layout.boxes):
        assert not overlap(with_label(one), with_label(other)), (one.card.name, other.card.name)


def test_a_frame_holds_its_nodes_and_no_others(drawn: tuple[Network, Layout]) -> None:
    built, layout = drawn
    blocks = {block.name for node in built.nodes for block in node.blocks}
    assert {frame.name for frame in layout.frames} == blocks
    for frame in layout.frames:
        left, top, right, bottom = rectangle(frame)
        for box in layout.boxes:
            if frame.name in {block.name for block in box.card.blocks}:
                x, y, end, low = with_label(box)
                assert left < x
                assert top < y
                assert end < right
                assert low <= bottom
            else:
                assert not overlap(rectangle(frame), with_label(box)), (frame.name, box.card.name)
    for one, other in itertools.combinations(layout.frames, 2):
        nested = one.name.startswith(f"{other.name}/") or other.name.startswith(f"{one.name}/")
        assert nested or not overlap(rectangle(one), rectangle(other)), (one.name, other.name)


def test_words_lie_in_their_boxes(drawn: tuple[Network, Layout]) -> None:
    _, layout = drawn
    for box in layout.boxes:
        assert all(width(line, 11) <= box.width - 4 for line in box.lines), box.lines
        assert width(shape_words(box.card.shape), 11) + 5 <= box.width / 2
    titles = [
        (frame.title_x, frame.y, frame.title_x + width(frame.title, 11), frame.y + 18)
        for frame in layout.frames
    ]
    for frame, title in zip(layout.frames, titles, strict=True):
        assert frame.x <= title[0]
        assert title[2] <= frame.x + frame.width
        assert not any(overlap(title, rectangle(box)) for box in layout.boxes)
    for route in layout.routes:
        for begin, end in itertools.pairwise(route.points):
            line = min(begin[0], end[0]), min(begin[1], end[1]), max(begin[0], end[0]), max(begin[1], end[1])
            assert not any(overlap(line, title) for title in titles), route


def test_every_edge_is_drawn_from_its_source_to_its_target(drawn: tuple[Network, Layout]) -> None:
    built, layout = drawn
    card_of = {node.name: box.card.name for box in layout.boxes for node in box.card.nodes}
    card_of["input"] = "input"
    assert set(card_of) == {node.name for node in built.nodes} | {"input"}
    expected = {
        (card_of[source], node.name, number)
        for node in built.nodes
        for number, source in enumerate(node.inputs)
        if card_of[node.name] == node.name
    }
    assert {(route.source, route.target, route.number) for route in layout.routes} == expected
    boxes = {box.card.name: box for box in layout.boxes}
    for route in layout.routes:
        source, target = boxes[route.source], boxes[route.target]
        assert route.points[0] == (source.x + source.width // 2, source.y + source.height)
        assert target.x < route.points[-1][0] < target.x + target.width
        assert route.points[-1][1] == target.y
        for begin, end in itertools.pairwise(route.points):
            assert (begin[0] == end[0]) != (begin[1] == end[1]), "straight down or across"
            assert begin[1] <= end[1], "never up"
    heads = [route.points[-1] for route in layout.routes]
    assert len(set(heads)) == len(heads)


def test_no_arrow_crosses_a_box(drawn: tuple[Network, Layout]) -> None:
    _, layout = drawn
    for route in layout.routes:
        for begin, end in itertools.pairwise(route.points):
            left, right = sorted((begin[0], end[0]))
            for box in layout.boxes:
                if box.y + box.height <= begin[1] or end[1] <= box.y:
                    continue
                assert right <= box.x or box.x + box.width <= left, (route, box.card.name)


def pieces(routes: list[Route]) -> dict[tuple[int, int], set[tuple[int, int, str]]]:
    """Return the straight pieces of all routes: by axis and place, from, to and source."""
    found = defaultdict(set)
    for route in routes:
        for begin, end in itertools.pairwise(route.points):
            axis = 0 if begin[0] == end[0] else 1
            found[axis, begin[axis]].add((*sorted((begin[1 - axis], end[1 - axis])), route.source))
    return found


def test_arrows_of_two_sources_never_run_on_one_line(drawn: tuple[Network, Layout]) -> None:
    _, layout = drawn
    for place, lines in pieces(layout.routes).items():
        for one, other in itertools.pairwise(sorted(lines)):
            if one[2] != other[2]:
                assert one[1] <= other[0], (place, one, other)


def test_nothing_is_cut(drawn: tuple[Network, Layout]) -> None:
    _, layout = drawn
    drawing = paint(layout)
    for shape in drawing.shapes:
        match shape:
            case Line():
                places = shape.points
            case Box():
                places = ((shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height))
            case Text():
                half = width(shape.words, drawing.font_size)
                left = shape.x - (half / 2 if shape.anchor == "middle" else 0)
                places = ((left, shape.y - drawing.font_size), (left + half, shape.y + 3))
        for x, y in places:
            assert 0 <= x <= drawing.width, shape
            assert 0 <= y <= drawing.height, shape


def words(drawing: Drawing) -> list[str]:
    root = ET.fromstring(drawing.svg())  # noqa: S314 - our own
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def test_the_svg_of_resnet_50_has_names_shapes_and_parameters() -> None:
    built = preset("resnet-50")
    found = words(draw(built))
    assert {"conv2d_1", "body/conv2d_1", "add", "+ batch_norm_1 + relu", "residual_16"} <= set(found)
    assert {"224x224x3", "56x56x64", "7x7x2048", "1000", "2,049,000 parameters"} <= set(found)
    assert found.count("body/conv2d_1") == 16
    alone = words(draw(built, folded=False))
    assert "batch_norm_1" in alone
    assert not any(word.startswith("+") for word in alone)


@pytest.mark.parametrize("name", ["lenet-5", "resnet-50", "densenet-121", "googlenet", "squeezenet-1.1"])
def test_a_chain_runs_straight_down(name: str) -> None:
    layout = lay_out(cards(preset(name)))
    found = {box.card.name: box.card for box in layout.boxes}
    readers = Counter(route.source for route in layout.routes)
    chain = [
        route
        for route in layout.routes
        if readers[route.source] == len(found[route.target].sources) == 1
        and found[route.source].blocks == found[route.target].blocks
    ]
    assert len(chain) > 5
    assert [route for route in chain if len(route.points) > 2] == []


def test_a_layer_is_described_by_what_is_not_as_usual() -> None:
    layers = {layer.tag(): layer for layer in LAYERS}

    def said(**layer: Any) -> str:
        return ", ".join(describe(layers[layer["type"]].model_validate(layer)))

    assert said(type="conv2d", filters=64, stride=2) == "conv2d 64, 3x3, stride 2"
    assert said(type="conv2d", filters=8, kernel_size=[5, 1], padding=2, bias=False) == (
        "conv2d 8, 5x1, padding 2, no bias"
    )
    assert said(type="max_pool2d", padding=[[0, 1], [1, 1]], ceil_mode=True) == (
        "max_pool2d, 2x2, padding 0+1x1+1, ceil mode"
    )
    assert said(type="dense", units=10) == "dense 10"
    for layer in layers.values():
        if issubclass(layer, Layer):
            for example in layer.examples:
                assert said(**example.layer).startswith(example.layer["type"])


def test_families_of_layers_have_colours_of_their_own() -> None:
    drawing = draw(network([conv(), {"type": "max_pool2d"}, {"type": "average_pool2d"}, conv(2)]))
    _, first, pool, other_pool, last = [shape.colour for shape in drawing.shapes if isinstance(shape, Box)]
    assert first == last != pool == other_pool


def test_a_network_without_end_is_not_drawn() -> None:
    dense = {"type": "dense", "units": 2}
    with pytest.raises(Invalid, match="2,201 boxes cannot be drawn"):
        draw(network([{"type": "flatten"}, *[dense] * 2199]))


def test_arrows_without_end_are_not_drawn() -> None:
    layers = [conv(1, 1, name=f"c{number}") for number in range(600)]
    layers.append({"type": "concatenate", "inputs": [f"c{number}" for number in range(600)]})
    with pytest.raises(Invalid, match="run past more than"):
        draw(network(layers, (1, 1, 1)))
