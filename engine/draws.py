"""Random numbers that depend on what they are for, never on who drew before.

A stream is keyed by a seed, by its purpose, and by words and numbers within that purpose: a layer's name,
an epoch, a step. So dropping a layer, resuming in the middle of an epoch or splitting a batch leaves every
other draw unchanged, and no name of a layer leads into the stream of another purpose.
Counter-based generator: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox).
Where each sample of a batch has a stream of its own, many short streams are drawn at once by hashing
counters: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators" (SplitMix64).
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.arrays import Array, Indices, Shape, elements
from engine.workspace import FRESH, Buffers

_FLOATS_PER_COUNT = 8  # one Philox count yields four 64-bit words, and a float32 takes half a word


_GAMMA = np.uint64(0x9E3779B97F4A7C15)  # the odd number nearest to 2**64 over the golden ratio


Purpose = Literal["weight", "order", "augment", "dropout", "sample", "noise", "check"]
"""What draws are for: first values of weights, the order of an epoch, augmentations, what dropout drops, which
pictures stand for a class, the noise of an explanation, which gradients are checked."""


def generator(seed: int, purpose: Purpose, *key: str | int) -> np.random.Generator:
    """Return the generator of one stream, such as `generator(seed, "order", epoch)`."""
    return np.random.Generator(np.random.Philox(key=_key(seed, purpose, *key)))


def uniform_per_sample(
    seed: int, purpose: Purpose, *key: str | int, first: int, count: int, shape: Shape
) -> Array:
    """Draw float32 numbers in [0, 1), the same for a sample whatever share of a batch it is in.

    Args:
        seed: the seed of the run.
        purpose: what the draws are for.
        key: which of that purpose's streams it is.
        first: index in the whole batch of the first sample wanted.
        count: number of samples wanted.
        shape: shape of one sample's draws.

    Returns:
        An array (count, *shape).
    """
    each = elements(shape)
    padded = -(-each // _FLOATS_PER_COUNT) * _FLOATS_PER_COUNT
    stream = generator(seed, purpose, *key)
    stream.bit_generator.advance(first * padded // _FLOATS_PER_COUNT)  # type: ignore[attr-defined]
    drawn = stream.random((count, padded), dtype=np.float32)
    return drawn[:, :each].reshape(count, *shape)


class SampleStreams:
    """A stream of random numbers for each of some samples, which depends on no other sample.

    Every call draws what comes next in all the streams.
    """

    def __init__(
        self, samples: Indices, seed: int, purpose: Purpose, *key: str | int, buffers: Buffers = FRESH
    ) -> None:
        first, second = _key(seed, purpose, *key)
        states = samples.astype(np.uint64)
        states *= _GAMMA
        states += first
        self._states = _mix(states, np.empty_like(states)) ^ second  # (n,)
        self._buffers = buffers
        self._drawn = 0

    def __len__(self) -> int:
        return len(self._states)

    def words(self, count: int) -> NDArray[np.uint64]:
        """Return the next `count` words of 64 random bits of each sample, (n, count), valid until the next call."""
        counters = np.arange(self._drawn + 1, self._drawn + count + 1, dtype=np.uint64)
        counters *= _GAMMA
        self._drawn += count
        shape = (len(self), count)
        words: NDArray[np.uint64] = self._buffers.scratch("words", shape, np.uint64)
        np.add(self._states[:, np.newaxis], counters, out=words)
        return _mix(words, self._buffers.scratch("shifted words", shape, np.uint64))

    def skip(self, count: int) -> None:
        """Leave out the next `count` words of each sample."""
        self._drawn += count

    def uniform(self, count: int) -> Array:
        """Return the next `count` numbers in [0, 1) of each sample, (n, count) in float64."""
        return (self.words(count) >> np.uint64(11)) * 2.0**-53

    def levels(self, shape: Shape) -> NDArray[np.uint16]:
        """Return the next numbers in 0..65535 of each sample, (n, *shape), valid until the next call.

        They are cheap: for a number per pixel.
        """
        count = elements(shape)
        words = self.words(-(-count // 4))
        return words.view(np.uint16)[:, :count].reshape(len(self), *shape)


def _key(seed: int, purpose: Purpose, *key: str | int) -> NDArray[np.uint64]:
    words = "\x1f".join(f"{type(part).__name__}:{part}" for part in (seed, purpose, *key))
    return np.frombuffer(hashlib.sha256(words.encode()).digest()[:16], dtype=np.uint64)


def _mix(words: NDArray[np.uint64], shifted: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble words in place, one to one, by variant 13 of Stafford's mixers; `shifted` is room to work in."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        words ^= np.right_shift(words, np.uint64(shift), out=shifted)
        words *= np.uint64(factor)
    words ^= np.right_shift(words, np.uint64(31), out=shifted)
    return words
