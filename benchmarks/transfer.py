"""Transfer to other classes: from the request to a served model, beside PyTorch with the same frozen trunk.

Ours are whole jobs over HTTP: the request, the start of the worker, the features, the head, its evaluation, the model
file, and the answer for a first picture. PyTorch's is what a script does, in a process that begins with it: imports,
the same MobileNetV2 with the same weights, the features of the same number of pictures, the same epochs of the same
batches of a head, its evaluation. The two take turns; each round has other pictures, for ours are kept.
"""

from __future__ import annotations

import io
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.api.training_jobs import TrainingJob
from app.client import Client
from app.ids import PRETRAINED
from benchmarks.duel import Case, Side, Timing, judge, run, value
from benchmarks.service import finish, service, upload
from engine.arrays import Bytes

Found = dict[str, Any]

MODES = ("contiguous", "channels_last")
SIZES = (224, 128)
PICTURES = 100
VECTORS, BATCH = 20_000, 128
CLASSES = 5
DEV = TEST = PICTURES // 5
_MOST_ROUNDS = 5
_ENDS = 2.0
_LINES = {
    "start": " parameters; ",
    "features": "features of",
    "head": "epoch ",
    "test and model": "INFO model ",
}
"""What a worker writes at the end of each part; `served` is the rest, up to the first answer."""


def transfer(data: str) -> Iterator[Case]:
    """Yield whole jobs on 100 pictures, then epochs of a head on 20,000 features."""
    for size in SIZES:
        label = f"{PICTURES} pictures of {size}x{size}, request to served model"
        yield Case(label, partial(_jobs, label, size))
    label = f"head on {VECTORS:,} features, an epoch"
    yield Case(label, partial(_heads, label))


def _heads(label: str, rounds: int) -> Found:
    case = {"vectors": VECTORS, "batch": BATCH}
    sides = {
        "ours": Side("benchmarks.transfer_head", "head", case, 2),
        "eager": Side("benchmarks.torch_transfer", "head", case, 2),
    }
    found = judge(label, run(sides, rounds))
    speeds = {side: 1e3 * VECTORS / time for side, time in found["milliseconds"].items()}
    return found | {"images_per_second": {side: round(speed) for side, speed in speeds.items()}}


def pictures(size: int, seed: int) -> tuple[Bytes, Bytes]:
    """Return pictures (N, H, W, 3) of coarse blots, a colour for each class, and their classes (N,)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(PICTURES) % CLASSES
    coarse = rng.integers(0, 160, (PICTURES, 8, 8, 3))
    coarse[..., 0] += 12 * labels[:, None, None]
    smooth = [
        Image.fromarray(picture.astype(np.uint8)).resize((size, size), Image.Resampling.BILINEAR)
        for picture in coarse
    ]
    return np.stack([np.asarray(picture) for picture in smooth]), labels.astype(np.uint8)


def _jobs(label: str, size: int, rounds: int) -> Found:
    with tempfile.TemporaryDirectory() as name, service(Path(name) / "data") as (client, processor):
        times, parts = _rounds(client, processor, Path(name), size, min(rounds, _MOST_ROUNDS))
    found = judge(label, {side: Timing(seconds) for side, seconds in times.items()})
    for words, side in {"ours": "ours", "theirs": found["against"]}.items():
        # the parts of one run, so that they belong together
        middle = sorted(range(len(times[side])), key=times[side].__getitem__)[len(times[side]) // 2]
        found[f"seconds_{words}"] = {part: round(spent, 2) for part, spent in parts[side][middle].items()}
        print(f"  {words}: {found[f'seconds_{words}']}", flush=True)
    return found


def _rounds(
    client: Client, processor: Callable[[], float], folder: Path, size: int, rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[dict[str, float]]]]:
    """Return the seconds of each side in each round, and of their parts."""
    times: dict[str, list[float]] = {"ours": [], **{mode: [] for mode in MODES}}
    parts: dict[str, list[dict[str, float]]] = {side: [] for side in times}
    for number in range(rounds):
        images, labels = pictures(size, number)
        file = folder / "pictures.npz"
        split = np.repeat([0, 1, 2], [PICTURES - DEV - TEST, DEV, TEST])
        np.savez(file, images=images, labels=labels, split=split)
        dataset = upload(client, file, name=f"pictures-{size}-{number}")
        worked = processor()
        job, spent, found = _job(client, dataset, images[0])
        found["processor"] = _ended(processor, worked)
        times["ours"].append(spent)
        parts["ours"].append(found)
        case = {
            "size": size,
            "seed": number,
            "epochs": job.epochs,
            "batch": job.batch_size,
            "learning_rate": job.optimizer["learning_rate"],
        }
        for mode in MODES:
            began, worked = time.perf_counter(), _children()
            found = value(Side("benchmarks.torch_transfer", "job", case | {"mode": mode}, 2))
            times[mode].append(time.perf_counter() - began)
            parts[mode].append(found | {"processor": _children() - worked})
    return times, parts


def _ended(processor: Callable[[], float], before: float) -> float:
    """Return how long processors have worked since then, when the worker that may be about to end has done so."""
    time.sleep(_ENDS)
    return processor() - before


def _children() -> float:
    """Return how long processors have worked for processes of ours that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _job(client: Client, dataset: str, picture: Bytes) -> tuple[TrainingJob, float, dict[str, float]]:
    """Teach the built-in model a data set; return the job, its seconds up to a first answer, and their parts."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    asked, began = time.time(), time.perf_counter()
    job = client.training_jobs.create(initial_weights=PRETRAINED, dataset=dataset)
    model = finish(client, job.id)
    client.models.predict(model, ("picture.png", file.getvalue()))
    spent = time.perf_counter() - began
    marks = {"asked": asked, **_marks(client.training_jobs.log(job.id)), "served": asked + spent}
    steps = list(marks.items())
    return (
        job,
        spent,
        {part: then - before for (_, before), (part, then) in pairwise(steps)},
    )


def _marks(log: str) -> dict[str, float]:
    """Return when the log of a job says that its parts ended, in seconds since 1970."""
    found = {}
    for part, words in _LINES.items():
        lines = [line for line in log.splitlines() if words in line]
        found[part] = datetime.fromisoformat(lines[-1].split()[0]).timestamp()
    return found
