"""Wherever text is drawn as a picture there are letters, or code points of those that the font has not."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from app.pictures.confusion_matrix import draw
from app.pictures.drawing import Drawing, Text
from app.pictures.font import drawable, shortened, width
from app.pictures.sheets import Tile, draw_sheet, encode_sheet

PICTURE = np.zeros((8, 8, 3), np.uint8)
LETTERS = "ÄÖÜäöüßàâçéèêëîïôûÿñãõåæøœšžłńśźąęőűřěůğışțđðþ" + "αβγδλμπΣΩάέ" + "абвгдежзийкЯЩЪЭЮїєґћџ" + "…–×²"
MISSING = "\uf8ff"

DRAWN: dict[str, Callable[[str], bytes]] = {
    "rows": lambda text: encode_sheet([(text, [PICTURE])]),
    "headings": lambda text: encode_sheet([("", [PICTURE])], [text]),
    "captions": lambda text: draw_sheet([Tile(PICTURE, text)]),
    "words": lambda text: Drawing("", 60, 40, (Text(20, 30, text),)).png(),
    "upright words": lambda text: Drawing("", 60, 40, (Text(20, 30, text, upright=True),)).png(),
    "classes": lambda text: draw([text, "b"], [[1, 0], [0, 1]]).png(),
}


def ink(png: bytes) -> bytes:
    """The pixels of a picture without the width that its text takes."""
    return Image.open(io.BytesIO(png)).convert("L").tobytes()


@pytest.mark.parametrize("way", DRAWN)
def test_each_letter_is_drawn_and_not_its_frame(way: str) -> None:
    drawn = {letter: ink(DRAWN[way](letter)) for letter in LETTERS}
    assert drawable(LETTERS) == LETTERS
    assert len(set(drawn.values())) > len(LETTERS) * 0.9


@pytest.mark.parametrize("way", DRAWN)
def test_letters_that_the_font_has_not_are_drawn_as_their_code_points(way: str) -> None:
    # Without that all of them are the same frame, and classes cannot be told apart.
    drawn = {text: ink(DRAWN[way](text)) for text in ("猫", "犬", "ねこ", MISSING)}
    assert len(set(drawn.values())) == len(drawn)
    assert ink(DRAWN[way]("a猫")) == ink(DRAWN[way]("aU+732B"))


@pytest.mark.parametrize("text", ["short", "Donaudampfschifffahrtsgesellschaft", "Щ" * 40, "", "猫" * 30])
def test_text_is_shortened_to_the_pixels_that_there_are(text: str) -> None:
    shown = shortened(text, 11, 96)
    assert width(shown, 11) <= 96
    assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]) and width(text, 11) > 96)


def test_a_class_name_does_not_run_out_of_its_matrix() -> None:
    wide = draw(["W" * 18, "b"], [[1, 0], [0, 1]])
    names = [shape for shape in wide.shapes if isinstance(shape, Text) and shape.words.startswith("WW")]
    assert all(shape.x - width(shape.words, wide.font_size) >= 0 for shape in names if shape.anchor == "end")
