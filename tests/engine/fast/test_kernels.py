"""Every kernel against the plain convolution, over the shapes that the rule gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.arrays import Array
from engine.errors import ShapeError
from engine.fast.kernels.choice import choose
from engine.fast.kernels.depthwise import Depthwise
from engine.fast.kernels.kernel import Case, Kernel
from engine.fast.layout import arena as arena_module
from engine.fast.layout import gemm
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import OPENBLAS_EDGE, Tuning, largest_divisor, pieces, ragged_pieces
from engine.fast.layout.places import close
from engine.ops import convolution, windows
from engine.workspace import aligned

TUNINGS = [Tuning(), Tuning(gemm_edge=OPENBLAS_EDGE), Tuning(gemm_edge=5_000, tile_bytes=4_000)]
SIZE = st.integers(1, 13)


Kind = TypeVar("Kind")


@pytest.fixture(scope="module", autouse=True)
def _memory_is_never_zero_by_luck() -> Iterator[None]:
    """Fresh pages are zeros, which would hide that a kernel relies on them."""

    def full_of_nan(size: int) -> np.ndarray:
        found = aligned(size)
        found[...] = 255
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arena_module, "aligned", full_of_nan)
        yield


def two_steps(made: Callable[[Arena], Kind]) -> tuple[Kind, Kind]:
    """Return the kernels of two steps of one plan: what is scratch to one is overwritten by the other."""
    arena = Arena(training=True)
    for turn in range(2):
        kernels = []
        for step in range(2):
            arena.begin(step, step)
            kernels.append(made(arena))
        if turn == 0:
            arena.fill()
    return kernels[0], kernels[1]


def forward(kernel: Kernel, weight: Array, bias: Array | None, x: Array, y: Array) -> None:
    """Compute a batch as a step does: filters first, then tile by tile."""
    calls = kernel.prepare(weight, bias)
    place = close(y)
    for first in range(0, len(x), kernel.tile):
        tile = slice(first, first + kernel.tile)
        calls += kernel.bind(tile, x[tile], place.tile(tile))
    for call in calls:
        call()


def run(
    batch: int,
    window: windows.Window,
    channels: int,
    filters: int,
    tuning: Tuning,
    *,
    is_depthwise: bool = False,
) -> tuple[str, float]:
    """Compare forward, dX and dW twice over (state of the first pass must not leak); return the worst error."""
    draw = np.random.default_rng(0)
    shape = (batch, window.height.size, window.width.size, channels)
    x = draw.standard_normal(shape, dtype=np.float32)
    seen = 1 if is_depthwise else channels
    weight = draw.standard_normal((*window.kernel, seen, filters), dtype=np.float32)
    dy = draw.standard_normal((batch, *window.output, filters), dtype=np.float32)
    bias = draw.standard_normal(filters, dtype=np.float32)
    exact = [array.astype(np.float64) for array in (x, weight, dy, bias)]
    expected_y, padded = convolution.convolve(exact[0], exact[1], exact[3], window)
    expected_dx, expected_dw, _ = convolution.convolve_backward(
        padded, exact[1], exact[2], window, with_weight=True, with_bias=False, with_input=True
    )
    case = Case(batch, window, weight.shape, channels, training=True, wants_dx=True, wants_dw=True)
    kernel, other = two_steps(lambda arena: choose(case, tuning, arena))
    nothing = np.full_like(x, np.nan)

    def scribble() -> None:
        first = slice(0, other.tile)
        forward(other, weight, bias, nothing[first], np.empty_like(dy[first]))
        other.prepare_backward(weight)
        other.backward(first, nothing[first], dy[first] * np.nan, np.empty_like(x[first]))

    assert batch % kernel.tile == 0
    y, dx, dweight = np.full_like(dy, np.nan), np.full_like(x, np.nan), np.full_like(weight, np.nan)
    for added in (None, bias):
        scribble()
        forward(kernel, weight, added, x, y)
        scribble()
        kernel.prepare_backward(weight)
        for first in range(0, batch, kernel.tile):
            tile = slice(first, first + kernel.tile)
            kernel.backward(tile, x[tile], dy[tile], dx[tile])
        kernel.weight_gradient(dweight)
    worst = max(
        np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1)
        for found, wanted in ((y, expected_y), (dx, expected_dx), (dweight, expected_dw))
    )
    return kernel.name, float(worst)


@pytest.mark.parametrize("tuning", TUNINGS, ids=["whole", "cut", "small"])
@pytest.mark.parametrize(
    ("name", "batch", "size", "channels", "filters", "kernel", "stride", "padding"),
    [
        ("winograd", 6, (8, 8), 16, 16, 3, 1, "same"),
        ("winograd", 5, (12, 9), 16, 40, 3, 1, "same"),
        ("winograd", 4, (16, 16), 32, 32, 3, 1, "same"),
        ("winograd", 3, (4, 2), 64, 17, 3, 1, "same"),
        ("winograd", 4, (7, 7), 16, 20, 3, 1, "same"),
        ("winograd", 2, (13, 6), 40, 16, 3, 1, "same"),
        ("winograd", 6, (14, 14), 160, 128, 3, 1, "same"),
        ("columns", 2, (6, 6), 16, 16, 3, 1, "same"),
        ("columns", 1, (7, 7), 160, 128, 3, 1, "same"),
        ("pointwise", 4, (5, 6), 7, 9, 1, 1, "valid"),
        ("channel_major", 4, (28, 28), 1, 6, 5, 1, "same"),
        ("channel_major", 3, (9, 7), 1, 3, 2, 1, "valid"),
        ("channel_major", 4, (32, 32), 3, 16, 3, 1, "same"),
        ("channel_major", 4, (32, 32), 3, 8, 7, 2, ((3, 3), (3, 3))),
        ("columns", 4, (14, 14), 6, 16, 5, 1, "valid"),
        ("columns", 4, (16, 16), 16, 32, 3, 2, ((1, 1), (1, 1))),
        ("columns", 3, (7, 7), 16, 8, 3, 2, "same"),
    ],
)
def test_the_rule_gives_a_kernel_and_the_kernel_is_right(
    name: str,
    batch: int,
    size,
    channels: int,
    filters: int,
    kernel: int,
    stride: int,
    padding,
    tuning: Tuning,
) -> None:
    window = windows.slide((*size, channels), (kernel, kernel), (stride, stride), padding)
    chosen, error = run(batch, window, channels, filters, tuning)
    assert chosen == name
    assert error < 5e-6


@st.composite
def slid(draw: st.DrawFn, channels: int) -> windows.Window:
    """Return a window of any size, stride, padding and dilation over a map on which it fits."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    size, stride, dilation = draw(st.tuples(SIZE, SIZE)), draw(pair), draw(pair)
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    padding = draw(st.sampled_from(["valid", "same", ((1, 1), (1, 1)), ((0, 2), (3, 1))]))
    try:
        return windows.slide((*size, channels), kernel, stride, padding, dilation)
    except ShapeError:
        assume(False)
        raise


@settings(max_examples=150)
@given(st.data(), st.integers(1, 5), st.sampled_from([1, 2, 4, 5, 16]), st.sampled_from([1, 3, 16]))
def test_any_convolution_is_right(data: st.DataObject, batch: int, channels: int, filters: int) -> None:
    window, tuning = data.draw(slid(channels)), data.draw(st.sampled_from(TUNINGS))
    assert run(batch, window, channels, filters, tuning)[1] < 5e-6


@settings(max_examples=40)
@given(st.data(), st.integers(1, 3), st.integers(1, 4))
def test_any_convolution_of_few_channels_is_right_on_wide_maps(
    data: st.DataObject, batch: int, channels: int
) -> None:
    """At a stride the columns of their rows are kept apart."""
    number = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    stride, dilation, padding = number(1, 4), number(1, 4), (number(0, 4), number(0, 4))
    size = number(3, 9), number(32 * stride + 3 * dilation, 130 + 3 * dilation)
    kernel = number(1, 3), number(1, 5 - (dilation > 2))
    window = windows.slide((*size, channels), kernel, (2, stride), ((1, 0), padding), (1, dilation))
    tuning = data.draw(st.sampled_from(TUNINGS))
    chosen, error = run(batch, window, channels, 5, tuning)
    assert chosen in ("channel_major", "pointwise")
    assert error < 5e-6


@settings(max_examples=150)
@given(st.data(), st.integers(1, 4), st.sampled_from([2, 5, 16]))
def test_any_depthwise_convolution_is_right(data: st.DataObject, batch: int, channels: int) -> None:
    window, tuning = data.draw(slid(channels)), data.draw(st.sampled_from(TUNINGS))
    assume(Depthwise.fits(window, channels, (*window.kernel, 1, channels)))
    chosen, error = run(batch, window, channels, channels, tuning, is_depthwise=True)
    assert chosen == "depthwise"
    assert error < 5e-6


@pytest.mark.parametrize(("stride", "padding"), [(1, "same"), (2, ((1, 1), (1, 1))), (2, "same")])
@pytest.mark.parametrize("size", [(14, 14), (7, 9)])
def test_depthwise_convolutions_of_mobile_networks_have_a_kernel(stride: int, padding, size) -> None:
    window = windows.slide((*size, 8), (3, 3), (stride, stride), padding)
    assert Depthwise.fits(window, 8, (3, 3, 1, 8))
    assert run(3, window, 8, 8, Tuning(), is_depthwise=True)[1] < 5e-6


def run_pooled(
    batch: int, window: windows.Window, channels: int, filters: int, tuning: Tuning
) -> tuple[str, float]:
    """As `run`, for a convolution and the pool behind it; values differ, so that rounding decides no tie."""
    draw = np.random.default_rng(1)
    shape = (batch, window.height.size, window.width.size, channels)
    pooled = (batch, window.output[0] // 2, window.output[1] // 2, filters)
    x = draw.standard_normal(shape, dtype=np.float32)
    weight = draw.standard_normal((*window.kernel, channels, filters), dtype=np.float32)
    dy = draw.standard_normal(pooled, dtype=np.float32)
    bias = draw.standard_normal(filters, dtype=np.float32)
    exact = [array.astype(np.float64) for array in (x, weight, dy, bias)]
    full, padded = convolution.convolve(exact[0], exact[1], exact[3], window)
    cells = full.reshape(batch, pooled[1], 2, pooled[2], 2, filters).transpose(0, 1, 3, 5, 2, 4)
    cells = cells.reshape(*pooled, 4)
    chosen_cell = np.eye(4)[cells.argmax(axis=-1)] * exact[2][..., None]
    dfull = chosen_cell.reshape(*pooled, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(full.shape)
    expected_dx, expected_dw, _ = convolution.convolve_backward(
        padded, exact[1], dfull, window, with_weight=True, with_bias=False, with_input=True
    )
    case = Case(
        batch, window, weight.shape, channels, training=True, wants_dx=True, wants_dw=True, pooled=True
    )
    kernel, other = two_steps(lambda arena: choose(case, tuning, arena))
    nothing = np.full_like(x, np.nan)

    def scribble() -> None:
        first = slice(0, other.tile)
        forward(other, weight, bias, nothing[first], np.empty_like(dy[first]))
        other.prepare_backward(weight)
        other.backward(first, nothing[first], dy[first] * np.nan, np.empty_like(x[first]))

    assert batch % kernel.tile == 0
    tiles = [slice(first, first + kernel.tile) for first in range(0, batch, kernel.tile)]
    y, dx, dweight = np.full_like(dy, np.nan), np.full_like(x, np.nan), np.full_like(weight, np.nan)
    for added in (None, bias):
        scribble()
        forward(kernel, weight, added, x, y)
        scribble()
        kernel.prepare_backward(weight)
        for tile in tiles:
            kernel.backward(tile, x[tile], dy[tile], dx[tile])
        kernel.weight_gradient(dweight)
    worst = max(
        np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1)
        for found, wanted in ((y, cells.max(axis=-1)), (dx, expected_dx), (dweight, expected_dw))
    )
    return kernel.name, float(worst)


@pytest.mark.parametrize(
    ("name", "batch", "size", "channels", "filters", "kernel", "stride", "padding"),
    [
        ("quartered", 4, (28, 28), 1, 6, 5, 1, "same"),
        ("quartered", 4, (14, 14), 6, 16, 5, 1, "valid"),
        ("quartered", 40, (28, 28), 10, 10, 3, 1, "valid"),  # several tiles, and dX by the map in full
        ("quartered", 3, (9, 13), 4, 3, 4, 1, ((0, 2), (3, 1))),
        ("winograd", 4, (8, 8), 16, 16, 3, 1, "same"),
        ("columns", 4, (12, 12), 8, 32, 5, 1, "valid"),
        ("columns", 4, (12, 12), 8, 8, 5, 2, "same"),
        ("pointwise", 4, (12, 12), 8, 8, 1, 1, "same"),
    ],
)
def test_a_pool_behind_it_is_right_too(
    name: str, batch: int, size, channels: int, filters: int, kernel: int, stride: int, padding
) -> None:
    window = windows.slide((*size, channels), (kernel, kernel), (stride, stride), padding)
    chosen, error = run_pooled(batch, window, channels, filters, Tuning())
    assert chosen == name
    assert error < 5e-6


@settings(max_examples=100)
@given(
    st.integers(1, 5),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([((0, 0), (0, 0)), ((1, 1), (1, 1)), ((0, 2), (3, 1)), ((4, 4), (2, 3))]),
    st.sampled_from([1, 2, 4, 5, 9, 16]),
    st.sampled_from([1, 3, 16]),
    st.sampled_from(TUNINGS),
)
def test_any_pooled_convolution_is_right(batch, pooled, kernel, padding, channels, filters, tuning) -> None:
    size = [2 * out + side - 1 - sum(pad) for out, side, pad in zip(pooled, kernel, padding, strict=True)]
    assume(min(size) > 0)
    window = windows.slide((*size, channels), kernel, (1, 1), padding)
    assert run_pooled(batch, window, channels, filters, tuning)[1] < 5e-6


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize(
    ("name", "size", "channels", "seen", "filters", "kernel", "stride", "padding"),
    [
        ("winograd", (8, 8), 16, 16, 16, 3, 1, "same"),
        ("winograd", (8, 8), 40, 40, 20, 3, 1, "same"),
        ("pointwise", (6, 6), 7, 7, 9, 1, 1, "valid"),
        ("channel_major", (8, 8), 3, 3, 20, 3, 1, "same"),
        ("columns", (8, 8), 8, 8, 20, 5, 1, "same"),
        ("columns", (8, 8), 16, 16, 32, 3, 2, ((1, 1), (1, 1))),
        ("depthwise", (8, 8), 6, 1, 6, 3, 1, "same"),
        ("quartered", (8, 8), 6, 6, 8, 3, 1, "same"),
    ],
)
def test_one_gradient_is_the_same_without_the_other(
    name: str, size, channels: int, seen: int, filters: int, kernel: int, stride: int, padding, pooled: bool
) -> None:
    """Frozen filters want no dW, the first layer no dX: what is left is the same to the bit, and takes less memory."""
    window = windows.slide((*size, channels), (kernel, kernel), (stride, stride), padding)
    draw = np.random.default_rng(0)
    batch, weight = 6, draw.standard_normal((kernel, kernel, seen, filters), dtype=np.float32)
    x = draw.standard_normal((batch, *size, channels), dtype=np.float32)
    output = tuple(side // (2 if pooled else 1) for side in window.output)
    dy = draw.standard_normal((batch, *output, filters), dtype=np.float32)
    found, held = {}, {}
    for wants in ((True, True), (True, False), (False, True)):
        case = Case(batch, window, weight.shape, channels, True, *wants, pooled=pooled)
        arena = Arena(training=True)
        arena.begin(0, 0)
        choose(case, Tuning(), arena)
        held[wants] = arena.bytes
        arena.fill()
        arena.begin(0, 0)
        chosen = choose(case, Tuning(), arena)
        dx, dweight, y = np.zeros_like(x), np.zeros_like(weight), np.empty_like(dy)
        tiles = [slice(first, first + chosen.tile) for first in range(0, batch, chosen.tile)]
        forward(chosen, weight, None, x, y)
        chosen.prepare_backward(weight)
        for tile in tiles:
            chosen.backward(tile, x[tile], dy[tile], dx[tile] if wants[0] else None)
        if wants[1]:
            chosen.weight_gradient(dweight)
        found[wants] = dx, dweight
        assert chosen.name == name or (name == "quartered") != pooled
    np.testing.assert_array_equal(found[True, False][0], found[True, True][0])
    np.testing.assert_array_equal(found[False, True][1], found[True, True][1])
    assert held[True, False] < held[True, True]
    assert held[False, True] <= held[True, True]


def test_winograd_stays_within_its_bound_on_positive_maps() -> None:
    """After relu nothing cancels: the transform's large constants show most."""
    window = windows.slide((32, 32, 64), (3, 3), (1, 1), "same")
    assert run(2, window, 64, 64, Tuning())[1] < 5e-6


@given(st.integers(1, 5000), st.integers(1, 3000), st.sampled_from([0, 5_000, OPENBLAS_EDGE]))
def test_pieces_divide_the_rows(rows: int, each: int, edge: int) -> None:
    parts = pieces(rows, each, edge)
    assert rows % parts == 0
    assert parts == 1 or (rows // parts * each <= edge and rows // parts >= 16)


@given(st.integers(1, 5000), st.integers(1, 3000), st.sampled_from([0, 5_000, OPENBLAS_EDGE]))
def test_ragged_pieces_hold_all_rows_and_are_not_thin(rows: int, each: int, edge: int) -> None:
    parts = ragged_pieces(rows, each, edge)
    assert 1 <= parts <= max(1, rows // 16)
    # as few more than fit under the edge as rounding makes necessary
    assert parts == 1 or -(-rows // parts) * each <= edge + each or parts == rows // 16


@given(st.integers(1, 300), st.floats(0.1, 400))
def test_the_largest_divisor_divides(number: int, most: float) -> None:
    divisor = largest_divisor(number, most)
    assert number % divisor == 0
    assert divisor == 1 or divisor <= most


def test_tuning_is_measured_and_survives_json() -> None:
    measured = Tuning.measure()
    assert measured.gemm_edge in (0, OPENBLAS_EDGE)
    assert Tuning.model_validate_json(measured.model_dump_json()) == measured


@pytest.mark.parametrize("whole", [1.0, 2.0])
@pytest.mark.parametrize(("avx512", "known"), [(False, 0), (True, OPENBLAS_EDGE), (None, None)])
def test_noise_decides_nothing_that_is_known(
    monkeypatch: pytest.MonkeyPatch, avx512: bool | None, known: int | None, whole: float
) -> None:
    """A busy moment while one of two ways was timed gave two equal runs different model files."""
    monkeypatch.setattr(gemm, "products_use_avx512", lambda: avx512)
    monkeypatch.setattr(gemm, "_seconds", lambda a, b, out: whole if a.ndim == 2 else 1.0)
    measured = OPENBLAS_EDGE if whole == 2.0 else 0
    assert Tuning.measure().gemm_edge == (measured if known is None else known)
