"""Changes of inputs that are the same each time, for where nothing watches what a reader does."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_NUMBERS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\1\0", b"-1", b"9" * 30)
"""That are written over others: lengths and counts are where readers err."""


def mutations(seeds: Sequence[bytes], count: int, name: str) -> Iterator[bytes]:
    """Yield inputs that are like some, always the same ones for a name."""
    chance = random.Random(name)  # noqa: S311
    for _ in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 2, 5))):
            start = chance.randrange(len(data) + 1)
            match chance.randrange(6):
                case 0:
                    data[start : start + 1] = chance.randbytes(1)
                case 1:
                    number = chance.choice(_NUMBERS)
                    data[start : start + len(number)] = number
                case 2:
                    del data[start:]
                case 3:
                    del data[start : start + chance.randrange(20)]
                case 4:
                    other = chance.choice(seeds)
                    cut = chance.randrange(len(other) + 1)
                    data[start:] = other[cut:]
                case 5:
                    data[start:start] = data[start : start + chance.randrange(50)] * chance.choice((1, 2, 9))
        yield bytes(data)
