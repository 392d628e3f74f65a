"""What is asked in one turn of the event loop, and is quick, is computed there together."""

import asyncio
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import app.builtin
from app.errors import Invalid
from app.models.prediction import Picture
from app.pictures.decode import encode_png
from app.serving.computing import Computing
from app.serving.room import Bodies
from app.serving.serving import Serving
from app.settings import Settings
from engine.model.inference import Predictor
from engine.model.model_file import read_model

FILE = Path(app.builtin.__file__).with_name("model_example.safetensors")
RECORD: Any = SimpleNamespace(
    id="model_1", name="m", preprocessing={"picture": {"image_shape": [28, 28, 1]}}, input_shape=[28, 28, 1]
)
PIXELS = np.random.default_rng(2).integers(0, 256, (9, 28, 28, 1), np.uint8)


class Counted(Predictor):
    """Remembers how many pictures it was given, and says that each takes as long as it is told."""

    picture: float = 1e-5

    def __init__(self) -> None:
        super().__init__(read_model(FILE))
        self.counts: list[int] = []

    def seconds(self, count: int) -> float:
        return self.picture * count

    def predict(self, images: Any) -> Any:
        self.counts.append(len(images))
        return super().predict(images)


async def ask(serving: Serving, data: bytes) -> Any:
    async def stays() -> None:
        await asyncio.Event().wait()

    def write(outcomes: Sequence[Any]) -> Any:
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        return outcomes[0]

    return await serving.predict(RECORD, [Picture(data)], write, gone=stays, stops=True)


def answers(predictor: Counted, bodies: list[bytes], **settings: Any) -> list[Any]:
    predictors: Any = SimpleNamespace(held=lambda _: predictor, get=lambda _: predictor, executor=None)

    async def run() -> list[Any]:
        computing = Computing(1, 1 << 30, 100)
        serving = Serving(Settings(cores=1, **settings), predictors, computing, Bodies(1 << 20))
        try:
            return await asyncio.gather(*(ask(serving, body) for body in bodies), return_exceptions=True)
        finally:
            computing.close()

    return asyncio.run(run())


def test_they_share_a_batch_and_a_bad_one_fails_alone() -> None:
    predictor = Counted()
    bodies = [encode_png(pixels) for pixels in PIXELS]
    bodies[3] = bodies[3][:60]
    found = answers(predictor, bodies)
    assert predictor.counts == [8]
    assert isinstance(found.pop(3), Invalid)
    wanted = Predictor(read_model(FILE)).predict(np.delete(PIXELS, 3, axis=0))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(("picture", "counts"), [(0.4e-3, [2, 2, 2, 2, 1]), (0.9e-3, [1] * 9)])
def test_a_batch_takes_less_than_a_millisecond(picture: float, counts: list[int]) -> None:
    predictor = Counted()
    predictor.picture = picture
    answers(predictor, [encode_png(pixels) for pixels in PIXELS])
    assert predictor.counts == counts


def test_what_takes_longer_waits_in_the_queue() -> None:
    predictor = Counted()
    predictor.picture = 2e-3
    found = answers(predictor, [encode_png(pixels) for pixels in PIXELS], batch_size=9)
    assert sum(predictor.counts) == 9
    assert len(predictor.counts) < 9
    np.testing.assert_allclose(found, Predictor(read_model(FILE)).predict(PIXELS), atol=1e-5)


@pytest.mark.parametrize("together", [2, 4, 8])
def test_company_is_found_again_after_requests_that_came_alone(together: int) -> None:
    predictor = Counted()
    predictors: Any = SimpleNamespace(held=lambda _: predictor, get=lambda _: predictor, executor=None)
    bodies = [encode_png(pixels) for pixels in PIXELS[:together]]

    async def run() -> None:
        computing = Computing(1, 1 << 30, 100)
        serving = Serving(Settings(cores=1), predictors, computing, Bodies(1 << 20))
        for _ in range(50):
            await ask(serving, bodies[0])
        for _ in range(50):
            await asyncio.gather(*(ask(serving, body) for body in bodies))
        computing.close()

    asyncio.run(run())
    assert predictor.counts[:50] == [1] * 50
    assert predictor.counts[-1] == together


class Unprepared(Counted):
    """Has no plan for several pictures until it is told to make one."""

    def __init__(self) -> None:
        super().__init__()
        self.made_ready = threading.Event()

    def seconds(self, count: int) -> float:
        return super().seconds(count) if count < 8 or self.made_ready.is_set() else math.inf

    def measure(self, size: int = 1) -> None:
        super().measure(size)
        self.made_ready.set()


def test_who_comes_together_is_computed_together_once_there_is_a_plan_for_it() -> None:
    predictor = Unprepared()
    predictors: Any = SimpleNamespace(held=lambda _: predictor, get=lambda _: predictor, executor=None)
    bodies = [encode_png(pixels) for pixels in PIXELS[:8]]

    async def run() -> None:
        computing = Computing(1, 1 << 30, 100)
        serving = Serving(Settings(cores=1), predictors, computing, Bodies(1 << 20))
        await asyncio.gather(*(ask(serving, body) for body in bodies))
        assert await asyncio.to_thread(predictor.made_ready.wait, 60)
        await asyncio.gather(*(ask(serving, body) for body in bodies))
        computing.close()

    asyncio.run(run())
    assert predictor.counts == [7, 1, 8]
