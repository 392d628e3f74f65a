"""Random numbers that depend on what they are for, never on who drew before.

A stream is keyed by a seed and by words and numbers that name its purpose, so that dropping a
layer, resuming in the middle of an epoch or splitting a batch leaves every other draw unchanged.
Counter-based generator: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox).
"""

from __future__ import annotations

import hashlib

import numpy as np

from engine.arrays import Array, Shape, elements

_FLOATS_PER_COUNT = 8  # one Philox count yields four 64-bit words, and a float32 takes half a word


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return the generator of one purpose, such as `generator(seed, "order", epoch)`."""
    words = "\x1f".join(f"{type(part).__name__}:{part}" for part in (seed, *purpose))
    key = np.frombuffer(hashlib.sha256(words.encode()).digest()[:16], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def uniform_per_sample(seed: int, *purpose: str | int, first: int, count: int, shape: Shape) -> Array:
    """Draw float32 numbers in [0, 1), the same for a sample whatever share of a batch it is in.

    Args:
        seed: the seed of the run.
        purpose: words and numbers that name what the draws are for.
        first: index in the whole batch of the first sample wanted.
        count: number of samples wanted.
        shape: shape of one sample's draws.

    Returns:
        An array (count, *shape).
    """
    each = elements(shape)
    padded = -(-each // _FLOATS_PER_COUNT) * _FLOATS_PER_COUNT
    stream = generator(seed, *purpose)
    stream.bit_generator.advance(first * padded // _FLOATS_PER_COUNT)  # type: ignore[attr-defined]
    drawn = stream.random((count, padded), dtype=np.float32)
    return drawn[:, :each].reshape(count, *shape)
