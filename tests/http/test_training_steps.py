"""One training step over HTTP: the first one of a job, its numbers in accord with one another, and what is refused."""

import base64
import math
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load

from app.cli.launch import ServerProcess
from engine import draws
from tests.http.drawn_pictures import archive_of_squares, ingested, npz, png, squares

STEPS = "/v1/training-steps"
TINY: dict[str, Any] = {
    "architecture": {
        "input_shape": [4, 4, 1],
        "layers": [
            {"type": "conv2d", "filters": 2, "kernel_size": 3, "activation": "tanh"},
            {"type": "flatten"},
            {"type": "dense", "units": 2},
        ],
    },
    "inputs": [[[1, 1, 0, 0]] * 4, [[0, 0, 1, 1]] * 4, [[0, 2, -1, 0]] * 4],
    "targets": [0, 1, 1],
    "optimizer": {"type": "sgd", "learning_rate": 0.5, "momentum": 0.0},
    "show": ["conv2d_1/weight", "conv2d_1/bias", "dense_1/weight", "dense_1/bias"],
}


def step(http: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = http.post(STEPS, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_numbers_agree_with_one_another(http: httpx.Client) -> None:
    found = step(http, TINY)
    assert found["classes"] == ["0", "1"]
    assert [picture["target"] for picture in found["pictures"]] == [[1, 0], [0, 1], [0, 1]]
    losses = [picture["loss"] for picture in found["pictures"]]
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-6)
    for picture in found["pictures"]:
        powers = np.exp(picture["scores"])
        np.testing.assert_allclose(picture["prediction"], powers / powers.sum(), rtol=1e-5)
        right = picture["prediction"][picture["target"].index(1)]
        assert picture["loss"] == pytest.approx(-math.log(right), rel=1e-4)
    assert found["loss_after"] < found["loss"]
    weights = {name: {key: np.array(each[key]) for key in each} for name, each in found["weights"].items()}
    for weight in weights.values():
        # plain gradient descent: w := w - alpha * dL/dw
        np.testing.assert_allclose(weight["update"], -0.5 * weight["gradient"], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(weight["after"], weight["before"] + weight["update"], atol=1e-6)
    nodes = {node["name"]: node for node in found["nodes"]}
    assert list(nodes) == ["conv2d_1", "conv2d_1/activation", "flatten_1", "dense_1"]
    for name in ("conv2d_1", "dense_1"):
        node, own = nodes[name], [weights[f"{name}/weight"], weights[f"{name}/bias"]]
        for key, of in (("gradient_norm", "gradient"), ("weight_norm", "before"), ("update_norm", "update")):
            length = math.sqrt(sum(float(np.square(weight[of]).sum()) for weight in own))
            assert node[key] == pytest.approx(length, rel=1e-5)
        assert node["update_ratio"] == pytest.approx(node["update_norm"] / node["weight_norm"])
        assert node["parameters"] == sum(weight["before"].size for weight in own)
    assert nodes["flatten_1"]["gradient_norm"] is None
    assert -1 < nodes["conv2d_1/activation"]["activation"]["minimum"] < 1
    whole = math.hypot(nodes["conv2d_1"]["gradient_norm"], nodes["dense_1"]["gradient_norm"])
    assert found["gradient_norm"] == pytest.approx(whole)
    check = found["numeric_check"]
    assert check["entries"] + check["kinks"] == 20
    assert check["largest_relative_difference"] < 1e-5
    assert check["numeric"] == pytest.approx(check["gradient"], rel=1e-4, abs=1e-7)
    assert check["weight"] in weights


def test_the_weights_after_it_lower_the_loss_by_what_the_gradient_says(http: httpx.Client) -> None:
    small = TINY | {"optimizer": {"type": "sgd", "learning_rate": 1e-3, "momentum": 0.0}}
    found = step(http, small)
    promised = 1e-3 * found["gradient_norm"] ** 2  # first order
    assert found["loss"] - found["loss_after"] == pytest.approx(promised, rel=0.02)


def test_clipping_changes_the_update_and_not_the_gradient(http: httpx.Client) -> None:
    free, clipped = step(http, TINY), step(http, TINY | {"clip": {"norm": 0.1}})
    assert clipped["gradient_norm"] == free["gradient_norm"] > 0.1
    length = math.hypot(*(node["update_norm"] or 0 for node in clipped["nodes"]))
    assert length == pytest.approx(0.5 * 0.1, rel=1e-3)


def test_frozen_nodes_have_no_gradient(http: httpx.Client) -> None:
    found = step(http, TINY | {"freeze": ["conv2d_*"]})
    assert found["nodes"][0]["gradient_norm"] is None
    weight = found["weights"]["conv2d_1/weight"]
    assert weight["gradient"] is None
    assert weight["after"] == weight["before"]
    assert found["numeric_check"]["weight"].startswith("dense_1/")


LAYERS: list[dict[str, Any]] = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same"},
    {"type": "batch_norm", "activation": "relu"},
    {"type": "max_pool2d"},
    {"type": "flatten"},
    {"type": "dropout", "rate": 0.3},
    {"type": "dense", "units": 3, "activation": "softmax"},
]
COUNT, SEED = 48, 7


@pytest.fixture(scope="module")
def dataset(http: httpx.Client, wait_for: Callable[..., Any]) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    labels = np.arange(COUNT) % 3
    images = draw.integers(0, 120, (COUNT, 8, 8, 1))
    images[labels == 0, ::2] += 120
    images[labels == 1, :, ::2] += 120
    content = npz(images=images.astype(np.uint8), labels=labels)
    found = ingested(http, content, wait_for, name="stripes", image_size="8", channels="1")
    assert found["status"] == "ready", found["error"]
    return found


def test_it_is_the_first_step_of_a_training_job(
    http: httpx.Client, dataset: dict[str, Any], finished: Callable[..., dict[str, Any]]
) -> None:
    shared: dict[str, Any] = {
        "architecture": {"input_shape": [8, 8, 1], "layers": LAYERS},
        "dataset": dataset["id"],
        # not Adam: it blows the rounding in a gradient that should be 0 (a bias before batch norm) up to a step
        "optimizer": {"type": "sgd", "learning_rate": 0.1, "weight_decay": 0.01},
        "loss": {"type": "softmax_cross_entropy", "label_smoothing": 0.1},
        "clip": {"norm": 0.5},
    }
    # one epoch of one step
    job = {**shared, "seed": SEED, "epochs": 1, "batch_size": 64, "select": "last"}
    done = finished(http, http.post("/v1/training-jobs", json=job).json()["id"])
    assert done["status"] == "succeeded", done["error"]
    trained = load(http.get(f"/v1/models/{done['model_id']}/weights").content)
    order = draws.generator(SEED, "order", 1).permutation(dataset["splits"]["train"]).tolist()
    body = {**shared, "weights": {"seed": SEED}, "split": "train", "indices": order, "show": list(trained)}
    found = step(http, body)
    assert found["loss"] == pytest.approx(done["metrics"]["train_loss"], rel=1e-5)
    moved = 0.0
    for name, array in trained.items():
        shown = found["weights"][name]
        np.testing.assert_allclose(shown["after"], array, rtol=1e-4, atol=1e-6, err_msg=name)
        moved = max(moved, float(np.abs(shown["update"]).max()))
    assert moved > 0.01
    norms = http.get(f"/v1/training-jobs/{done['id']}/norms").json()
    lengths = {node["name"]: node["gradient_norm"] for node in found["nodes"]}
    for node in norms["nodes"]:
        assert lengths[node["name"]] == pytest.approx(node["gradient"][0], rel=1e-3)
    # the order is part of it: dropout is drawn by the place in the batch
    other = step(http, body | {"indices": order[::-1]})
    assert other["loss"] != pytest.approx(found["loss"], rel=1e-6)


def test_pictures_that_are_sent_are_those_of_the_data_set(http: httpx.Client) -> None:
    files = [http.get(f"/v1/datasets/digits/images/{number}").content for number in range(3)]
    labels = step(http, {"weights": {"model": "model_example"}, "dataset": "digits", "indices": [0, 1, 2]})
    names = [labels["classes"][picture["target"].index(1)] for picture in labels["pictures"]]
    images = [base64.b64encode(file).decode() for file in files]
    # digits are light on dark, and pictures that are sent to it are inverted if its own were
    sent = step(
        http,
        {
            "weights": {"model": "model_example"},
            "images": images,
            "targets": names,
            "loss": {"type": "softmax_cross_entropy"},
        },
    )
    assert len(sent["pictures"]) == 3
    assert sent["mean"] == labels["mean"]
    assert [picture["target"] for picture in sent["pictures"]] == [
        picture["target"] for picture in labels["pictures"]
    ]


def test_labels_and_values(http: httpx.Client) -> None:
    binary = TINY | {"targets": [[], [0, "1"], ["0"]], "loss": {"type": "binary_cross_entropy"}}
    found = step(http, binary)
    assert [picture["target"] for picture in found["pictures"]] == [[0, 0], [1, 1], [1, 0]]
    squared = TINY | {"targets": [[0.5, -1], [2, 3], [0, 0]], "loss": {"type": "mean_squared_error"}}
    first = step(http, squared)["pictures"][0]
    distances = np.subtract(first["scores"], [0.5, -1])
    assert first["loss"] == pytest.approx(np.square(distances).mean(), rel=1e-5)


def test_a_data_set_of_labels_says_what_is_right(http: httpx.Client, wait_for: Callable[..., Any]) -> None:
    dataset = ingested(http, archive_of_squares(), wait_for, target="labels", image_size="12", name="squares")
    layers = [{"type": "global_average_pool2d"}, {"type": "dense", "units": 3}]
    body = {
        "architecture": {"input_shape": [12, 12, 3], "layers": layers},
        "dataset": dataset["id"],
        "loss": {"type": "binary_cross_entropy"},
    }
    found = step(http, body | {"indices": [0, 1, 2]})
    assert {value for picture in found["pictures"] for value in picture["target"]} <= {0, 1}
    picture, chosen = squares(0)
    image = base64.b64encode(png(picture)).decode()
    sent = step(http, body | {"images": [image], "targets": [list(chosen)]})
    assert sum(sent["pictures"][0]["target"]) == len(chosen)
    assert sent["mean"] == found["mean"]


def test_the_check_of_gradients_is_drawn_by_its_seed_and_can_be_left_out(http: httpx.Client) -> None:
    places = {}
    for seed in (1, 1, 2):
        check = step(http, TINY | {"numeric_check": {"entries": 5, "seed": seed}})["numeric_check"]
        assert check["entries"] + check["kinks"] == 5
        places.setdefault(seed, []).append((check["weight"], check["position"], check["numeric"]))
    assert places[1][0] == places[1][1] != places[2][0]
    none = step(http, TINY | {"numeric_check": {"entries": 0}})["numeric_check"]
    assert (none["entries"], none["largest_relative_difference"], none["weight"]) == (0, None, None)


MODEL = {"weights": {"model": "model_example"}, "dataset": "digits", "indices": [0, 1]}
RESNET = {"architecture": {"preset": "resnet-20"}, "dataset": "digits", "indices": [0, 1]}
WIDE = {"input_shape": [4, 4, 1], "layers": [{"type": "flatten"}, {"type": "dense", "units": 50_000}]}


@pytest.mark.parametrize(
    ("body", "pointer", "word"),
    [
        ({key: value for key, value in TINY.items() if key != "inputs"}, "/images", "no pictures"),
        (TINY | {"images": ["AAAA"]}, "/inputs", "both"),
        (TINY | {"split": "train"}, "/split", "indices"),
        ({key: value for key, value in TINY.items() if key != "architecture"}, "/architecture", "required"),
        ({key: value for key, value in TINY.items() if key != "targets"}, "/targets", "required"),
        (TINY | {"targets": [0, 1]}, "/targets", "2 targets for 3 pictures"),
        (TINY | {"targets": [0, 1, 2]}, "/targets/2", "no class 2"),
        (TINY | {"targets": [0, 1, -1]}, "/targets/2", "no class -1"),
        (TINY | {"targets": [0, True, 1]}, "/targets/1", "true"),
        (TINY | {"targets": [0, 1, "one"]}, "/targets/2", "'one'"),
        (TINY | {"targets": [0, 1, [1]]}, "/targets/2", "a list of 1"),
        (
            TINY | {"targets": [[1.0], [1, 2], [3, 4]], "loss": {"type": "mean_squared_error"}},
            "/targets/0",
            "2 values",
        ),
        (
            TINY | {"targets": [[10**300, 1], [1, 2], [3, 4]], "loss": {"type": "mean_squared_error"}},
            "/targets/0/0",
            "no value",
        ),
        (TINY | {"inputs": [[[1, 2], [3, 4]]], "targets": [0]}, "/inputs/0", "(4, 4, 1)"),
        (TINY | {"inputs": [[[1, 2], [3]]], "targets": [0]}, "/inputs/0/1", "a list of 1"),
        (TINY | {"inputs": [[["a"]]], "targets": [0]}, "/inputs/0/0/0", "no number"),
        (TINY | {"inputs": [[[1e300] * 4] * 4], "targets": [0]}, "/inputs", "32-bit"),
        (TINY | {"preprocessing": {"mean": [0.1], "deviation": [1.0]}}, "/preprocessing", "first layer"),
        (TINY | {"show": ["dense_1/weight", "dense/weight"]}, "/show/1", "no weight"),
        (
            TINY | {"loss": {"type": "softmax_cross_entropy", "class_weights": [1.0]}},
            "/loss/class_weights",
            "2",
        ),
        (TINY | {"freeze": ["dense_9"]}, "/freeze/0", "dense_9"),
        (TINY | {"numeric_check": {"entries": 1001}}, "/numeric_check/entries", "1000"),
        (TINY | {"architecture": WIDE, "show": []}, "/inputs", "100,000"),
        (MODEL | {"show": ["dense_1/weight"]}, "/show", "100,000"),
        (MODEL | {"indices": [0, 10_000]}, "/indices/1", "10000 pictures"),
        (MODEL | {"indices": [0] * 257}, "/indices", "257"),
        (MODEL | {"dataset": "ds_gone"}, "/dataset", "ds_gone"),
        ({"weights": {"model": "model_example"}, "indices": [0]}, "/dataset", "required"),
        (MODEL | {"weights": {"model": "model_gone"}}, "/weights/model", "model_gone"),
        (MODEL | {"architecture": {"preset": "lenet-6"}}, "/architecture/preset", "lenet-6"),
        (MODEL | {"architecture": TINY["architecture"]}, "/architecture/input_shape", "28x28x1"),
        (
            MODEL | {"preprocessing": {"mean": [0.1, 0.2], "deviation": [1.0, 1.0]}},
            "/preprocessing",
            "1 channel",
        ),
        (RESNET | {"indices": list(range(200))}, "/indices", "bytes of memory"),
        (RESNET | {"numeric_check": {"entries": 500}}, "/numeric_check/entries", "steps of arithmetic"),
    ],
)
def test_what_is_refused_and_where(http: httpx.Client, body: dict[str, Any], pointer: str, word: str) -> None:
    answer = http.post(STEPS, json=body)
    assert answer.status_code == 422, answer.text
    fault = answer.json()["errors"][0]
    assert fault["pointer"] == pointer, answer.text
    assert word in fault["detail"], answer.text


def test_a_step_that_is_not_finite_is_refused(http: httpx.Client) -> None:
    huge = TINY | {"inputs": [[[3e38] * 4] * 4] * 3, "loss": {"type": "mean_squared_error"}}
    layers = [{"type": "flatten"}, {"type": "dense", "units": 2}]
    answer = http.post(
        STEPS, json=huge | {"architecture": {"input_shape": [4, 4, 1], "layers": layers}, "show": []}
    )
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/non-finite"


def test_a_step_ends_with_its_caller(
    start: Callable[..., ServerProcess], connect: Callable[..., Any], wait_for: Callable[..., Any]
) -> None:
    server = start(MAX_OPERATION_STEPS=str(10**13))
    log = server.data_dir.with_suffix(".log")

    def dropped() -> list[str]:
        return [line for line in log.read_text().splitlines() if '"status": 499' in line and STEPS in line]

    with server as url, connect(url) as client:
        body = RESNET | {"numeric_check": {"entries": 1000}}
        with pytest.raises(httpx.ReadTimeout):
            client.post(STEPS, json=body, timeout=2)
        wait_for(dropped, "the end of a step whose caller has gone")


def test_a_check_of_very_many_small_nodes_is_refused(http: httpx.Client) -> None:
    """Beside its arithmetic each node takes a while, a thousand times in every pass."""
    layers = [*[{"type": "relu"}] * 1000, {"type": "flatten"}, {"type": "dense", "units": 2}]
    body = TINY | {"architecture": {"input_shape": [4, 4, 1], "layers": layers}, "show": []}
    answer = http.post(STEPS, json=body | {"numeric_check": {"entries": 1000}})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/limit-exceeded")
    assert answer.json()["errors"][0]["pointer"] == "/numeric_check/entries"
    assert 0 < step(http, body)["numeric_check"]["entries"] <= 32
