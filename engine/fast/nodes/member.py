"""A node of a run that is not the first: it computes what that one asks for, on pictures that it reads itself.

It keeps nothing from one batch to the next but the weights, so that it can be replaced by any other at any checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.arrays import Array
from engine.fast.nodes.channel import MOST_WORDS, Channel
from engine.fast.nodes.weights import empty, laid_out
from engine.fast.parallel.parts import Cuts, ShareLost
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.shares import SharedExecution, execution
from engine.inputs.batch import Batch
from engine.inputs.feed import TrainingData, as_targets
from engine.layers import Context


def serve(channel: Channel, data: TrainingData, directory: Path | None = None) -> None:
    """Do what the first node asks for, until the connection ends.

    Args:
        channel: to the first node.
        data: the pictures, as the first node has them.
        directory: as in `engine.fast.parallel.shares.execution`.
    """
    node = _Node(channel, data, directory)
    try:
        while True:
            node.do(channel.receive())
    except ShareLost as lost:
        _tell(channel, lost)  # where it is not the first node that is gone, as it is when the run is over
    except BaseException as fault:
        _tell(channel, fault)
        raise
    finally:
        node.end()
        channel.close()


def _tell(channel: Channel, fault: BaseException) -> None:
    """Tell the first node why nothing comes, if it is there."""
    try:
        channel.send({"fault": f"{type(fault).__name__}: {fault}"[: MOST_WORDS // 8]})
    except ShareLost:
        return


class _Node:
    """Does what orders say."""

    def __init__(self, channel: Channel, data: TrainingData, directory: Path | None) -> None:
        self._channel, self._data, self._directory = channel, data, directory
        self._execution: SharedExecution | None = None

    def do(self, order: dict[str, Any]) -> None:
        """Do one of them."""
        match order["order"]:
            case "begin":
                self._begin(order)
            case "train":
                self._train(order)
            case "score":
                self._score(order)
            case "end":
                self.end()
            case other:
                raise ValueError(f"there is no order {other!r}")

    def end(self) -> None:
        """End the shares here."""
        if self._execution is not None:
            self._execution.close()
        self._execution = None

    def _begin(self, order: dict[str, Any]) -> None:
        self.end()
        begun = Setup.of(order)
        self._network, self._preparation = begun.network, begun.preparation
        self._most = begun.pictures
        self._execution = execution(begun, self._directory)
        self._memory = empty(begun.network)
        self._weights = laid_out(begun.network, self._memory)
        self._channel.send({})

    def _train(self, order: dict[str, Any]) -> None:
        run, cuts = self._ready(order)
        partners = self._preparation.partners
        samples = np.empty(cuts[-1][1] + partners, np.int64)
        self._channel.receive_array(samples)
        images, labels = self._data.in_epoch(order["epoch"]).read(samples)
        targets = as_targets(labels, len(self._data.classes))
        batch = Batch(images, targets, samples, order["epoch"], one_class=False, partners=partners)
        context = Context(
            statistics="batch",
            records=True,
            seed=order["seed"],
            step=order["step"],
            first_sample=order["first_sample"],
        )
        with np.errstate(over="ignore", invalid="ignore"):  # the first node looks at the sums
            passes = run.passes(self._weights, batch, order["pictures"], context, cuts, self._add_up)
        for one in passes:
            self._channel.send_array(one.gradients.memory)
        for what in ("scores", "losses", "targets"):
            self._channel.send_array(np.concatenate([getattr(one, what) for one in passes]))

    def _score(self, order: dict[str, Any]) -> None:
        run, cuts = self._ready(order)
        images: Array = np.empty((cuts[-1][1], *self._network.input_shape), self._preparation.stored)
        self._channel.receive_array(images)
        with np.errstate(over="ignore", invalid="ignore"):
            self._channel.send_array(run.scores(self._weights, images, cuts))

    def _ready(self, order: dict[str, Any]) -> tuple[SharedExecution, Cuts]:
        """Take over the weights of an order, if they are new, and return what runs it and its cuts."""
        cuts = [(int(begin), int(end)) for begin, end in order["cuts"]]
        if self._execution is None or not 0 < cuts[-1][1] <= self._most:
            raise ValueError(f"there is no room for a batch of {cuts[-1][1]} pictures")
        if order["weights"]:
            self._channel.receive_array(self._memory)
        return self._execution, cuts

    def _add_up(self, parts: Sequence[Array]) -> Array:
        """Add up over the shares of all nodes, by the first one."""
        self._channel.send_array(np.stack(parts))
        summed = np.empty_like(parts[0])
        self._channel.receive_array(summed)
        return summed
