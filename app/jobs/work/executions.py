"""What runs the batches of a training job: in shares here, or on several nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.files.machines import measured_tuning
from app.jobs.nodes.gathering import Nodes
from engine.fast.layout.gemm import Tuning
from engine.fast.nodes.leader import NodesExecution
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.share import pins
from engine.fast.parallel.shares import SharedExecution, execution
from engine.graph.network import Network
from engine.inputs.preparation import Preparation
from engine.recipe.losses import Loss
from engine.training.loop import evaluated_at_once
from engine.training.state import TrainingState


class Executions:
    """Makes what runs the batches of a network, once for training and test.

    Attributes:
        shares: into how many each node splits its part of a batch.
    """

    def __init__(self, batch_size: int, tuning: Tuning, shares: int, nodes: Nodes, folder: Path) -> None:
        self.shares = shares
        self._batch_size, self._tuning, self._nodes, self._folder = batch_size, tuning, nodes, folder
        self._made: SharedExecution | NodesExecution | None = None

    @property
    def pins(self) -> Mapping[str, str]:
        """What changes bits: the number of all shares, what was measured, and what other nodes do otherwise."""
        everywhere = self.shares * (1 + len(self._nodes.channels))
        return {**pins(everywhere, self._tuning), **self._nodes.pins}

    def __call__(
        self, trained: Network, loss: Loss, preparation: Preparation
    ) -> SharedExecution | NodesExecution:
        """Return it; a network of another stage gets one when that of the stage before is closed."""
        if self._made is None:
            most = max(self._batch_size, evaluated_at_once(trained.input_shape))
            setup = Setup(trained, loss, preparation, self._tuning, self.shares, most)
            if self._nodes.channels:
                self._made = NodesExecution(setup, self._nodes.channels, self._folder)
            else:
                self._made = execution(setup, self._folder)
        return self._made

    def close(self) -> None:
        """End its processes."""
        if self._made is not None:
            self._made.close()
        self._made = None


def measured(state: TrainingState, root: Path) -> Tuning:
    """Return what was measured of the machine when the run began; looked up or measured now if it begins.

    Args:
        state: of the run.
        root: the data directory.
    """
    pinned = state.pins.get("tuning")
    return measured_tuning(root) if pinned is None else Tuning.model_validate_json(pinned)
