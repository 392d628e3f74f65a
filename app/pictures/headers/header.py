"""What is read of a picture file before it is decoded, and how it is refused."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import Invalid

MAX_SIDE = 65_535
"""Pixels; what JPEG can have. What resizes a longer picture would hold numbers for each of its pixels."""


@dataclass(frozen=True, slots=True)
class Header:
    """What decoding a picture will take, by what the file says; the decoder is held to it.

    Attributes:
        format: what Pillow calls it.
        width: pixels.
        height: pixels.
        bytes_each: of memory for each pixel, of the decoder and of the picture that it returns.
        weight: how many times the work of ordinary pictures each pixel is; of each format the worst that it can be.
        extra: bytes beside that, such as tables.
        whole: whether the file has as many bytes as its pixels need at least.
        data: the file as the decoder is to see it, if not all of it; else None.
    """

    format: str
    width: int
    height: int
    bytes_each: int
    weight: int = 1
    extra: int = 0
    whole: bool = True
    data: bytes | None = None

    @property
    def pixels(self) -> int:
        """How many pixels are decoded."""
        return self.width * self.height

    @property
    def memory(self) -> int:
        """The bytes that decoding takes."""
        return self.pixels * self.bytes_each + self.extra


def unreadable(detail: str) -> Invalid:
    """Make the error for a file that no decoder should see."""
    return Invalid(detail, code="unreadable-picture")


def cut_short(name: str) -> Invalid:
    """Make the error for a file that ends too early."""
    return unreadable(f"the {name} picture is cut short or damaged: it ends before its pixels do")
