"""What is chosen where a caller leaves it open: each choice by a small rule, with its reason.

A rule knows numbers and nothing of requests or stores: what the data set is like goes in, a choice and a sentence that
says why come out. All of them are in this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.api.datasets import SplitShares
from engine.augmentations import AnyAugmentation
from engine.augmentations.geometry import HorizontalFlip, RandomCrop, Rotation
from engine.recipe.losses import LOSSES, Loss, SoftmaxCrossEntropy
from engine.recipe.targets import Target

SIDES = {224: 50.0, 160: 26.0, 128: 16.0, 96: 9.0}
"""Sides of square pictures, and milliseconds that the features of one take (MobileNetV2, one core without AVX-512)."""
_PATIENCE_MS = 30_000.0
_PHOTO_SIDE, _SMALL_PHOTO_SIDE = 64, 32
"""Shorter sides from which features of photos are worth having, always and where there are few pictures."""
_FEW = 500
"""Pictures below which even features of small photos are better than what a network learns by itself: on CIFAR-10 at
32x32 from 200 they are by 7 points, from 400 no more (docs/accuracy.md)."""
_FEW_OF_A_CLASS = 50
"""Pictures of a class below which a fifth of them, not a tenth, goes to dev and to test."""
_HAS: Mapping[Target, str] = {
    "class": "the smallest class has",
    "labels": "the rarest combination of labels has",
    "values": "there are",
}
"""How many pictures there are of what each split gets a share of."""
_LENET_SIDES = range(12, 41)
_SMALL_NETWORK_SIDE = 64
HEAD_STEPS, HEAD_EPOCHS = 500, (10, 100)
"""Steps that a head takes to learn, and bounds on the epochs that they make: few pictures need many, many need few.
From 100 to 2,000 pictures of CIFAR-10 250 to 1,000 steps are equally good, 125 and 2,000 hardly worse."""
TRUNK_STEPS, TRUNK_EPOCHS = 200, (5, 20)
NETWORK_STEPS, NETWORK_EPOCHS = 2000, (10, 100)
HEAD_BATCHES, HEAD_BATCHES_PER_EPOCH = (8, 128), 8
NETWORK_BATCHES, NETWORK_BATCHES_PER_EPOCH = (16, 128), 32
_SCORE_STEP, _RATES = 0.4, (1e-4, 0.03)
"""How far the first steps move a score, and bounds on the learning rates that make them: Adam moves each of a score's
weights by about the rate, so that the rate falls with their number."""
_UNEQUAL = 1.5
"""From how many times more pictures in one class than in another classes are weighted."""
_SMOOTHING = 0.1
_FEWEST_STEPS = 100
_AUGMENTED_SIDE = 12


def picture_side(pictures: int, side: int) -> tuple[int, str]:
    """Return the side that pictures are scaled to for transfer, and why.

    Larger pictures show more, as long as they are that large and looking at all of them takes less than half a minute.

    Args:
        pictures: how many there are.
        side: the median of their shorter sides.
    """
    least = min(SIDES)
    quick = max((size for size, cost in SIDES.items() if pictures * cost <= _PATIENCE_MS), default=least)
    enough = min((size for size in SIDES if size >= side), default=max(SIDES))
    if enough < quick:
        return enough, f"the pictures are about {side} pixels high or wide"
    if quick < max(SIDES):
        return quick, f"there are {pictures} pictures, and larger ones would take long to look at"
    return quick, "the pretrained model has learned on pictures of this size"


def split_shares(fewest: int, target: Target) -> tuple[SplitShares, str]:
    """Return the shares of train, dev and test of pictures to transfer to, and why.

    Args:
        fewest: how many the smallest class has, or the rarest set of labels; of values, how many there are.
        target: what is known of each picture.
    """
    has = f"{_HAS[target]} {fewest} {'picture' if fewest == 1 else 'pictures'}"
    if fewest < _FEW_OF_A_CLASS:
        shares = SplitShares(train=0.6, dev=0.2, test=0.2)
        return shares, f"{has} only, and of a tenth of them little could be told"
    return SplitShares(), f"{has}, and a tenth of them is enough to judge by"


def transfer_reason(shape: Sequence[int], pictures: int) -> str | None:
    """Return why a pretrained network of photos should learn these classes; None where one from the start is better.

    Args:
        shape: [height, width, channels] of the pictures.
        pictures: how many there are to train on.
    """
    height, width, channels = shape
    side = min(height, width)
    if channels != 3:
        return None
    if side >= _PHOTO_SIDE:
        return (
            "a network that has learned to see on a million photos needs few colour pictures to learn classes"
        )
    if side >= _SMALL_PHOTO_SIDE and pictures < _FEW:
        return f"{pictures} pictures are too few for a network to learn to see from, even if these are small"
    return None


def preset(shape: Sequence[int]) -> tuple[str, str]:
    """Return the preset for pictures of this shape [height, width, channels] that learns from the start, and why."""
    height, width, channels = shape
    if channels == 1 and height in _LENET_SIDES and width in _LENET_SIDES:
        return "lenet-5", "small grey pictures, such as characters, need no more"
    if min(height, width) <= _SMALL_NETWORK_SIDE:
        reason = f"it was made for small pictures, and these are {height}x{width}"
        if channels == 3:
            reason += f"; photos are learned better as a data set of image_size {min(SIDES)}, by transfer"
        return "resnet-20", reason
    return "resnet-18", f"it was made for larger pictures, and these are {height}x{width}"


def batch_size(pictures: int, per_epoch: int, bounds: tuple[int, int]) -> tuple[int, str]:
    """Return how many pictures go through a network together, and why.

    Args:
        pictures: how many there are to train on.
        per_epoch: steps of an epoch, as long as that gives batches within the bounds.
        bounds: the smallest and the largest size.
    """
    least, most = bounds
    size = min(most, max(least, 1 << (max(1, pictures // per_epoch).bit_length() - 1)))
    while pictures > size and pictures % size == 1:  # nothing is normalised over a single picture
        size += 1
    if size >= most:
        return (
            size,
            f"with {pictures} pictures an epoch has enough steps; more at once would only take memory",
        )
    return size, f"so that an epoch of {pictures} pictures has several steps"


def epochs(pictures: int, size: int, steps: int, bounds: tuple[int, int]) -> tuple[int, str]:
    """Return how often to go through the pictures so that there are about so many steps, and why."""
    least, most = bounds
    per_epoch = -(-pictures // size)
    number = min(most, max(least, -(-steps // per_epoch)))
    return number, f"{per_epoch} steps each, {number * per_epoch} in all; about {steps} are enough to learn"


def head_rate(inputs: int) -> float:
    """Return Adam's learning rate for a head whose scores are made of so many numbers each."""
    least, most = _RATES
    return min(most, max(least, float(f"{_SCORE_STEP / inputs:.1g}")))


def loss(target: Target, counts: Sequence[int]) -> tuple[Loss, str]:
    """Return the loss for what is said of pictures, and why.

    Args:
        target: what is said of each.
        counts: how many pictures each class has.
    """
    if target != "class":
        fitting = next(kind for kind in LOSSES if target in kind.targets)
        return fitting.model_validate({}), f"it is that of {target}"
    weights, reason = None, "smoothed, since few pictures make a network surer than it should be"
    if min(counts) and max(counts) > _UNEQUAL * min(counts):
        mean = sum(counts) / len(counts)
        weights = tuple(round(mean / count, 4) for count in counts)
        reason += f"; weighted, since classes have from {min(counts)} to {max(counts)} pictures"
    return SoftmaxCrossEntropy(label_smoothing=_SMOOTHING, class_weights=weights), reason


def augmentations(shape: Sequence[int], target: Target) -> tuple[tuple[AnyAugmentation, ...], str]:
    """Return how pictures of this shape [height, width, channels] are varied, and why."""
    height, width, channels = shape
    side = min(height, width)
    if target == "values":
        return (), "what was measured may depend on where and how large something is"
    if side < _AUGMENTED_SIDE:
        return (), f"pictures of {height}x{width} have no room for it"
    if channels == 1:
        moved = RandomCrop(padding=max(1, side // 14))
        return (
            moved,
            Rotation(degrees=6.0),
        ), "grey pictures may be characters, which are moved but not mirrored"
    return (HorizontalFlip(), RandomCrop(padding=side // 8)), "what photos show may be mirrored and moved"


def few_steps(steps: int) -> str | None:
    """Return a warning where a run has too few steps to learn much."""
    if steps >= _FEWEST_STEPS:
        return None
    return (
        f'{steps} steps are too few to learn much: give more epochs, smaller batches, or "defaults": "auto"'
    )
