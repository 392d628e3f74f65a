"""What a body costs grows with its size and no faster, is not paid on the event loop, and its answer is short."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from app.api.requests.models import PredictionRequest
from app.cli.launch import ServerProcess
from app.errors import MOST_FIELDS, DomainError, Invalid
from app.web.answers.problems import respond
from app.web.bodies.dataset_fields import read_form
from app.web.bodies.json import MAX_CONTAINERS, MAX_VALUES, parse
from app.web.bodies.validation import validate
from engine.errors import LimitError
from engine.fast.layout.arena import Arena
from engine.graph.architecture import Architecture
from engine.graph.expand import MAX_NODES
from engine.graph.network import Network
from engine.graph.summary import summarize
from engine.hints import find_hints
from engine.recipe.config import TrainingConfig
from engine.training.footprint import Footprint
from tests.growth import grows_no_faster_than_its_size

SUMMARY = "/v1/architectures/summary"
PREDICT = "/v1/models/model_example/predict"
LONGEST_ANSWER = 64 * 1024
RELU = {"type": "relu"}


def network(layers: list[Any], **more: Any) -> dict[str, Any]:
    return {"input_shape": [8, 8, 1], "layers": layers} | more


def unknown_keys(count: int) -> str:
    return json.dumps(network([RELU], **{f"key{number}": 1 for number in range(count)}))


def unknown_keys_and_a_double(count: int) -> str:
    return unknown_keys(count)[:-1] + f', "key{count - 1}": 2}}'


def numbers_without_end(count: int) -> str:
    return json.dumps(network([RELU]))[:-1] + ', "more": [' + ", ".join(["1e999"] * count) + "]}"


def nested(count: int) -> str:
    wrong = [{"type": "conv2d", "filters": 0, "kernel_size": [0, 0], "padding": -1}] * (count // 4)
    return json.dumps(network([{"type": "residual", "layers": wrong}]))


def long_words(count: int) -> str:
    return json.dumps(
        network([{"type": "x" * count}, {"type": "conv2d", "y" * count: 1}], **{"k" * count: 1})
    )


BODIES: dict[str, tuple[Any, Callable[[int], str], int]] = {
    "unknown keys": (Architecture, unknown_keys, 4000),
    "unknown keys, one of them twice": (Architecture, unknown_keys_and_a_double, 10_000),
    "empty layers": (Architecture, lambda count: json.dumps(network([{}] * count)), 2000),
    "lists for layers": (Architecture, lambda count: json.dumps(network([[]] * count)), 4000),
    "numbers for layers": (Architecture, lambda count: json.dumps(network([1] * count)), 4000),
    "numbers without end": (Architecture, numbers_without_end, 10_000),
    "faults in a block": (Architecture, nested, 4000),
    "long words": (Architecture, long_words, 50_000),
    "lists for pictures": (PredictionRequest, lambda count: json.dumps({"images": [[]] * count}), 4000),
}
"""For each kind of bad body: what it should have been, how it is written, and a size."""


def refuse(kind: Any, body: bytes) -> bytes:
    """Do with a bad body what the service does, and return the answer."""
    with pytest.raises(DomainError) as refused:
        validate(kind, parse(body))
    return bytes(respond(refused.value).body)


@pytest.mark.parametrize("name", BODIES)
def test_four_times_the_body_is_no_sixteen_times_the_work(name: str) -> None:
    kind, write, size = BODIES[name]

    def work(count: int) -> Callable[[], Any]:
        body = write(count).encode()
        return lambda: refuse(kind, body)

    assert grows_no_faster_than_its_size(work, size)


FIELDS: dict[str, Callable[[int], dict[str, str]]] = {
    "a size with much space in it": lambda count: {"image_size": "1" + " " * count + "1"},
    "a size of many numbers": lambda count: {"image_size": "1x" * count},
    "many shares": lambda count: {"split": "1," * count},
    "a deep share": lambda count: {"split": '{"a":' * (count // 5)},
    "many tags": lambda count: {"tags": "a," * count},
    "empty tags": lambda count: {"tags": "," * count},
    "a long name": lambda count: {"name": "a" * count},
}


@pytest.mark.parametrize("name", FIELDS)
def test_four_times_the_field_of_a_form_is_no_sixteen_times_the_work(name: str) -> None:
    def work(count: int) -> Callable[[], Any]:
        fields = FIELDS[name](count)

        def look() -> None:
            with pytest.raises(Invalid) as refused:
                read_form(fields)
            assert len(respond(refused.value).body) <= LONGEST_ANSWER

        return look

    assert grows_no_faster_than_its_size(work, 8000)


def test_work_that_grows_with_the_square_would_be_found() -> None:
    def work(count: int) -> Callable[[], Any]:
        names = [str(number) for number in range(count)]
        return lambda: [name for name in names if names.count(name) > 1]

    assert not grows_no_faster_than_its_size(work, 1000)


@pytest.mark.parametrize("name", BODIES)
def test_the_answer_to_a_bad_body_is_short(name: str) -> None:
    kind, write, size = BODIES[name]
    answer = refuse(kind, write(size).encode())
    assert len(answer) <= LONGEST_ANSWER
    assert len(json.loads(answer).get("errors", ())) <= MOST_FIELDS


def test_what_is_in_a_body_is_counted_before_it_is_parsed() -> None:
    # Neither is valid JSON: that nobody says so shows that nobody has looked.
    for body in (b"[" * (MAX_CONTAINERS + 1), b"," * MAX_VALUES):
        assert json.loads(refuse(Architecture, body))["status"] == 413
    assert json.loads(refuse(Architecture, b"," * (MAX_VALUES - 1)))["status"] == 400


LAYERS: dict[str, Callable[[int], list[Any]]] = {
    "a chain": lambda count: (
        [{"type": "conv2d", "filters": 1, "kernel_size": 1}, {"type": "batch_norm"}, RELU] * (count // 3)
    ),
    "blocks": lambda count: [{"type": "residual", "layers": [{"type": "batch_norm"}, RELU]}] * (count // 4),
    "a fan": lambda count: [
        *[RELU] * count,
        {"type": "add", "inputs": [f"relu_{number}" for number in range(1, count + 1)]},
    ],
    "strides": lambda count: [{"type": "max_pool2d", "pool_size": 1, "stride": 16384}] * count,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_four_times_the_layers_are_no_sixteen_times_the_work(name: str) -> None:
    def work(count: int) -> Callable[[], Any]:
        tail = [{"type": "flatten"}, {"type": "dense", "units": 2}]
        body = network([*LAYERS[name](count), *tail])

        def look() -> None:
            built = Network.build(validate(Architecture, body))
            summarize(built).model_dump_json()
            Footprint(built, TrainingConfig(batch_size=8), train=100, dev=10, shares=2).bytes()

        return look

    assert grows_no_faster_than_its_size(work, 200)


NUMBERS: dict[str, Callable[[int], dict[str, Any]]] = {
    "a pool": lambda number: {"type": "max_pool2d", "pool_size": number, "stride": 1, "padding": "same"},
    "a dilated pool": lambda number: {
        "type": "average_pool2d",
        "pool_size": (number + 1) // 2,
        "dilation": 2,
        "stride": 3,
        "padding": "same",
    },
    "a convolution": lambda number: {
        "type": "conv2d",
        "filters": 1,
        "kernel_size": number,
        "padding": "same",
    },
    "a stepping convolution": lambda number: {
        "type": "depthwise_conv2d",
        "kernel_size": number,
        "stride": number,
        "padding": "same",
    },
    "a transposed convolution": lambda number: {
        "type": "transposed_conv2d",
        "filters": 1,
        "kernel_size": number,
        "padding": "same",
    },
    "an adaptive pool": lambda number: {"type": "adaptive_average_pool2d", "output_size": number - 1},
    "an enlargement": lambda number: {"type": "upsample2d", "size": number, "mode": "bicubic"},
    "a padding": lambda number: {"type": "pad2d", "padding": number - 1, "mode": "reflect"},
    "a slice": lambda number: {"type": "slice", "rows": [None, None, -1]},
    "a shuffle": lambda number: {"type": "channel_shuffle", "groups": number},
    "a scale for each pixel": lambda number: {"type": "affine", "per_pixel": True},
    "a local normalisation": lambda number: {"type": "local_response_norm", "size": number},
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_64_times_as_large_is_no_more_work(name: str) -> None:
    def work(count: int) -> Callable[[], Any]:
        number = count**3
        shape = [1, 1, number] if name == "a shuffle" else [number, number, 1]
        body = {"input_shape": shape, "layers": [NUMBERS[name](number)]}
        built = [Network.build(validate(Architecture, body)) for _ in range(20)]
        return lambda: [(summarize(one), find_hints(one)) for one in built]

    # sides of 216 and of 13,824
    assert grows_no_faster_than_its_size(work, 6)


@pytest.mark.slow
def test_the_largest_windows_are_taken_by_the_thousand(http: httpx.Client) -> None:
    pool = {"type": "max_pool2d", "pool_size": 16384, "stride": 1, "padding": "same"}
    answer = http.post(SUMMARY, json={"input_shape": [16384, 16384, 1], "layers": [pool] * 5000})
    assert answer.status_code == 200
    assert answer.json()["layers"][-1]["connection_density"] == pytest.approx(0.75**2, abs=1e-3)


def test_four_times_the_gradients_are_no_sixteen_times_the_work_to_place() -> None:
    def work(count: int) -> Callable[[], Any]:
        arena = Arena(training=True)
        for step in range(count):
            arena.begin(step, step - 1)
            arena.gradient((4, 4))
        return lambda: arena.bytes

    assert grows_no_faster_than_its_size(work, 500)


def test_a_network_has_only_so_many_nodes() -> None:
    block = {"type": "residual", "layers": [RELU] * 9}
    nodes = len(Network.build(Architecture.model_validate(network([block]))).nodes)
    layers = [block] * (MAX_NODES // nodes)
    Network.build(Architecture.model_validate(network(layers)))
    with pytest.raises(LimitError, match="more than 10,000 nodes") as refused:
        Network.build(Architecture.model_validate(network([*layers, block])))
    assert refused.value.path[:2] == ("layers", len(layers))


def test_sizes_stay_numbers_that_json_can_carry(http: httpx.Client) -> None:
    grows = [
        {"type": "concatenate", "name": f"c{number + 1}", "inputs": [f"c{number}"] * 4}
        for number in range(5000)
    ]
    first = {"type": "concatenate", "name": "c0", "inputs": ["input"] * 4}
    answer = http.post(SUMMARY, json=network([first, *grows]))
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/limit-exceeded"
    strides = [{"type": "max_pool2d", "pool_size": 1, "stride": 16384}] * 1200
    answer = http.post(SUMMARY, json=network(strides))
    assert answer.status_code == 200
    assert answer.json()["layers"][-1]["jump"] == [2**53, 2**53]
    assert answer.json()["layers"][1]["jump"] == [16384**2, 16384**2]


def text(path: str, body: str) -> tuple[str, dict[str, Any]]:
    return path, {"content": body, "headers": {"Content-Type": "application/json"}}


HEAVY: dict[str, tuple[str, dict[str, Any]]] = {
    "4,000 unknown keys": text(SUMMARY, unknown_keys(4000)),
    "20,000 keys, one of them twice": text(SUMMARY, unknown_keys_and_a_double(20_000)),
    "9,000 empty layers": text(SUMMARY, json.dumps(network([{}] * 9000))),
    "300,000 layers that are lists": text(
        SUMMARY, json.dumps(network([[]] * 300_000), separators=(",", ":"))
    ),
    "as many lists as are taken": text(SUMMARY, json.dumps(network([[]] * (MAX_CONTAINERS - 3)))),
    "a megabyte of lists for pictures": text(PREDICT, json.dumps({"images": [[]] * 300_000})),
    "megabytes of numbers for pictures": text(PREDICT, '{"images": [' + "1," * 4_000_000 + "1]}"),
    "a data set with unknown keys": text("/v1/datasets", unknown_keys(20_000)),
    "an import with unknown keys": text("/v1/models/import", unknown_keys(20_000)),
    "a query of 4,000 names": (
        SUMMARY + "?" + "&".join(f"name{number}" for number in range(4000)),
        {"json": {}},
    ),
    "a long path": ("/v1/" + "x" * 30_000, {"json": {}}),
    "a long media type": (SUMMARY, {"content": b"{}", "headers": {"Content-Type": "a/" + "b" * 30_000}}),
    "a form of thousands of fields": (
        "/v1/datasets",
        {"files": [(f"field{number}", (None, "1")) for number in range(5000)]},
    ),
    "a form with a long header": (PREDICT, {"files": [("files", ("x" * 1_000_000, b"1"))]}),
    "a form with a deep field": (
        "/v1/datasets",
        {"files": [("file", ("a.zip", b"PK\x03\x04")), ("split", (None, '{"a":' * 10_000))]},
    ),
    "a form with a field of many characters": (
        "/v1/datasets",
        {"files": [("file", ("a.zip", b"PK\x03\x04")), ("split", (None, "1," * 30_000))]},
    ),
}


@pytest.mark.parametrize("name", HEAVY)
def test_others_are_answered_while_a_bad_body_is_refused(http: httpx.Client, name: str) -> None:
    path, request = HEAVY[name]
    done = threading.Event()

    def refused() -> httpx.Response:
        try:
            return http.post(path, **request)
        finally:
            done.set()

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(refused)
        answered = 0
        while not done.is_set() or not answered:
            # The faults that this stands for kept the server from answering for 11 seconds to minutes.
            assert http.get("/livez", timeout=10).status_code == 200
            answered += 1
    problem = answer.result()
    assert 400 <= problem.status_code < 500, problem.text[:500]
    assert problem.headers["Content-Type"] == "application/problem+json"
    assert len(problem.content) <= LONGEST_ANSWER


def test_the_largest_network_is_taken(http: httpx.Client) -> None:
    answer = http.post(SUMMARY, json=network([RELU] * MAX_NODES))
    assert answer.status_code == 200
    assert len(answer.json()["layers"]) == MAX_NODES


@pytest.mark.slow
def test_a_server_answers_and_stops_while_many_ask_for_large_networks(
    start: Callable[..., ServerProcess],
) -> None:
    body = json.dumps(network([RELU] * MAX_NODES))
    stored = {"architectures": [network([RELU] * (MAX_NODES // 2))] * 2}
    calls = (
        (SUMMARY, body),
        ("/v1/architectures/diagram", body),
        ("/v1/architectures/compare", json.dumps(stored)),
    )
    server = start()
    with (
        server as url,
        httpx.Client(base_url=url, timeout=300, limits=httpx.Limits(), trust_env=False) as http,
    ):

        def ask(path: str, content: str) -> httpx.Response:
            return http.post(path, content=content, headers={"Content-Type": "application/json"})

        with ThreadPoolExecutor(60) as pool:
            answers = [pool.submit(ask, *calls[number % 3]) for number in range(60)]
            # of some there is no room to wait: these are refused at once
            while not any(answer.done() and answer.result().status_code == 200 for answer in answers):
                assert http.get("/livez").status_code == 200
            # threads for all of them would leave none for this call before the first 20 have been answered
            assert http.get("/readyz").status_code == 200
            assert sum(answer.done() and answer.result().status_code == 200 for answer in answers) < 20
            server.stop()
        answered = [answer.result() for answer in answers]
    assert {one.status_code for one in answered} == {200, 503}
    refused = {one.json()["type"] for one in answered if one.status_code == 503}
    # the last of them were computed for nobody; for some there was no room from the beginning
    assert {"/problems/unavailable"} <= refused <= {"/problems/unavailable", "/problems/queue-full"}
