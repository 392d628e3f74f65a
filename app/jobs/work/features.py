"""Training on features: what a frozen trunk makes of each picture is computed once, kept, and read again."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import IO

import numpy as np

from app.datasets.segments import Segment
from app.datasets.storage import StoredDataset
from app.files.artifacts import Artifacts
from app.files.features import feature_file
from app.jobs.heartbeat import Heartbeat
from app.store.records import Json, SegmentRecord
from engine.arrays import Array, Indices, Shape
from engine.execution.protocol import Execution, PlainExecution
from engine.graph.network import Network
from engine.inputs.feed import TrainingData
from engine.inputs.preparation import Preparation
from engine.recipe.config import TrainingConfig
from engine.recipe.losses import Loss
from engine.training.features import FeatureExtractor
from engine.training.loop import Execute, preparation
from engine.training.state import TrainingState
from engine.training.transfer import freeze
from engine.training.trunk import UNCHANGED, FeatureSet, feature_data, split_network

log = logging.getLogger(__name__)

Beat = Callable[[int], None]

_PART, _PART_BYTES = 1024, 32 << 20
"""Pictures whose features are in one file, fewer if that would be larger: what a job that dies while it computes them
loses at most."""


@dataclass
class Course:
    """A run of the training loop: of a whole network on pictures, or of what follows its trunk on features."""

    network: Network
    config: TrainingConfig
    data: TrainingData
    state: TrainingState
    execute: Execute
    whole: Callable[[TrainingState], TrainingState] = lambda state: state
    """Returns the state of the whole network's run."""
    variants: int = 0
    """How many variants of each picture are kept where it is augmented: itself, and as the next epochs see it."""
    quick: bool = False
    """Whether an epoch is so short that a checkpoint at each end would take most of the time."""


@dataclass(frozen=True)
class FeatureFiles:
    """The features of a data set's pictures by a model's trunk: read where they are kept, else computed and kept."""

    artifacts: Artifacts
    model_id: str
    dataset_id: str
    segments: tuple[SegmentRecord, ...]
    stored: StoredDataset

    def load(self, extractor: FeatureExtractor, shape: Shape, beat: Beat) -> Array:
        """Return the features (n, ...) of all pictures of the data set, in their order of arrival.

        Args:
            extractor: computes those that are not kept.
            shape: of the features of one picture.
            beat: told how many were computed, between any two calls of the extractor; what it raises is raised on.
        """

        def read(segment: Segment, places: Indices, samples: Indices) -> Array:
            return np.asarray(segment.images[places])

        # Of those that are left out too, so that a correction costs none that are kept.
        positions = np.arange(self.stored.images)
        return self._load(extractor, shape, beat, positions, "", read)

    def load_variant(
        self, extractor: FeatureExtractor, shape: Shape, beat: Beat, preparation: Preparation, epoch: int
    ) -> Array:
        """Return the features (n, ...) of the pictures of the train split as an epoch augments them; see `load`.

        Args:
            extractor: see `load`.
            shape: see `load`.
            beat: see `load`.
            preparation: how pictures are augmented, none with the help of another.
            epoch: which one, from 1.
        """
        about = preparation.model_dump_json(include={"augmentations", "seed"}, serialize_as_any=True)

        def read(segment: Segment, places: Indices, samples: Indices) -> Array:
            return preparation.augmented(segment.images[places], samples, epoch)

        train = self.stored.positions("train")
        return self._load(extractor, shape, beat, train, f"{epoch} {about}", read)

    def _load(
        self,
        extractor: FeatureExtractor,
        shape: Shape,
        beat: Beat,
        positions: Indices,
        about: str,
        read: Callable[[Segment, Indices, Indices], Array],
    ) -> Array:
        """Return the features of the pictures at some positions of the data set.

        Args:
            extractor: see `load`.
            shape: see `load`.
            beat: see `load`.
            positions: rising, (n,).
            about: what is done to pictures.
            read: returns pictures, given where they are in a segment, and in `positions`.
        """
        features = np.empty((len(positions), *shape), np.float32)
        fingerprint = extractor.fingerprint()
        part = min(_PART, max(1, _PART_BYTES // max(1, features[:1].nbytes)))
        begin = computed = 0
        for record, segment in zip(self.segments, self.stored.segments, strict=True):
            for first in range(0, len(segment.images), part):
                low, high = np.searchsorted(
                    positions, (begin + first, begin + min(first + part, record.images))
                )
                if low == high:
                    continue
                samples, places = np.arange(low, high), positions[low:high] - begin
                digest = hashlib.sha256(f"{fingerprint} {record.sha256} {about}".encode())
                digest.update(places.tobytes())
                if about:  # draws depend on the place in the split
                    digest.update(samples.tobytes())
                name = feature_file(self.model_id, self.dataset_id, digest.hexdigest()[:32], first // part)
                if self._read(name, features[low:high]):
                    continue
                pictures = partial(_some, read, segment, places, samples)
                place = int(low)
                for some in extractor.features(len(places), pictures):
                    features[place : place + len(some)] = some
                    place += len(some)
                    computed += len(some)
                    beat(computed)
                self._write(name, features[low:high])
            begin += record.images
        log.info("features of %d pictures, %d of them computed", len(features), computed)
        return features

    def _read(self, name: str, room: Array) -> bool:
        """Read a file into an array, and tell whether there is one that fits it."""
        try:
            kept = np.lib.format.open_memmap(self.artifacts.local_path(name), mode="r")
        except FileNotFoundError:
            return False
        except (OSError, ValueError) as error:
            log.warning("%s is damaged, its features are computed again: %s", name, error)
            return False
        if kept.dtype != room.dtype or kept.shape != room.shape:
            return False
        self.artifacts.mark_used(name)
        np.copyto(room, kept)
        return True

    def _write(self, name: str, features: Array) -> None:
        def write(file: IO[bytes]) -> None:
            np.lib.format.write_array(file, features, allow_pickle=False)

        try:
            self.artifacts.write(name, write)
        except OSError as error:  # the job has them; the next one computes them again
            log.warning("cannot keep features: %s", error)


def on_features(course: Course, files: FeatureFiles, threads: int, beat: Beat) -> Course:
    """Return the run that trains what follows the frozen trunk of a network, on features in place of pictures.

    Args:
        course: the whole network's run.
        files: where features are kept.
        threads: how many compute them.
        beat: see `FeatureFiles.load`.
    """
    config, weights = course.config, course.state.weights
    split = split_network(freeze(course.network.without_final(config.loss.link), config.freeze))
    if split is None:  # so that it would not have been accepted
        raise ValueError("the network has no frozen trunk")
    extractor = FeatureExtractor(split.trunk, weights, course.state.preprocessing, threads)
    shape = split.trunk.output_shape
    features = files.load(extractor, shape, beat)
    train, dev, test = (_feature_set(files.stored, features, name) for name in ("train", "dev", "test"))
    variants = []
    if config.augmentations:
        augmented = preparation(config, course.state.preprocessing)
        for epoch in range(2, course.variants + 1):
            found = files.load_variant(extractor, shape, beat, augmented, epoch)
            variants.append(FeatureSet(found, train.answers))

    def execute(network: Network, loss: Loss, preparation: Preparation) -> Execution:
        """Run batches of features, by what runs those of pictures unless that takes longer to start than to train."""
        return (PlainExecution if split.is_light else course.execute)(network, loss, UNCHANGED)

    return Course(
        split.rest,
        split.config(config),
        feature_data(course.data, train, dev, test, variants),
        split.narrowed(course.state),
        execute,
        lambda state: split.widened(state, weights),
        quick=split.is_light,
    )


def progress_of(beat: Heartbeat, shown: Json) -> Callable[[int], None]:
    """Return what shows how fast features are computed, beside what the job shows already."""
    began = time.monotonic()

    def tell(computed: int) -> None:
        rate = computed / max(time.monotonic() - began, 1e-6)
        beat(shown | {"stage": "features", "images_per_second": round(rate, 1), "eta_seconds": None})

    return tell


def _some(
    read: Callable[[Segment, Indices, Indices], Array],
    segment: Segment,
    places: Indices,
    samples: Indices,
    first: int,
    last: int,
) -> Array:
    return read(segment, places[first:last], samples[first:last])


def _feature_set(stored: StoredDataset, features: Array, name: str) -> FeatureSet:
    positions = stored.positions(name)
    answers = stored.labels.astype(np.int64) if stored.targets is None else stored.targets
    return FeatureSet(features, np.asarray(answers[positions]), positions)
