"""Scores of a model by ONNX Runtime, through the model's own export; the only module that knows that library.

It is asked where its operator wants it (`CONVSERVE_INFERENCE`) and is quicker than plans, which large networks are.
Everything else about a prediction (preprocessing, the link of the loss, what waits for what) stays as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from copy import copy
from typing import ClassVar

import numpy as np
import onnxruntime  # type: ignore[import-untyped]

from engine.arrays import Array, Weights, elements
from engine.errors import ExportError, LimitError
from engine.fast.parallel.mapped import create
from engine.fast.serving.splitting import Splitting
from engine.graph.network import Network
from engine.model.computation import Library
from engine.model.onnx_format.write import MAX_BYTES, OnnxFile, export_network

_WORTH_THREADS = 100_000_000
"""Multiply-adds of a picture that several threads compute sooner than one."""
_MOST_PICTURES = 32
"""Those of a larger batch are computed in pieces."""
_PIECE_BYTES = 1 << 24
"""What the maps of a piece may take, of more than one picture: larger ones are no quicker, and the memory stays."""
_MAPS = 1.5
"""How much memory a picture takes, by the maps of the node that reads and writes most; measured 1.0 to 1.9."""
_ONLY_ERRORS = 3
_FLOAT = 4


class Session:
    """A network and its weights in ONNX Runtime: a `Computation`."""

    library: ClassVar[Library] = "onnxruntime"

    def __init__(
        self, network: Network, weights: Weights, executor: Executor | None = None, ways: int = 1
    ) -> None:
        """Export the network and have it read.

        Args:
            network: ending in scores.
            weights: by full name.
            executor: has threads for parts of batches of small networks.
            ways: how many threads compute a large network, and parts such batches have that are worth splitting.

        Raises:
            ExportError: it cannot be exported, or not be read.
            LimitError: its weights are larger than an ONNX file can be.
            OSError: there is no room for the file.
        """
        self._network, self._output_shape = network, network.output_shape
        self._threads = ways if network.multiply_adds >= _WORTH_THREADS else 1
        self._splitting = Splitting(network, executor if self._threads == 1 else None, ways)
        try:
            file = export_network(network, weights)
        except NotImplementedError as error:
            raise ExportError("a layer of the model has no form in ONNX") from error
        if len(file) > MAX_BYTES:
            raise LimitError(f"the model takes {len(file):,} bytes; an ONNX file holds at most {MAX_BYTES:,}")
        self._session = _opened(file, self._threads)
        self._input = self._session.get_inputs()[0].name
        self._weight_bytes = len(file)
        maps = (sum(map(elements, (*node.input_shapes, node.output_shape))) for node in network.nodes)
        self._picture_bytes = int(_MAPS * _FLOAT * max(maps, default=elements(network.input_shape)))
        self._piece = min(_MOST_PICTURES, max(1, _PIECE_BYTES // self._picture_bytes))
        self._lock = threading.Lock()
        """Guards the two below."""
        self._busy = self._most_busy = 0
        """Pictures that are being computed, and the most that ever were at once: their memory stays."""

    def bytes_beside(self, weights: Weights) -> int:
        """Return about how many bytes it holds: weights, turned as it wants them, and maps."""
        return self._weight_bytes + self._most_busy * self._picture_bytes

    def batches(self, count: int, seconds: Mapping[int, float]) -> tuple[int, ...]:
        """Return the size of one batch: it takes any."""
        return (count,)

    def is_ready(self, batches: Sequence[int]) -> bool:
        """Whether `scores` of such batches takes this thread alone."""
        return self._threads == 1 and max(batches) < self._splitting.fewest

    def alone(self) -> Session:
        """Return what leaves parts of batches to no other thread; those that the library has stay with it."""
        found = copy(self)
        found._splitting = Splitting(self._network, None, 1)
        return found

    @property
    def is_split(self) -> bool:
        """False: it has threads instead of a second process."""
        return False

    def split(self) -> None:
        """Do nothing."""

    def join(self) -> None:
        """Do nothing."""

    def scores(self, x: Array, batches: Sequence[int] | None = None) -> Array:
        """Return the scores (N, K) of preprocessed pictures (N, H, W, C)."""
        scores = np.empty((len(x), *self._output_shape), np.float32)
        self._splitting.run(self._run, x, scores)
        return scores

    def _run(self, x: Array, scores: Array) -> None:
        for first in range(0, len(x), self._piece):
            piece = slice(first, first + self._piece)
            scores[piece] = self._computed(np.ascontiguousarray(np.moveaxis(x[piece], -1, 1)))

    def _computed(self, x: Array) -> Array:
        with self._lock:
            self._busy += len(x)
            self._most_busy = max(self._most_busy, self._busy)
        try:
            scores: Array = self._session.run(None, {self._input: x})[0]
        finally:
            with self._lock:
                self._busy -= len(x)
        return scores


def _opened(file: OnnxFile, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # threads that wait for work would take the cores from others
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _ONLY_ERRORS
    # a session that is given bytes keeps them for good, so it is given a path
    descriptor = create(len(file))
    with open(descriptor, "wb") as written:  # noqa: PTH123 - a descriptor
        written.writelines(file.pieces())
        written.flush()
        written.seek(0)
        try:
            return onnxruntime.InferenceSession(
                f"/dev/fd/{descriptor}", options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ExportError(f"ONNX Runtime does not read the model: {error}") from error
