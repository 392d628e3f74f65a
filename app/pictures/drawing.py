"""Drawings of lines, boxes and words: described once, written as SVG or painted as PNG."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from app.pictures.decode import encode_png
from app.pictures.font import drawable, font, width


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points (x, y) in pixels."""

    points: tuple[tuple[float, float], ...]
    colour: str
    width: int


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle, its left upper corner at (x, y), with a line around it if `outline` has a colour."""

    x: int
    y: int
    width: int
    height: int
    colour: str
    outline: str | None = None


@dataclass(frozen=True, slots=True)
class Raster:
    """A picture, uint8 grey (H, W) or colour (H, W, 3), stretched over a rectangle; its pixels stay squares."""

    x: int
    y: int
    width: int
    height: int
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Text:
    """Words on the base line y, which begin, end or have their middle at x; upright ones begin there and go up."""

    x: float
    y: float
    words: str
    anchor: Literal["start", "middle", "end"] = "start"
    colour: str = "#000000"
    upright: bool = False


Shape = Line | Box | Raster | Text


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes on white, in pixels; later ones lie on top of earlier ones. Colours are #rrggbb."""

    title: str
    width: int
    height: int
    shapes: tuple[Shape, ...]
    font_size: int = 12

    def svg(self) -> str:
        """Write it as an SVG document."""
        size = f'width="{self.width}" height="{self.height}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {self.width} {self.height}" '
                f'font-family="sans-serif" font-size="{self.font_size}">',
                f"<title>{escape(self.title)}</title>",
                f'<rect {size} fill="#ffffff"/>',
                *map(_element, self.shapes),
                "</svg>",
                "",
            ]
        )

    def png(self) -> bytes:
        """Paint it and return the bytes of a PNG file."""
        image = Image.new("RGB", (self.width, self.height), "white")
        pen = ImageDraw.Draw(image)
        letters = font(self.font_size)
        for shape in self.shapes:
            match shape:
                case Line():
                    pen.line(shape.points, fill=shape.colour, width=shape.width)
                case Box():
                    corner = shape.x + shape.width - 1, shape.y + shape.height - 1
                    pen.rectangle((shape.x, shape.y, *corner), shape.colour, shape.outline)
                case Raster():
                    size = shape.width, shape.height
                    pixels = Image.fromarray(np.ascontiguousarray(shape.pixels))
                    image.paste(pixels.resize(size, Image.Resampling.NEAREST), (shape.x, shape.y))
                case Text(upright=True):
                    _paint_upright(image, shape, self.font_size)
                case Text():
                    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
                    pen.text((shape.x, shape.y), drawable(shape.words), shape.colour, letters, anchor)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)  # half the time of the default, for a sixth more bytes
        return buffer.getvalue()


def _element(shape: Shape) -> str:
    match shape:
        case Line():
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
            return f'<polyline points="{points}" fill="none" stroke="{shape.colour}" stroke-width="{shape.width}"/>'
        case Box():
            place = f'x="{shape.x}" y="{shape.y}" width="{shape.width}" height="{shape.height}"'
            stroke = f' stroke="{shape.outline}"' if shape.outline else ""
            return f'<rect {place} fill="{shape.colour}"{stroke}/>'
        case Raster():
            place = f'x="{shape.x}" y="{shape.y}" width="{shape.width}" height="{shape.height}"'
            data = base64.b64encode(encode_png(shape.pixels)).decode()
            style = 'preserveAspectRatio="none" style="image-rendering: pixelated"'
            return f'<image {place} {style} href="data:image/png;base64,{data}"/>'
        case Text():
            place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" text-anchor="{shape.anchor}"'
            if shape.upright:
                place = f'transform="translate({shape.x:.1f} {shape.y:.1f}) rotate(-90)"'
            return f'<text {place} fill="{shape.colour}">{escape(shape.words)}</text>'


def _paint_upright(image: Image.Image, text: Text, size: int) -> None:
    label = Image.new("L", (max(1, width(text.words, size)), 2 * size))
    ImageDraw.Draw(label).text((0, size), drawable(text.words), 255, font(size), "ls")
    turned = label.transpose(Image.Transpose.ROTATE_90)
    image.paste(text.colour, (round(text.x) - size, round(text.y) - turned.height), turned)
