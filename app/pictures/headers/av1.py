"""AV1: the sequence headers of a coded picture, which say how large its frames can be (AV1 specification, 5.5)."""

from __future__ import annotations

from app.pictures.headers.header import unreadable

_SEQUENCE = 1
_MOST_UNITS = 1000


class _Bits:
    """Reads bits, the highest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def __call__(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError
        return self._value >> self._left & (1 << count) - 1

    def uvlc(self) -> None:
        """Pass over a number of variable length."""
        zeros = 0
        while not self(1):
            zeros += 1
        self(min(zeros, 32))


def frame_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of the largest frames that a coded picture can have; None where it does not say so.

    Raises:
        IndexError: it ends too early.
    """
    found: list[tuple[int, int]] = []
    place = 0
    for _ in range(_MOST_UNITS):
        if place >= len(data):
            break
        head = data[place]
        place += 2 if head & 4 else 1
        size = len(data) - place
        if head & 2:
            size, place = _leb128(data, place)
        if head >> 3 & 15 == _SEQUENCE:
            found.append(_sequence(data[place : place + min(size, 256)]))
        place += size
    return max(found, key=lambda size: size[0] * size[1]) if found else None


def _leb128(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 56, 7):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    return value, place


def _sequence(data: bytes) -> tuple[int, int]:
    """Return the size in a sequence header.

    Raises:
        Invalid: frames can be far larger than it says.
    """
    bits = _Bits(data)
    bits(4)  # profile, still picture
    alone = bits(1)
    if alone:  # its one frame has this size
        bits(5)
    else:
        has_model = 0
        delay = 0
        if bits(1):  # timing
            bits(32), bits(32)
            if bits(1):
                bits.uvlc()
            has_model = bits(1)
            if has_model:
                delay = bits(5) + 1
                bits(32), bits(5), bits(5)
        has_display = bits(1)
        for _ in range(bits(5) + 1):
            bits(12)
            if bits(5) > 7:
                bits(1)
            if has_model and bits(1):
                bits(delay), bits(delay), bits(1)
            if has_display and bits(1):
                bits(4)
    across, down = bits(4) + 1, bits(4) + 1
    width, height = bits(across) + 1, bits(down) + 1
    # a frame may say that it has another size, in so many bits
    if not alone and (1 << across > 2 * width or 1 << down > 2 * height):
        raise unreadable(
            f"the frames of the AVIF picture may be larger than the {width}x{height} pixels that it says"
        )
    return width, height
