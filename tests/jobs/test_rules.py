"""What is chosen for those who leave it open: a table of the rules."""

from __future__ import annotations

from typing import Any

import pytest

from app.jobs.accept import rules


@pytest.mark.parametrize(
    ("shape", "pictures", "transfer"),
    [
        ((224, 224, 3), 100, True),
        ((64, 64, 3), 50_000, True),
        ((32, 32, 3), 300, True),
        ((32, 32, 3), 800, False),
        ((24, 24, 3), 100, False),
        ((224, 224, 1), 100, False),
        ((300, 30, 3), 100, False),
    ],
)
def test_photos_are_learned_by_a_network_that_knows_photos(
    shape: tuple[int, int, int], pictures: int, transfer: bool
) -> None:
    reason = rules.transfer_reason(shape, pictures)
    assert (reason is not None) == transfer


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((28, 28, 1), "lenet-5"),
        ((12, 40, 1), "lenet-5"),
        ((8, 8, 1), "resnet-20"),
        ((28, 28, 3), "resnet-20"),
        ((64, 200, 1), "resnet-20"),
        ((128, 128, 1), "resnet-18"),
    ],
)
def test_other_pictures_have_a_preset_of_their_size(shape: tuple[int, int, int], name: str) -> None:
    found, reason = rules.preset(shape)
    assert found == name
    assert reason
    assert ("image_size 96" in reason) == (shape[2] == 3)


@pytest.mark.parametrize(
    ("pictures", "size", "passes"),
    [
        (1, 16, 100),
        (60, 16, 100),
        (279, 16, 100),
        (1000, 16, 32),
        (2000, 32, 32),
        (8000, 128, 32),
        (50_000, 128, 10),
    ],
)
def test_epochs_follow_from_steps(pictures: int, size: int, passes: int) -> None:
    batch, reason = rules.batch_size(pictures, rules.NETWORK_BATCHES_PER_EPOCH, rules.NETWORK_BATCHES)
    assert batch == size
    assert reason
    number, reason = rules.epochs(pictures, batch, rules.NETWORK_STEPS, rules.NETWORK_EPOCHS)
    assert number == passes
    assert f"{number * -(-pictures // batch)} in all" in reason


def test_no_batch_is_a_single_picture() -> None:
    for pictures in range(2, 600):
        for per_epoch, bounds in (
            (rules.HEAD_BATCHES_PER_EPOCH, rules.HEAD_BATCHES),
            (rules.NETWORK_BATCHES_PER_EPOCH, rules.NETWORK_BATCHES),
        ):
            size, _ = rules.batch_size(pictures, per_epoch, bounds)
            assert pictures % size != 1, pictures


@pytest.mark.parametrize(
    ("shape", "target", "kinds"),
    [
        ((28, 28, 1), "class", ["random_crop", "rotation"]),
        ((32, 32, 3), "labels", ["horizontal_flip", "random_crop"]),
        ((32, 32, 3), "values", []),
        ((8, 8, 1), "class", []),
    ],
)
def test_pictures_are_varied_by_their_kind(
    shape: tuple[int, int, int], target: Any, kinds: list[str]
) -> None:
    chosen, reason = rules.augmentations(shape, target)
    assert [augmentation.type for augmentation in chosen] == kinds
    assert reason


@pytest.mark.parametrize(
    ("target", "counts", "kind", "weights"),
    [
        ("class", [10, 12], "softmax_cross_entropy", None),
        ("class", [5, 20], "softmax_cross_entropy", (2.5, 0.625)),
        ("labels", [5, 20], "binary_cross_entropy", None),
    ],
)
def test_the_loss_fits_what_is_said_of_pictures(
    target: Any, counts: list[int], kind: str, weights: tuple[float, ...] | None
) -> None:
    loss, reason = rules.loss(target, counts)
    assert loss.type == kind
    assert getattr(loss, "class_weights", None) == weights
    assert reason


def test_few_steps_are_warned_of() -> None:
    assert rules.few_steps(100) is None
    assert "99 steps" in (rules.few_steps(99) or "")
