"""Augmentations: what each promises, and that draws belong to a sample and not to its batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from engine.augmentations import AUGMENTATIONS, AnyAugmentation, Augmentation, Pipeline, augment, check
from engine.augmentations.base import Geometric, Mixing
from engine.augmentations.colour import Brightness, Contrast, Greyscale, Hue, Inversion, Saturation
from engine.augmentations.geometry import HorizontalFlip, RandomCrop, Rotation, Scaling, Shear, VerticalFlip
from engine.augmentations.mixing import Cutmix, Mixup, beta
from engine.augmentations.noise import Erasing, GaussianNoise, SaltAndPepper
from engine.augmentations.resample import resample
from engine.draws import SampleStreams
from engine.errors import ShapeError
from engine.layers import Context
from engine.spec import descriptions
from engine.workspace import Workspace
from tests.engine import reference

PARSE = TypeAdapter(AnyAugmentation)
CASES = [
    pytest.param(PARSE.validate_python(example), example, id=f"{kind.tag()}-{number}")
    for kind in AUGMENTATIONS
    for number, example in enumerate(kind.examples)
]


def pictures(count: int = 7, shape: tuple[int, int, int] = (9, 11, 3)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def run(
    parts: list[Augmentation],
    images: np.ndarray,
    samples: np.ndarray | None = None,
    epoch: int = 1,
    seed: int = 3,
    context: Context | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Augment with targets that tell which picture is which; pictures are their own place in the data set."""
    samples = np.arange(len(images)) if samples is None else samples
    targets = np.eye(20, dtype=np.float32)[samples % 20]
    arguments = (images, targets, samples, epoch)
    pipeline = Pipeline(parts, seed)
    return pipeline.apply(*arguments) if context is None else pipeline.apply(*arguments, context)


@pytest.mark.parametrize(("part", "example"), CASES)
def test_an_example_survives_json(part: Augmentation, example: dict[str, Any]) -> None:
    assert part.type == type(part).tag()
    assert PARSE.validate_json(part.model_dump_json(serialize_as_any=True)) == part
    with pytest.raises(ValidationError, match="extra_forbidden"):
        PARSE.validate_python({**example, "no_such_key": 1})


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_an_augmentation_tells_formula_source_and_purpose(kind: type[Augmentation]) -> None:
    assert kind.__doc__
    assert kind.formula
    assert kind.source
    assert kind.examples
    assert set(kind.model_fields) - {"type"} <= set(descriptions(kind))


@pytest.mark.parametrize(("part", "example"), CASES)
def test_pictures_stay_pictures(part: Augmentation, example: dict[str, Any]) -> None:
    images = pictures(40)
    before = images.copy()
    x, targets = run([part], images)
    count = 39 if isinstance(part, Mixing) else 40
    assert x.shape == (count, 9, 11, 3)
    assert x.dtype in (np.uint8, np.float32)
    assert x.min() >= 0
    assert x.max() <= 255
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(images, before)
    changed = (x != images[:count]).any(axis=(1, 2, 3))
    assert changed.any()
    if part.probability < 1:
        assert not changed.all()


@pytest.mark.parametrize(("part", "example"), CASES)
def test_what_happens_to_a_sample_does_not_depend_on_its_batch(
    part: Augmentation, example: dict[str, Any]
) -> None:
    images = pictures(9)
    samples = np.array([40, 3, 17, 5, 99, 0, 41, 8, 12])
    whole, whole_targets = run([part], images, samples)
    extra = Pipeline([part], 0).partners
    for first, last in ((0, 2), (2, 3), (3, 8)):
        piece = slice(first, last + extra)
        x, targets = run([part], images[piece], samples[piece])
        np.testing.assert_array_equal(x, whole[first:last])
        np.testing.assert_array_equal(targets, whole_targets[first:last])


@pytest.mark.parametrize(("part", "example"), CASES)
def test_every_epoch_seed_and_place_in_the_list_draws_anew(
    part: Augmentation, example: dict[str, Any]
) -> None:
    images = pictures(30)
    first = run([part], images)[0]
    assert (first == run([part], images)[0]).all()
    assert (first != run([part], images, epoch=2)[0]).any()
    assert (first != run([part], images, seed=4)[0]).any()
    if not isinstance(part, Mixing):
        other = Inversion(probability=0.0)
        assert (first != run([other, part], images)[0]).any()


@pytest.mark.parametrize(("part", "example"), CASES)
def test_probability_zero_changes_nothing(part: Augmentation, example: dict[str, Any]) -> None:
    images = pictures()
    x, targets = run([part.model_copy(update={"probability": 0.0})], images)
    np.testing.assert_array_equal(x, images[: len(x)])
    np.testing.assert_array_equal(targets, np.eye(20)[: len(x)])


def test_a_workspace_changes_no_bit() -> None:
    parts = [PARSE.validate_python(kind.examples[0]) for kind in AUGMENTATIONS]
    context = Context(node="augmentation", workspace=Workspace())
    run(parts, pictures(12), context=context)
    reused, reused_targets = run(parts, pictures(), context=context)
    fresh, fresh_targets = run(parts, pictures())
    np.testing.assert_array_equal(reused, fresh)
    np.testing.assert_array_equal(reused_targets, fresh_targets)


GEOMETRIC = [case for case in CASES if isinstance(case.values[0], Geometric)]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(("part", "example"), GEOMETRIC)
def test_geometry_is_that_of_the_slow_reference(
    part: Geometric, example: dict[str, Any], dtype: type
) -> None:
    images = pictures(5, (6, 7, 2)).astype(dtype)
    maps = part.maps(SampleStreams(np.arange(5), 1, "maps"), 6, 7)
    x = resample(images, maps, part.fill, exact=part.exact)
    expected = reference.resample(images.astype(np.float64), maps, part.fill)
    np.testing.assert_allclose(x, expected, atol=2e-3)
    assert x.dtype == (dtype if part.exact else np.float32)


@pytest.mark.parametrize("fill", ["black", "edge", "reflect"])
def test_far_outside_a_picture_the_fill_is_seen(fill: str) -> None:
    images = pictures(3, (5, 4, 1))
    maps = np.array([[[0.3, 0.8, 20.4], [-2, 1, -9.6], [0, 0, 1]]] * 3)
    x = resample(images, maps, fill)  # type: ignore[arg-type]
    np.testing.assert_allclose(x, reference.resample(images.astype(float), maps, fill), atol=2e-3)
    if fill == "black":
        assert (x == 0).mean() > 0.9


def test_a_picture_of_one_pixel_can_be_moved() -> None:
    images = pictures(2, (1, 1, 1))
    for fill in ("black", "edge", "reflect"):
        x = resample(images, np.array([np.eye(3)] * 2), fill)
        np.testing.assert_array_equal(x, images)


def test_flips_flip() -> None:
    images = pictures()
    always = {"probability": 1.0}
    np.testing.assert_array_equal(run([HorizontalFlip(**always)], images)[0], images[:, :, ::-1])
    np.testing.assert_array_equal(run([VerticalFlip(**always)], images)[0], images[:, ::-1])
    twice = [HorizontalFlip(**always), Rotation(degrees=180.0, probability=0.0), HorizontalFlip(**always)]
    np.testing.assert_array_equal(run(twice, images)[0], images)


def test_a_random_crop_is_a_piece_of_the_padded_picture_and_reaches_every_place() -> None:
    images = pictures(400)
    x, _ = run([RandomCrop(padding=2)], images)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    places = set()
    for number in range(len(images)):
        found = [
            (row, column)
            for row in range(5)
            for column in range(5)
            if (padded[number, row : row + 9, column : column + 11] == x[number]).all()
        ]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) == 25


def test_neighbouring_geometry_is_one_resampling() -> None:
    parts: list[Any] = [Rotation(degrees=30.0), Scaling(share=0.3), Shear(degrees=10.0)]
    images = pictures(4)
    maps = np.eye(3)
    for place, part in enumerate(parts):
        streams = SampleStreams(np.arange(4), 3, "augment", place, 1)
        part.chosen(streams)
        maps = maps @ part.maps(streams, 9, 11)
    np.testing.assert_allclose(
        run(parts, images)[0], reference.resample(images.astype(float), maps, "black"), atol=2e-3
    )


def factor(strength: float, count: int) -> np.ndarray:
    """Return the factors that a first augmentation of colour draws."""
    streams = SampleStreams(np.arange(count), 3, "augment", 0, 1)
    streams.uniform(1)
    return (1 + (2 * streams.uniform(1)[:, 0] - 1) * strength).reshape(-1, 1, 1, 1)


def test_colours_follow_their_formulas() -> None:
    images = pictures(6) * 0.5 + 60  # nothing is cut off
    grey = images @ [0.299, 0.587, 0.114]
    f = factor(0.2, 6)
    close = {"atol": 1e-3}
    expected = images.astype(np.float64)
    images = images.astype(np.float32)
    np.testing.assert_allclose(run([Brightness(strength=0.2)], images)[0], f * expected, **close)
    mean = grey.mean(axis=(1, 2)).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(
        run([Contrast(strength=0.2)], images)[0], mean + f * (expected - mean), **close
    )
    np.testing.assert_allclose(
        run([Saturation(strength=0.2)], images)[0],
        grey[..., None] + f * (expected - grey[..., None]),
        **close,
    )
    everywhere = np.repeat(grey[..., None], 3, axis=-1)
    np.testing.assert_allclose(run([Greyscale(probability=1.0)], images)[0], everywhere, **close)
    np.testing.assert_allclose(run([Inversion(probability=1.0)], images)[0], 255 - expected, **close)
    turned = run([Hue(degrees=20.0)], images)[0]
    np.testing.assert_allclose(turned @ [0.299, 0.587, 0.114], grey, atol=0.1)
    assert np.abs(turned - expected).max() > 5


def test_neighbouring_colours_are_one_map_of_the_same_effect() -> None:
    images = (pictures(6) * 0.4 + 70).astype(np.float32)
    parts: list[Augmentation] = [Saturation(strength=0.2), Contrast(strength=0.2), Brightness(strength=0.1)]
    one_by_one = images
    for place in range(len(parts)):
        still: list[Augmentation] = [part.model_copy(update={"probability": 0.0}) for part in parts]
        still[place] = parts[place]
        one_by_one = run(still, one_by_one)[0]
    np.testing.assert_allclose(run(parts, images)[0], one_by_one, atol=1e-3)


def test_noise_is_as_strong_as_told() -> None:
    grey = np.full((50, 16, 16, 3), 128, np.uint8)
    noise = run([GaussianNoise(deviation=0.1)], grey)[0] - 128
    assert noise.std() == pytest.approx(25.5, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.5)
    kurtosis = (noise**4).mean() / noise.var() ** 2
    assert kurtosis == pytest.approx(3, abs=0.1)
    salted = run([SaltAndPepper(share=0.2)], grey)[0]
    assert (salted == 255).mean() == pytest.approx(0.1, abs=0.01)
    assert (salted == 0).mean() == pytest.approx(0.1, abs=0.01)
    assert ((salted == 128) | (salted == 0) | (salted == 255)).all()
    assert (salted == salted[..., :1]).all()


def test_erasing_covers_one_rectangle_of_the_right_area() -> None:
    grey = np.full((200, 20, 30, 1), 128, np.uint8)
    x = run([Erasing(probability=1.0, share=(0.1, 0.3), cover="black")], grey)[0]
    areas = []
    for picture in x[..., 0] == 0:
        rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
        assert picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert picture.sum() == len(rows) * len(columns)
        areas.append(picture.mean())
    assert 0.05 < min(areas) < 0.15
    assert 0.25 < max(areas) < 0.35
    noisy = run([Erasing(probability=1.0)], grey)[0]
    assert len(np.unique(noisy)) > 200
    with pytest.raises(ValidationError, match="smallest, largest"):
        Erasing(share=(0.5, 0.1))


def test_mixup_overlays_each_picture_with_the_next() -> None:
    images = pictures(30)
    x, targets = run([Mixup(alpha=1.0)], images)
    own = targets[np.arange(29), np.arange(29) % 20].reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(x, own * images[:-1] + (1 - own) * images[1:], atol=1e-3)
    assert 0.3 < own.mean() < 0.7
    assert own.std() > 0.2


def test_cutmix_weighs_targets_by_area() -> None:
    images = pictures(30)
    images[::2] //= 2
    images[1::2] = images[1::2] // 2 + 128  # neighbours have no number in common
    x, targets = run([Cutmix()], images)
    own = (x == images[:-1]).all(axis=-1).mean(axis=(1, 2))
    np.testing.assert_allclose(targets[np.arange(29), np.arange(29) % 20], own, atol=1e-6)
    assert ((x == images[:-1]) | (x == images[1:])).all()


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 2.0, 30.0])
def test_beta_has_the_moments_of_its_distribution(alpha: float) -> None:
    uniform = (np.arange(100_000) + 0.5) / 100_000
    drawn = beta(uniform, alpha)
    assert (np.diff(drawn) >= 0).all()
    assert drawn.mean() == pytest.approx(0.5, abs=1e-6)
    assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=1e-3)


def test_what_does_not_fit_the_pictures_is_refused_with_its_place() -> None:
    parts = [HorizontalFlip(), Saturation(strength=0.5)]
    check(parts, (8, 8, 3))
    with pytest.raises(ShapeError, match="3 channels but these have 1") as caught:
        check(parts, (8, 8, 1))
    assert caught.value.path == (1,)
    with pytest.raises(ShapeError, match="out of sight") as caught:
        check([RandomCrop(padding=8)], (8, 9, 1))
    assert caught.value.path == (0, "padding")


def test_a_preview_shows_what_training_sees() -> None:
    images = pictures(5)
    parts: list[Augmentation] = [RandomCrop(padding=2), Rotation(degrees=20.0), Mixup(alpha=1.0)]
    shown = augment(images, parts, seed=3, epoch=2)
    assert shown.dtype == np.uint8
    order = np.array([0, 1, 2, 3, 4, 0])
    trained = run(parts, images[order], order, epoch=2)[0]
    np.testing.assert_allclose(shown, trained, atol=0.501)
    np.testing.assert_array_equal(shown, augment(images, parts, seed=3, epoch=2))


def test_streams_are_uniform_and_belong_to_their_sample() -> None:
    samples = np.array([5, 0, 2**40, 17])
    streams = SampleStreams(samples, 1, "purpose", 2)
    first, second = streams.uniform(3), streams.uniform(2)
    alone = SampleStreams(samples[2:3], 1, "purpose", 2)
    np.testing.assert_array_equal(alone.uniform(5)[0], [*first[2], *second[2]])
    many = SampleStreams(np.arange(2000), 1, "other")
    numbers = many.uniform(100)
    counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
    assert np.abs(counts / 10_000 - 1).max() < 0.05
    assert abs(np.corrcoef(numbers[:, 0], numbers[:, 1])[0, 1]) < 0.06
    assert abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]) < 0.06
    levels = many.levels((7, 3))
    assert levels.shape == (2000, 7, 3)
    assert levels.mean() == pytest.approx(32767, rel=0.01)
