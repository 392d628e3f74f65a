"""Nobody looks for more faults than are listed, and what an answer costs is not paid on the event loop."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from app.api.requests.models import PredictionRequest
from app.errors import MOST_FIELDS, Invalid
from app.main import create_app
from app.settings import load_settings
from app.web.bodies.validation import validate
from engine.choices import NOT_LOOKED_AT
from engine.graph.architecture import Architecture
from engine.recipe.losses import SoftmaxCrossEntropy

RELU = {"type": "relu"}
BAD_CONVOLUTION = {"type": "conv2d", "filters": "x", "kernel_size": "y", "stride": "z"}


def network(layers: list[Any], **more: Any) -> dict[str, Any]:
    return {"input_shape": [8, 8, 1], "layers": layers} | more


def strangers(count: int) -> dict[str, int]:
    return {f"key{number}": 1 for number in range(count)}


FAULTY: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "unknown keys": (Architecture, lambda count: network([RELU], **strangers(count))),
    "unknown keys of a layer": (Architecture, lambda count: network([RELU | strangers(count)])),
    "unknown keys of many layers": (
        Architecture,
        lambda count: network([RELU | strangers(5)] * (count // 5)),
    ),
    "bad layers": (Architecture, lambda count: network([BAD_CONVOLUTION] * (count // 3))),
    "bad layers in a block": (
        Architecture,
        lambda count: network([{"type": "residual", "layers": [BAD_CONVOLUTION] * (count // 3)}]),
    ),
    "bad inputs": (Architecture, lambda count: network([{"type": "add", "inputs": [1] * count}])),
    "bad pictures": (PredictionRequest, lambda count: {"images": [1] * count}),
    "bad weights of classes": (SoftmaxCrossEntropy, lambda count: {"class_weights": [-1] * count}),
}
"""For each kind of body: what it should have been, and how one of so many faults is made."""


@pytest.mark.parametrize("name", FAULTY)
def test_no_more_faults_are_looked_for_than_are_listed(name: str) -> None:
    kind, make = FAULTY[name]
    with pytest.raises(Invalid) as refused:
        validate(kind, make(30_000))
    assert 1 <= len(refused.value.errors) <= MOST_FIELDS
    found = refused.value.__context__
    assert isinstance(found, ValidationError)
    looked_for = [error for error in found.errors(include_url=False) if error["type"] != NOT_LOOKED_AT]
    # The last record that is looked at may have some more, and what it is in is at fault with it.
    assert len(looked_for) <= 2 * MOST_FIELDS


def test_the_faults_that_are_listed_are_the_first_ones() -> None:
    with pytest.raises(Invalid) as refused:
        validate(Architecture, network([RELU, *[{"type": "relu", "a": 1, "b": 2}] * 500]))
    places = [error.pointer for error in refused.value.errors]
    assert places == [f"/layers/{1 + number // 2}/{'ab'[number % 2]}" for number in range(MOST_FIELDS)]


def test_a_fault_behind_many_good_layers_is_found() -> None:
    with pytest.raises(Invalid) as refused:
        validate(Architecture, network([*[RELU] * 5000, {"type": "rely"}]))
    assert [error.pointer for error in refused.value.errors] == ["/layers/5000/type"]
    with pytest.raises(Invalid) as refused:
        validate(
            Architecture, network([{"type": "residual", "layers": [RELU, {"type": "relu", "a": 1}]}, {}])
        )
    assert [error.pointer for error in refused.value.errors] == ["/layers/0/layers/1/a", "/layers/1/type"]


def test_a_long_answer_is_not_written_on_the_event_loop(tmp_path: Path) -> None:
    """The thread of the loop does next to nothing for the summary of a large network."""
    body = json.dumps(network([RELU] * 8000)).encode()
    app = create_app(load_settings(data_dir=tmp_path))

    async def answered_elsewhere() -> bool:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
        ):
            small = json.dumps(network([RELU])).encode()
            headers = {"Content-Type": "application/json"}
            # What the first request imports does not count.
            await client.post("/v1/architectures/summary", content=small, headers=headers)
            # Other programs make it longer, never shorter: one time that is short will do.
            for _ in range(3):
                loop, whole = time.thread_time(), time.process_time()
                answer = await client.post("/v1/architectures/summary", content=body, headers=headers)
                loop, whole = time.thread_time() - loop, time.process_time() - whole
                assert answer.status_code == 200, answer.text
                assert len(answer.content) > 1_000_000
                if loop < whole / 100:
                    return True
        return False

    assert asyncio.run(answered_elsewhere())
