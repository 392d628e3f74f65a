"""What computes predictions: one contract for plans in NumPy and for ONNX Runtime, against layer after layer."""

from __future__ import annotations

import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.arrays import Array, elements
from engine.errors import ExportError, LimitError, ShapeError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context, Conv2D
from engine.model.computation import Computation, compare, fixed_pictures
from engine.model.inference import Predictor, scoring_network
from engine.model.model_file import Model
from engine.model.runtime import onnx_runtime
from engine.model.runtime.onnx_runtime import Session
from engine.recipe.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy

TOLERANCE = 1e-4
SHAPE = (16, 12, 3)
LAYERS: list[dict[str, Any]] = [
    {"type": "conv2d", "filters": 8, "padding": "same", "activation": "relu"},
    {"type": "batch_norm"},
    {"type": "max_pool2d"},
    {"type": "conv2d", "filters": 12, "padding": "valid"},
    {"type": "flatten"},
    {"type": "dense", "units": 5},
]
WIDE = [
    {"type": "conv2d", "filters": 512, "padding": "same"},
    {"type": "conv2d", "filters": 128, "padding": "same"},
    *LAYERS[2:],
]
"""Of so many multiply-adds that ONNX Runtime has threads for it."""

Made = Callable[..., Predictor]


def model(layers: list[dict[str, Any]] = LAYERS, loss: Loss | None = None, seed: int = 0) -> Model:
    architecture = Architecture.model_validate({"input_shape": SHAPE, "layers": layers})
    weights = Network.build(architecture).initial_weights(seed)
    preprocessing = Preprocessing(mean=(0.5, 0.4, 0.3), deviation=(0.2, 0.3, 0.4))
    target = "values" if isinstance(loss, MeanSquaredError) else "class"
    return Model(
        architecture, tuple("abcde"), preprocessing, loss or SoftmaxCrossEntropy(), weights, {}, target
    )


def wanted(of: Model, images: Array) -> Array:
    """Return predictions layer by layer: what every other way is tested against."""
    x = images if images.dtype == np.float32 else of.preprocessing.apply(images)
    scores = scoring_network(of).forward(of.weights, x, Context()).output
    predictions: Array = of.loss.predict(scores)
    return predictions


def pictures(count: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), np.uint8)


@pytest.fixture(params=["numpy", "onnxruntime"])
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    """Make a predictor of a model by either, with two threads."""
    with ThreadPoolExecutor(1) as executor:

        def make(of: Model) -> Predictor:
            if request.param == "numpy":
                return Predictor(of, None, executor, 2)
            return Predictor(of, computation=Session(scoring_network(of), of.weights, executor, 2))

        yield make


@pytest.mark.parametrize("count", [1, 7, 40, 70])
@pytest.mark.parametrize("layers", [LAYERS, WIDE], ids=["small", "wide"])
def test_predictions_are_those_of_the_plain_network(
    made: Made, layers: list[dict[str, Any]], count: int
) -> None:
    of = model(layers)
    found = made(of).predict(pictures(count))
    assert (found.shape, found.dtype) == ((count, 5), np.float32)
    np.testing.assert_allclose(found, wanted(of, pictures(count)), atol=TOLERANCE)


def test_of_no_pictures_there_are_no_predictions(made: Made) -> None:
    assert made(model()).predict(pictures(0)).shape == (0, 5)


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), BinaryCrossEntropy(), MeanSquaredError()])
def test_what_the_loss_makes_of_scores_is_applied_once(made: Made, loss: Loss) -> None:
    link = {"softmax": "softmax", "sigmoid": "sigmoid"}.get(loss.link)
    for layers in (LAYERS, [*LAYERS, {"type": link}] if link else LAYERS):
        of = model(layers, loss)
        np.testing.assert_allclose(made(of).predict(pictures(3)), wanted(of, pictures(3)), atol=TOLERANCE)


def test_numbers_that_need_no_preprocessing_are_taken_as_they_are(made: Made) -> None:
    of = model()
    numbers = np.random.default_rng(3).standard_normal((7, *SHAPE)).astype(np.float32)
    found = made(of).predict(numbers)
    np.testing.assert_allclose(found, wanted(of, numbers), atol=TOLERANCE)


def test_arrays_may_lie_anyhow_and_are_left_alone(made: Made) -> None:
    of = model()
    predictor = made(of)
    base = pictures(6)
    base.flags.writeable = False
    for images in (base[::2], base[:, ::-1], base.transpose(0, 1, 2, 3)[::-1]):
        kept = images.copy()
        np.testing.assert_allclose(predictor.predict(images), wanted(of, images), atol=TOLERANCE)
        np.testing.assert_array_equal(images, kept)


def test_predictions_stay_when_others_are_made(made: Made) -> None:
    predictor = made(model())
    first = predictor.predict(pictures(2))
    kept = first.copy()
    predictor.predict(pictures(2, seed=9))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("shape", [(1, 12, 16, 3), (1, 16, 12, 1), (1, 16, 12), (16, 12, 3), (2, 16, 12, 4)])
def test_other_shapes_are_refused(made: Made, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="the model takes 16x12x3 pictures but receives"):
        made(model()).predict(np.zeros(shape, np.uint8))


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_numbers_that_are_none_harm_nobody_else(made: Made) -> None:
    predictor = made(model())
    numbers = np.random.default_rng(3).standard_normal((3, *SHAPE)).astype(np.float32)
    before = predictor.predict(numbers)
    bad = numbers.copy()
    bad[1, 0, 0, 0] = np.nan
    found = predictor.predict(bad)
    np.testing.assert_allclose(found[[0, 2]], before[[0, 2]], atol=1e-6)
    np.testing.assert_array_equal(predictor.predict(numbers), before)


def test_many_threads_ask_at_once(made: Made) -> None:
    of = model()
    predictor = made(of)
    counts = [1, 3, 8, 17] * 4
    expected = {count: wanted(of, pictures(count, seed=count)) for count in counts}
    faults: list[BaseException] = []

    def ask(count: int) -> None:
        try:
            for _ in range(5):
                found = predictor.predict(pictures(count, seed=count))
                np.testing.assert_allclose(found, expected[count], atol=TOLERANCE)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=ask, args=(count,)) for count in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_memory_counts_weights_and_what_was_computed(made: Made) -> None:
    of = model(WIDE)
    weights = sum(array.nbytes for array in of.weights.values())
    predictor = made(of)
    assert predictor.bytes >= weights
    predictor.predict(pictures(1))
    one = predictor.bytes
    # the largest map alone, of one picture
    assert one >= weights + 4 * elements((16, 12, 512))
    predictor.predict(pictures(32))
    assert predictor.bytes > one


def test_it_says_what_computes_it(made: Made, request: pytest.FixtureRequest) -> None:
    assert made(model()).library == request.node.callspec.params["made"]


def test_what_other_threads_take_part_in_is_not_foreseen(made: Made) -> None:
    predictor = made(model())
    predictor.measure()
    assert predictor.seconds(1) == pytest.approx(predictor.picture_seconds)
    assert predictor.seconds(40) == float("inf")


def test_a_large_network_has_threads_and_is_not_computed_on_the_event_loop() -> None:
    of = model(WIDE)
    predictor = Predictor(of, computation=Session(scoring_network(of), of.weights, ways=2))
    predictor.measure()
    assert predictor.picture_seconds < float("inf")
    assert predictor.seconds(1) == float("inf")


@pytest.mark.parametrize("library", ["numpy", "onnxruntime"])
def test_alone_it_leaves_nothing_to_the_threads_of_an_executor(library: str) -> None:
    of = model()
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    found: Computation = Predictor(of, None, executor, 2).computation
    if library == "onnxruntime":
        found = Session(scoring_network(of), of.weights, executor, 2)
    x = of.preprocessing.apply(pictures(40))
    with pytest.raises(RuntimeError, match="shutdown"):
        found.scores(x)
    np.testing.assert_allclose(
        of.loss.predict(found.alone().scores(x)), wanted(of, pictures(40)), atol=TOLERANCE
    )


def test_a_second_process_is_none_of_its_business() -> None:
    of = model(WIDE)
    predictor = Predictor(of, computation=Session(scoring_network(of), of.weights, ways=2))
    predictor.split()
    assert not predictor.is_split
    predictor.join()


class Slow(Session):
    """ONNX Runtime on a slow day."""

    def scores(self, x: Array, batches: Sequence[int] | None = None) -> Array:
        for _ in range(50):
            found = super().scores(x, batches)
        return found


def session(of: Model, kind: type[Session] = Session) -> Session:
    return kind(scoring_network(of), of.weights)


def test_the_quicker_of_two_is_better_and_only_if_it_is_the_same() -> None:
    of = model()
    x = of.preprocessing.apply(fixed_pictures(SHAPE))
    plain, slow = session(of), session(of, Slow)
    assert compare(plain, slow, x).is_better
    assert not compare(slow, plain, x).is_better
    assert compare(slow, plain, x).is_same
    other = compare(session(model(seed=1)), slow, x)
    assert other.times > 1
    assert not other.is_same
    assert not other.is_better


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_not_the_same(bad: float) -> None:
    of = model()
    name = next(name for name in of.weights if name.startswith("dense") and name.endswith("weight"))
    weights = dict(of.weights) | {name: np.full_like(of.weights[name], bad)}
    found = compare(
        session(replace(of, weights=weights)), session(of), of.preprocessing.apply(fixed_pictures(SHAPE))
    )
    assert found.difference == float("inf")
    assert not found.is_better


def test_a_difference_counts_by_the_largest_score() -> None:
    of = model()
    x = of.preprocessing.apply(fixed_pictures(SHAPE))

    def times(factor: float) -> Model:
        last = {
            name: array * np.float32(factor) for name, array in of.weights.items() if name.startswith("dense")
        }
        return replace(of, weights=dict(of.weights) | last)

    large = times(1e6)
    assert compare(session(times(1.00005e6)), session(large), x).is_same
    assert not compare(session(times(1.0005e6)), session(large), x).is_same


def test_a_layer_that_has_no_form_in_onnx_is_named_as_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def export(self: Conv2D, weights: Any, *xs: Any) -> Any:
        raise NotImplementedError

    monkeypatch.setattr(Conv2D, "export", export)
    with pytest.raises(ExportError, match="a layer of the model has no form in ONNX"):
        session(model())


def test_what_is_too_large_for_the_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_runtime, "MAX_BYTES", 1000)
    with pytest.raises(LimitError, match="holds at most 1,000"):
        session(model())


PROGRAM = """
import ctypes
from pathlib import Path
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.model.runtime.onnx_runtime import Session

def resident():
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def network(units):
    layers = [{"type": "flatten"}, {"type": "dense", "units": units}, {"type": "dense", "units": units}]
    found = Network.build(Architecture.model_validate({"input_shape": [8, 8, 1], "layers": layers}))
    return found, found.initial_weights(0)

warm = Session(*network(8))  # what the library itself takes
large, weights = network(3000)
before = resident()
session = Session(large, weights)
print(resident() - before, session.bytes_beside({}), sum(array.nbytes for array in weights.values()))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only there memory can be had back at once")
def test_a_session_holds_its_weights_once_as_it_says() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    resident, counted, weights = map(int, done.stdout.split())
    assert resident < 1.5 * weights
    assert counted == pytest.approx(resident, rel=0.3)
