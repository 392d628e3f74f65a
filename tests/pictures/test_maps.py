"""Numbers as colours, and the drawings of maps, vectors and filters: what is shown, and what they say is left out."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from app.pictures.accounts import MAPS, thumbnail
from app.pictures.colours import grey, signed
from app.pictures.drawing import Drawing, Raster, Text
from app.pictures.filters import draw_filters
from app.pictures.font import width
from app.pictures.maps import draw_maps, draw_vector, enlarged, reduced

WHITE = [255, 255, 255]


def random(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def words(drawing: Drawing) -> str:
    return "\n".join(shape.words for shape in drawing.shapes if isinstance(shape, Text))


def rasters(drawing: Drawing) -> list[Raster]:
    return [shape for shape in drawing.shapes if isinstance(shape, Raster)]


def test_signed_colours_are_blue_white_and_red() -> None:
    blue, white, red, nothing, beyond = signed(np.array([-2, 0, 2, np.nan, np.inf], np.float32), 2.0).tolist()
    assert blue[2] > blue[0]
    assert red[0] > red[2]
    assert white == nothing == WHITE
    assert beyond == red


def test_grey_goes_from_black_to_white_within_its_ends() -> None:
    shades = grey(np.array([-1, 0, 1, 2, 3, np.nan], np.float32), 0.0, 2.0)
    assert shades.tolist() == [0, 0, 127, 255, 255, 0]
    assert grey(np.ones(3, np.float32), 1.0, 1.0).tolist() == [0, 0, 0]


@pytest.mark.parametrize("extreme", [np.nan, np.inf, 3e38, 1e-45, 0])
def test_numbers_that_are_hard_to_draw_are_drawn(extreme: float) -> None:
    numbers = np.where(random(40, 40, 4) > 0, np.float32(extreme), np.float32(-extreme))
    for shared in (False, True):
        assert draw_maps("title", numbers, shared=shared).png()
    assert draw_vector("title", numbers[0, 0]).png()
    assert draw_vector("title", numbers.reshape(-1)).png()
    assert draw_filters("title", numbers[..., np.newaxis]).png()
    assert thumbnail(numbers).shape[0] <= 32
    assert thumbnail(numbers.reshape(-1)).shape[0] <= 32


def test_what_is_reduced_are_means_of_blocks() -> None:
    numbers = random(7, 8, 3)
    expected = [
        [numbers[3 * y : 3 * y + 3, 3 * x : 3 * x + 3].mean(axis=(0, 1)) for x in range(2)] for y in range(2)
    ]
    np.testing.assert_allclose(reduced(numbers, 3), expected, rtol=1e-5, atol=1e-6)
    assert enlarged(np.zeros((5, 3, 3), np.uint8), 12).shape == (10, 6, 3)


def test_more_maps_than_can_be_looked_at_are_cut_off_and_that_is_said() -> None:
    drawing = draw_maps("title", random(7, 7, 512))
    assert "channels 0 to 255 of 512" in words(drawing)
    assert len(rasters(drawing)) == 256
    assert "of 16" not in words(draw_maps("title", random(7, 7, 16)))


def test_maps_have_their_own_scale_or_share_one() -> None:
    maps = np.zeros((2, 2, 2), np.float32)
    maps[0, 0] = 1, 4
    own, shared = draw_maps("title", maps), draw_maps("title", maps, shared=True)
    assert [raster.pixels.max() for raster in rasters(own)] == [255, 255]
    scale, *tiles = rasters(shared)
    assert scale.pixels.min() == 0
    assert [raster.pixels.max() for raster in tiles] == [63, 255]


NAMES = ["a name that is far too long for the line that it begins"] * 10


@pytest.mark.parametrize(
    ("draw", "shape"),
    [
        (draw_maps, (28, 28, 6)),
        (draw_maps, (7, 7, 512)),
        (partial(draw_maps, shared=True), (3, 200, 5)),
        (draw_maps, (1, 1, 512)),
        (draw_maps, (224, 224, 3)),
        (partial(draw_vector, names=NAMES), (10,)),
        (draw_vector, (400,)),
        (draw_vector, (20_000,)),
        (draw_filters, (3, 3, 3, 16)),
        (draw_filters, (5, 5, 1, 300)),
        (draw_filters, (3, 3, 64, 128)),
        (draw_filters, (3, 3, 2, 1)),
        (draw_filters, (1, 1, 600, 10)),
    ],
)
def test_nothing_overlaps_or_leaves_the_drawing(draw: Callable[..., Drawing], shape: tuple[int, ...]) -> None:
    drawing = draw("title", 1000 * random(*shape))
    places = []
    for drawn in drawing.shapes:
        if isinstance(drawn, Raster):
            places.append((drawn.x, drawn.y, drawn.x + drawn.width, drawn.y + drawn.height))
        elif isinstance(drawn, Text):
            long = width(drawn.words, drawing.font_size)
            begin = {"start": drawn.x, "middle": drawn.x - long / 2, "end": drawn.x - long}[drawn.anchor]
            places.append((begin, drawn.y - 8, begin + long, drawn.y))
    for number, (left, top, right, bottom) in enumerate(places):
        assert left >= 0
        assert top >= 0
        assert right <= drawing.width
        assert bottom <= drawing.height
        for other in places[number + 1 :]:
            apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
            assert apart, (places[number], other)


def test_a_vector_is_bars_with_names_or_cells() -> None:
    bars = draw_vector("title", np.array([1.5, -2], np.float32), ["cat", "dog"])
    assert {"cat", "dog", "1.5", "-2"} <= set(words(bars).split("\n"))
    cells = draw_vector("title", random(20_000))
    assert "numbers 0 to 8,191 of 20,000" in words(cells)


def test_filters_of_three_inputs_are_colours_in_which_nothing_is_grey() -> None:
    bank = np.zeros((1, 2, 3, 1), np.float32)
    bank[0, 0, 0] = 0.5
    (tile,) = rasters(draw_filters("title", bank))
    first, second = tile.pixels[0, 0].tolist(), tile.pixels[0, -1].tolist()
    assert first[0] == 255
    assert second == [128, 128, 128]


def test_a_matrix_has_a_row_for_each_output() -> None:
    bank = np.zeros((1, 1, 3, 2), np.float32)  # (1, 1, in, out)
    bank[0, 0, 2, 1] = -1
    _, matrix = rasters(draw_filters("title", bank))
    assert matrix.pixels.shape == (2, 3, 3)
    assert [(pixel == WHITE).all() for pixel in matrix.pixels.reshape(6, 3)] == [True] * 5 + [False]


@pytest.mark.parametrize("shape", [(112, 112, 96), (5, 5, 16), (1, 1, 512), (3, 200, 2), (7,), (25_088,)])
def test_thumbnails_are_small(shape: tuple[int, ...]) -> None:
    for numbers in (random(*shape), np.abs(random(*shape))):
        pixels = thumbnail(numbers)
        assert pixels.shape[0] <= 32
        assert 0 < pixels.shape[1] <= MAPS * 34
        assert pixels.ndim == (3 if numbers.min() < 0 else 2)


def test_the_thumbnail_of_a_picture_is_in_its_colours() -> None:
    picture = np.zeros((8, 8, 3), np.float32)
    picture[..., 1] = 1
    assert (thumbnail(picture, picture=True)[0, 0] == [0, 255, 0]).all()
