"""The first node of a run: it has the weights, says who computes what, and adds up what the others found.

A batch is cut into as many shares as all nodes have together, of which each node has some that follow one another. What
the shares give is added up in their order, wherever they were computed: gradients here, the sums of batch norm by
everybody's connection to here. So the numbers are those of a run with as many shares on one machine, to the bit where
kernels are the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.arrays import Array, Bytes, Weights
from engine.execution.flat import size
from engine.execution.protocol import Pass
from engine.fast.nodes.channel import Channel
from engine.fast.nodes.weights import empty, laid_out
from engine.fast.parallel.parts import Cuts, bounds
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.share import Outer, pins, total, whole
from engine.fast.parallel.shares import execution
from engine.graph.network import Network
from engine.inputs.batch import Batch
from engine.layers import Context


class NodesExecution:
    """Runs batches on all nodes; `close` ends the shares, here and there."""

    def __init__(self, setup: Setup, channels: Sequence[Channel], directory: Path | None = None) -> None:
        """Have every node get ready.

        Args:
            setup: what all compute together, in so many shares on each node, from the most pictures of a whole batch.
            channels: to the other nodes, in their order.
            directory: see `engine.fast.parallel.shares.execution`.

        Raises:
            OSError: there is no room for what processes share here, or none can be started.
            ShareLost: another node is gone, or cannot.
        """
        self._network, self._tuning, self._shares = setup.network, setup.tuning, setup.shares
        self._channels = list(channels)
        self._partners = setup.preparation.partners
        self._everywhere = setup.shares * (1 + len(channels))
        of_each = replace(setup, pictures=setup.shares * -(-setup.pictures // self._everywhere))
        self._own = execution(of_each, directory)
        self._weights = _Sent(setup.network)
        self._gradients = np.empty(size(setup.network.weight_specs), np.float32)
        with self._as_one():
            document = {"order": "begin", **of_each.document()}
            for channel in self._channels:
                channel.send(document)
            for channel in self._channels:
                channel.receive()

    @property
    def pins(self) -> dict[str, str]:
        """The number of shares and what was measured of this machine: kernels and tiles follow from them."""
        return pins(self._everywhere, self._tuning)

    def close(self) -> None:
        """End the shares here, and have the other nodes end theirs; the connections stay."""
        self._own.close()
        for channel in self._channels:
            with contextlib.suppress(Exception):  # one that is gone has ended them
                channel.send({"order": "end"})
        self._channels = []

    def reads(self, pictures: int) -> int:
        """Return how many pictures of a batch are read here: those of the shares here."""
        return bounds(pictures, self._everywhere)[: self._shares][-1][1]

    def train(self, weights: Weights, batch: Batch, pictures: int, context: Context) -> Pass:
        """Run a batch forwards and backwards; the other nodes read their pictures themselves.

        Raises:
            ShareLost: another node, or a process of a share here, is gone.
            MemoryError: another node is out of memory.
        """
        own, others = self._parts(len(batch))
        sent = self._weights.of(weights)
        order = {
            "order": "train",
            "seed": context.seed,
            "step": context.step,
            "epoch": batch.epoch,
            "pictures": pictures,
        }
        with self._as_one():
            for channel, cuts in others:
                first, last = cuts[0][0], cuts[-1][1]
                channel.send(
                    {
                        **order,
                        **_about(cuts),
                        "first_sample": context.first_sample + first,
                        "weights": sent.new,
                    }
                )
                sent.send(channel)
                channel.send_array(batch.samples[first : last + self._partners])
            passes = self._own.passes(
                weights, batch.part(0, own[-1][1]), pictures, context, own, self._outer(others)
            )
            done = whole(passes)
            return self._joined(done, others)

    def scores(self, weights: Weights, images: Bytes) -> Array:
        """Return the scores of a batch; the other nodes are sent their pictures.

        Raises:
            ShareLost, MemoryError: as `train` does.
        """
        own, others = self._parts(len(images))
        sent = self._weights.of(weights)
        with self._as_one():
            for channel, cuts in others:
                channel.send({"order": "score", **_about(cuts), "weights": sent.new})
                sent.send(channel)
                channel.send_array(images[cuts[0][0] : cuts[-1][1]])
            scores = [self._own.scores(weights, images[: own[-1][1]], own)]
            for channel, cuts in others:
                room = np.empty((cuts[-1][1] - cuts[0][0], *self._network.output_shape), np.float32)
                channel.receive_array(room)
                scores.append(room)
            return np.concatenate(scores)

    def _parts(self, pictures: int) -> tuple[Cuts, list[tuple[Channel, Cuts]]]:
        """Return which pictures of a batch each share here has, and which those of each other node that has any."""
        cuts = bounds(pictures, self._everywhere)
        parts = [cuts[first : first + self._shares] for first in range(0, len(cuts), self._shares)]
        return parts[0], list(zip(self._channels, parts[1:], strict=False))

    def _outer(self, others: Sequence[tuple[Channel, Cuts]]) -> Outer | None:
        """Return what adds up over the shares of all nodes, if others have any of the batch."""
        if not others:
            return None

        def add_up(own: Sequence[Array]) -> Array:
            parts = list(own)
            for channel, cuts in others:
                room = np.empty((len(cuts), *own[0].shape), own[0].dtype)
                channel.receive_array(room)
                parts += list(room)
            summed = total(parts)
            for channel, _ in others:
                channel.send_array(summed)
            return summed

        return add_up

    def _joined(self, own: Pass, others: Sequence[tuple[Channel, Cuts]]) -> Pass:
        """Add what the other nodes found to what was found here, one share after another."""
        found = [(own.scores, own.losses, own.targets)]
        for channel, cuts in others:
            for _ in cuts:
                channel.receive_array(self._gradients)
                own.gradients.memory += self._gradients
            count = cuts[-1][1] - cuts[0][0]
            shape = (count, *self._network.output_shape)
            rooms = np.empty(shape, np.float32), np.empty(count, np.float32), np.empty(shape, np.float32)
            for room in rooms:
                channel.receive_array(room)
            found.append(rooms)
        scores, losses, targets = (np.concatenate(each) for each in zip(*found, strict=True))
        return Pass(scores, losses, own.gradients, own.updates, targets)

    @contextlib.contextmanager
    def _as_one(self) -> Iterator[None]:
        """End all connections where something fails in between: nobody would know what comes next."""
        try:
            yield
        except BaseException:
            for channel in self._channels:
                channel.close()
            self._own.close()
            raise


class _Sent:
    """The weights as the other nodes have them, so that those of an evaluation are sent once."""

    def __init__(self, network: Network) -> None:
        self._memory = [empty(network) for _ in range(2)]
        self._views = [laid_out(network, memory) for memory in self._memory]
        self._now = 0
        self._first = True
        self.new = True
        """Whether they have changed since they were sent."""

    def of(self, weights: Weights) -> _Sent:
        """Take over the weights of a batch."""
        before, self._now = self._now, 1 - self._now
        for name, view in self._views[self._now].items():
            np.copyto(view, weights[name])
        # by their bits: -0.0 is not 0.0 to what comes out
        was, now = (self._memory[place].view(np.uint32) for place in (before, self._now))
        self.new = self._first or not np.array_equal(was, now)
        self._first = False
        return self

    def send(self, channel: Channel) -> None:
        """Send them to a node, if they have changed."""
        if self.new:
            channel.send_array(self._memory[self._now])


def _about(cuts: Cuts) -> dict[str, Any]:
    """Say which pictures each share of a node has, counted from the first of the node."""
    first = cuts[0][0]
    return {"cuts": [[begin - first, end - first] for begin, end in cuts]}
