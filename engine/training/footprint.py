"""How much memory a training run will need, from its description alone: no array is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from engine.arrays import elements
from engine.fast.estimate import pass_bytes
from engine.graph.network import Network
from engine.recipe.config import TrainingConfig
from engine.training.loop import evaluated_at_once
from engine.training.transfer import freeze

_FLOAT = 4
_AUGMENTED = 24
"""Bytes for each number of a picture that is augmented: it, where it comes from, and room to work in."""
_PROCESS = 48 << 20
"""Of a process for each share but the first: the interpreter and NumPy."""
_PER_PICTURE = 64
"""Bytes for each picture of the data set: its label, its split, its places in the order of an epoch."""


@dataclass(frozen=True)
class Footprint:
    """The memory of a run; the pictures of the data set are mapped from files and do not count.

    Attributes:
        network: as it is trained.
        config: how.
        train, dev: how many pictures of each there are.
        shares: into how many a batch is split on each node.
        number_bytes: of each number of a picture as it is stored; 4 for features.
        nodes: that have a part of each batch; the memory is that of the first, which has the most.
    """

    network: Network
    config: TrainingConfig
    train: int
    dev: int
    shares: int
    number_bytes: int = 1
    nodes: int = 1

    def bytes(self) -> int:
        """Return about how many bytes the run needs at its peak; rather more than less."""
        batch = min(self.config.batch_size, self.train)
        return self._bytes(batch, self.train % batch)

    def largest_batch(self, limit: int) -> int:
        """Return a batch size, as large as possible, with which the run stays within `limit` bytes; 0 for none."""
        low, high = 0, min(self.config.batch_size, self.train)
        while low < high:
            middle = (low + high + 1) // 2
            # the last batch of an epoch can be almost as large
            if self._bytes(middle, middle - 1) <= limit:
                low = middle
            else:
                high = middle - 1
        return low

    def _bytes(self, batch: int, rest: int) -> int:
        numbers = elements(self.network.input_shape)
        # as they are read, and float32 as they are computed with
        per_number = self.number_bytes + _FLOAT + (_AUGMENTED if self.config.augmentations else 0)
        evaluated = evaluated_at_once(self.network.input_shape)
        training = self._passes(batch, training=True) + self._passes(rest, training=True)
        judging = self._passes(min(evaluated, self.dev), training=False)
        judging += self._passes(self.dev % evaluated, training=False) if self.dev > evaluated else 0
        return (
            self._state()
            + self._shared(batch)
            + training
            + judging
            + numbers * (batch * per_number + evaluated * 2 * (self.number_bytes + _FLOAT))
            + _PER_PICTURE * (self.train + self.dev)
            + _PROCESS * (self.shares - 1)
            + self._exchanged()
        )

    def _passes(self, pictures: int, *, training: bool) -> int:
        """Return what the plans of all shares of a batch hold."""
        if not pictures:
            return 0
        everywhere = min(self.shares * self.nodes, pictures)
        each = pass_bytes(self.network, -(-pictures // everywhere), training=training)
        return min(self.shares, everywhere) * each

    def _shared(self, batch: int) -> int:
        """Return what the processes of the shares have in common: the weights, a batch, and the gradients of each."""
        if self.shares == 1:
            return 0
        specs = freeze(self.network, self.config.freeze).weight_specs.values()
        weights = sum(elements(spec.shape) for spec in specs)
        trained = sum(elements(spec.shape) for spec in specs if spec.trainable)
        pictures = batch * (
            self.number_bytes * elements(self.network.input_shape)
            + 3 * _FLOAT * elements(self.network.output_shape)
        )
        return _FLOAT * (weights + (self.shares - 1) * trained) + pictures

    def _exchanged(self) -> int:
        """Return what other nodes are sent, and send: the weights as they were and are, and one share's gradients."""
        if self.nodes == 1:
            return 0
        specs = freeze(self.network, self.config.freeze).weight_specs.values()
        return _FLOAT * sum(elements(spec.shape) * (3 if spec.trainable else 2) for spec in specs)

    def _state(self) -> int:
        """Return what the state of the run takes, and the checkpoint of it that is put together in memory."""
        config = self.config
        specs = freeze(self.network, config.freeze).weight_specs.values()
        weights = sum(elements(spec.shape) for spec in specs) * _FLOAT
        trained = sum(elements(spec.shape) for spec in specs if spec.trainable) * _FLOAT
        # the weights, those of the best epoch, the average of them
        state = weights * (3 if config.weight_average is not None else 2) + trained * len(
            config.optimizer.slots()
        )
        summed = trained if config.accumulate > 1 else 0
        # each array as bytes, and all of them as one file
        return state + summed + 2 * state
