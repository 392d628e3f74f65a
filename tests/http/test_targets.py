"""Pictures with any number of labels, and with numbers: from the upload over training to predictions, over HTTP."""

import csv
import io
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.client import Client
from tests.http.drawn_pictures import (
    COLOURS,
    COUNT,
    SIDE,
    archive_of_shades,
    archive_of_squares,
    ingested,
    npz,
    pack,
    png,
    shade,
    squares,
)

TRUNK = [{"type": "conv2d", "filters": 8, "kernel_size": 3, "padding": "same", "activation": "relu"}]
LABEL_LAYERS = [*TRUNK, {"type": "global_max_pool2d"}, {"type": "dense", "units": 3}]
VALUE_LAYERS = [*TRUNK, {"type": "global_average_pool2d"}, {"type": "dense", "units": 2}]


@pytest.fixture(scope="module")
def make(wait_for: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Upload a data set and wait until it is ready."""

    def ready(http: httpx.Client, content: bytes, **fields: str) -> dict[str, Any]:
        dataset = ingested(http, content, wait_for, **fields)
        assert dataset["status"] == "ready", dataset["error"]
        return dataset

    return ready


@pytest.fixture(scope="module")
def labelled(http: httpx.Client, make: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return make(http, archive_of_squares(), name="squares", target="labels", image_size=str(SIDE))


@pytest.fixture(scope="module")
def measured(http: httpx.Client, make: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return make(http, archive_of_shades(), name="shades", target="values", image_size=str(SIDE))


def train(http: httpx.Client, dataset: dict[str, Any], layers: list[Any], loss: str, **options: Any) -> Any:
    body = {
        "architecture": {"input_shape": [SIDE, SIDE, 3], "layers": layers},
        "dataset": dataset["id"],
        "epochs": 30,
        "batch_size": 16,
        "optimizer": {"type": "adam", "learning_rate": 0.02},
        "loss": {"type": loss},
        "name": dataset["name"],
        **options,
    }
    return http.post("/v1/training-jobs", json=body)


@pytest.fixture(scope="module")
def trained(http: httpx.Client, finished: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Train, and return the model."""

    def model(*arguments: Any) -> dict[str, Any]:
        answer = train(http, *arguments)
        assert answer.status_code == 202, answer.text
        job = finished(http, answer.json()["id"])
        assert job["status"] == "succeeded", job["error"]
        found: dict[str, Any] = http.get(f"/v1/models/{job['model_id']}").json()
        return found

    return model


@pytest.fixture(scope="module")
def tagger(labelled: dict[str, Any], trained: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return trained(labelled, LABEL_LAYERS, "binary_cross_entropy")


@pytest.fixture(scope="module")
def meter(measured: dict[str, Any], trained: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return trained(measured, VALUE_LAYERS, "mean_squared_error")


def test_a_data_set_of_labels(http: httpx.Client, labelled: dict[str, Any]) -> None:
    truth = [squares(seed)[1] for seed in range(COUNT)]
    assert labelled["target"] == "labels"
    assert labelled["images"] == sum(labelled["splits"].values()) == COUNT
    assert labelled["classes"] == [
        {"name": name, "images": sum(name in chosen for chosen in truth)} for name in COLOURS
    ]
    seen = []
    for number in range(0, COUNT, 29):
        answer = http.get(f"/v1/datasets/{labelled['id']}/images/{number}")
        colours = {
            tuple(pixel) for pixel in np.asarray(Image.open(io.BytesIO(answer.content))).reshape(-1, 3)
        }
        shown = tuple(name for name, colour in COLOURS.items() if colour in colours)
        assert answer.headers["Image-Label"] == "|".join(shown)
        assert "Image-Class-Index" not in answer.headers
        seen.append(shown)
    assert len(set(seen)) > 2

    statistics = http.get(f"/v1/datasets/{labelled['id']}/statistics").json()
    assert statistics["all"]["images"] == COUNT
    assert {name: part["images"] for name, part in statistics["splits"].items()} == labelled["splits"]
    for entry, told in zip(statistics["classes"], labelled["classes"], strict=True):
        assert (entry["name"], entry["images"]) == (told["name"], told["images"])
        assert sum(entry["splits"].values()) == told["images"]
        assert min(entry["splits"].values()) > 0
    sheet = http.get(f"/v1/datasets/{labelled['id']}/samples")
    assert sheet.headers["Content-Type"] == "image/png"


def test_a_data_set_of_values(http: httpx.Client, measured: dict[str, Any]) -> None:
    assert measured["target"] == "values"
    assert measured["classes"] == [{"name": "Light", "images": COUNT}, {"name": "warmth", "images": COUNT}]
    answer = http.get(f"/v1/datasets/{measured['id']}/images/3")
    picture = np.asarray(Image.open(io.BytesIO(answer.content)))
    light, warmth = map(float, answer.headers["Image-Values"].split(","))
    assert light == pytest.approx(picture.mean() / 255, abs=1e-5)
    assert warmth == pytest.approx((picture[..., 0].mean() - picture[..., 2].mean()) / 255, abs=1e-5)
    assert "Image-Label" not in answer.headers

    truth = np.array([shade(seed)[1] for seed in range(COUNT)])
    statistics = http.get(f"/v1/datasets/{measured['id']}/statistics").json()
    assert statistics["classes"] == []
    assert [entry["name"] for entry in statistics["values"]] == ["Light", "warmth"]
    for place, entry in enumerate(statistics["values"]):
        assert entry["all"]["mean"] == pytest.approx(truth[:, place].mean(), abs=1e-5)
        assert entry["all"]["std"] == pytest.approx(truth[:, place].std(), abs=1e-5)
        assert set(entry["splits"]) == {"train", "dev", "test"}
    sheet = http.get(f"/v1/datasets/{measured['id']}/samples", params={"per_class": 5})
    assert sheet.headers["Content-Type"] == "image/png"


def test_labels_are_learnt_and_predicted(http: httpx.Client, tagger: dict[str, Any]) -> None:
    assert tagger["target"] == "labels"
    assert tagger["classes"] == list(COLOURS)
    assert tagger["metrics"]["test_accuracy"] >= 0.9, "the share of pictures of which all labels are right"
    drawn = [squares(seed) for seed in range(1000, 1040)]
    files = [("files", (f"{number}.png", png(picture))) for number, (picture, _) in enumerate(drawn)]
    found = http.post(f"/v1/models/{tagger['id']}/predict", files=files).json()["data"]
    right = 0
    for (_, chosen), seen in zip(drawn, found, strict=True):
        assert (seen["label"], seen["class_index"], seen["probability"], seen["values"]) == (None,) * 4
        probable = [entry["label"] for entry in seen["labels"]]
        assert all(entry["probability"] >= 0.5 for entry in seen["labels"])
        assert [entry["label"] for entry in seen["top"]][: len(probable)] == probable
        assert [entry["label"] for entry in seen["top"]] != []
        right += set(probable) == set(chosen)
    assert right >= 36

    path = f"/v1/models/{tagger['id']}/predict"
    one = {"files": files[0][1]}
    for threshold, count in ((0, 3), (1, 0)):
        answer = http.post(path, files=one, params={"threshold": threshold, "top_k": 1}).json()["data"][0]
        certain = sum(entry["probability"] == 1 for entry in answer["labels"])
        assert len(answer["labels"]) == (count or certain)
        assert len(answer["top"]) == 1
    assert http.post(path, files=one, params={"threshold": 1.1}).status_code == 422


def test_values_are_learnt_and_predicted(http: httpx.Client, meter: dict[str, Any]) -> None:
    assert meter["target"] == "values"
    assert meter["metrics"]["test_accuracy"] is None
    assert meter["metrics"]["test_loss"] < 0.003, "a mean error of 0.05 where values differ by 0.2 and more"
    drawn = [shade(seed) for seed in range(1000, 1020)]
    files = [("files", (f"{number}.png", png(picture))) for number, (picture, _) in enumerate(drawn)]
    found = http.post(f"/v1/models/{meter['id']}/predict", files=files).json()["data"]
    for (_, values), seen in zip(drawn, found, strict=True):
        assert (seen["label"], seen["class_index"], seen["probability"], seen["labels"]) == (None,) * 4
        assert seen["top"] == []
        assert [entry["name"] for entry in seen["values"]] == ["Light", "warmth"]
        assert [entry["value"] for entry in seen["values"]] == pytest.approx(values, abs=0.2)

    answer = http.post(
        f"/v1/models/{meter['id']}/predict", files={"files": files[0][1]}, params={"threshold": 0.5}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "threshold"


def test_training_without_accuracy_is_shown(http: httpx.Client, meter: dict[str, Any]) -> None:
    job = f"/v1/training-jobs/{meter['training_job_id']}"
    epochs = http.get(f"{job}/metrics").json()["data"]
    assert {entry["train_accuracy"] for entry in epochs} == {None}
    assert {entry["dev_accuracy"] for entry in epochs} == {None}
    assert epochs[-1]["dev_loss"] < epochs[0]["dev_loss"]
    drawing = http.get(f"{job}/curves", headers={"Accept": "image/svg+xml"}).text
    assert "loss" in drawing
    assert "accuracy" not in drawing
    assert "event: end" in http.get(f"{job}/events").text


def test_answers_of_classes_are_as_they_were(http: httpx.Client) -> None:
    picture = http.get("/v1/datasets/digits/images/0").content
    answer = http.post("/v1/models/model_example/predict", files={"files": ("a.png", picture)})
    (seen,) = answer.json()["data"]
    assert seen["label"] == seen["top"][0]["label"]
    assert seen["probability"] == seen["top"][0]["probability"]
    assert (seen["labels"], seen["values"]) == (None, None)
    refused = http.post(
        "/v1/models/model_example/predict",
        files={"files": ("a.png", picture)},
        params={"threshold": 0.5},
    )
    assert refused.json()["errors"][0]["parameter"] == "threshold"
    assert http.get("/v1/models/model_example").json()["target"] == "class"
    assert http.get("/v1/datasets/digits").json()["target"] == "class"


@pytest.mark.parametrize(
    ("kind", "loss", "hint"),
    [
        ("labels", "softmax_cross_entropy", "binary_cross_entropy"),
        ("labels", "mean_squared_error", "binary_cross_entropy"),
        ("values", "softmax_cross_entropy", "mean_squared_error"),
        ("values", "binary_cross_entropy", "mean_squared_error"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused(
    http: httpx.Client, labelled: dict[str, Any], measured: dict[str, Any], kind: str, loss: str, hint: str
) -> None:
    dataset, layers = (labelled, LABEL_LAYERS) if kind == "labels" else (measured, VALUE_LAYERS)
    answer = train(http, dataset, layers, loss)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/loss"
    assert hint in fault["hint"]


def test_a_preset_takes_the_number_of_labels(http: httpx.Client, labelled: dict[str, Any]) -> None:
    body = {
        "architecture": {"preset": "lenet-5"},
        "dataset": labelled["id"],
        "loss": {"type": "binary_cross_entropy"},
    }
    answer = http.post("/v1/training-jobs", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.json()["architecture"]["layers"][-1]["units"] == len(COLOURS)
    http.post(f"/v1/training-jobs/{answer.json()['id']}/cancel")


@pytest.mark.parametrize(
    "loss", ["binary_cross_entropy", pytest.param("mean_squared_error", marks=pytest.mark.slow)]
)
def test_classes_can_be_learnt_with_other_losses(
    http: httpx.Client, make: Callable[..., dict[str, Any]], trained: Callable[..., dict[str, Any]], loss: str
) -> None:
    pictures = np.stack([np.full((SIDE, SIDE), 10 + seed + 180 * (seed % 2), np.uint8) for seed in range(40)])
    names = np.array(["dark", "light"])
    dataset = make(http, npz(images=pictures, labels=np.arange(40) % 2, class_names=names), channels="3")
    layers = [*TRUNK, {"type": "global_average_pool2d"}, {"type": "dense", "units": 2}]
    model = trained(dataset, layers, loss)
    assert model["target"] == "class"
    assert model["metrics"]["test_accuracy"] == 1
    answer = http.post(f"/v1/models/{model['id']}/predict", files={"files": ("light.png", png(pictures[1]))})
    (seen,) = answer.json()["data"]
    assert (seen["label"], seen["labels"], seen["values"]) == ("light", None, None)


@pytest.mark.parametrize("fixture", ["tagger", "meter"])
def test_a_model_file_keeps_what_the_model_tells(
    http: httpx.Client, request: pytest.FixtureRequest, fixture: str
) -> None:
    model = request.getfixturevalue(fixture)
    weights = http.get(f"/v1/models/{model['id']}/weights").content
    imported = http.post(
        "/v1/models/import", content=weights, headers={"Content-Type": "application/octet-stream"}
    ).json()
    assert imported["target"] == model["target"]
    assert imported["classes"] == model["classes"]
    file = {"files": ("a.png", png(squares(5)[0]))}
    answers = [
        http.post(f"/v1/models/{name}/predict", files=file).json()["data"]
        for name in (model["id"], imported["id"])
    ]
    assert answers[0] == answers[1]


def test_the_client_and_the_command_line_show_them(
    server: str, http: httpx.Client, labelled: dict[str, Any], tagger: dict[str, Any], meter: dict[str, Any]
) -> None:
    with Client(server) as client:
        assert client.models.get(tagger["id"]).target == "labels"
        assert client.datasets.get(labelled["id"]).target == "labels"
        number = next(
            number
            for number in range(COUNT)
            if len(client.datasets.picture(labelled["id"], number).labels) == 2
        )
        picture = client.datasets.picture(labelled["id"], number)
        assert (picture.label, picture.class_index) == (None, None)
        (seen,) = client.models.predict(tagger["id"], [("a.png", picture.content)], threshold=0.5)
        assert {found.label for found in seen.labels or ()} == set(picture.labels)
        (seen,) = client.models.predict(meter["id"], [("a.png", picture.content)])
        assert [value.name for value in seen.values or ()] == ["Light", "warmth"]


@pytest.fixture(scope="module")
def judge(http: httpx.Client, wait_for: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Evaluate a model on a data set, and return the evaluation when it has ended."""

    def evaluation(model: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
        answer = http.post("/v1/evaluations", json={"model": model["id"], "dataset": dataset["id"]})
        assert answer.status_code == 202, answer.text

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = http.get(answer.headers["Location"]).json()
            return found if found["status"] in ("succeeded", "failed") else None

        found: dict[str, Any] = wait_for(ended, "the end of the evaluation")
        assert found["status"] == "succeeded", found["error"]
        return found

    return evaluation


def test_labels_are_evaluated(
    http: httpx.Client, tagger: dict[str, Any], labelled: dict[str, Any], judge: Callable[..., dict[str, Any]]
) -> None:
    found = judge(tagger, labelled)
    report = found["report"]
    assert report["accuracy"] == pytest.approx(tagger["metrics"]["test_accuracy"])
    assert found["metrics"]["accuracy"] == report["accuracy"]
    assert [entry["name"] for entry in report["classes"]] == list(COLOURS)
    assert min(entry["f1"] for entry in report["classes"]) > 0.8
    assert report["errors"]["test"]["error"] == pytest.approx(1 - report["accuracy"])
    assert report["diagnosis"]["advice"]
    matrix = http.get(f"/v1/evaluations/{found['id']}/confusion-matrix")
    assert (matrix.status_code, matrix.json()["type"]) == (409, "/problems/no-confusion-matrix")


def test_values_are_evaluated(
    meter: dict[str, Any], measured: dict[str, Any], judge: Callable[..., dict[str, Any]]
) -> None:
    report = judge(meter, measured)["report"]
    assert (report["accuracy"], report["diagnosis"], report["classes"]) == (None, None, [])
    assert [entry["name"] for entry in report["values"]] == ["Light", "warmth"]
    assert min(entry["r2"] for entry in report["values"]) > 0.9
    error = np.mean([entry["root_mean_squared_error"] ** 2 for entry in report["values"]])
    assert error == pytest.approx(meter["metrics"]["test_loss"], rel=1e-3)
    assert report["mean_squared_errors"]["test"] == pytest.approx(error)


def test_an_evaluation_wants_a_data_set_of_the_same_kind(http: httpx.Client, tagger: dict[str, Any]) -> None:
    answer = http.post("/v1/evaluations", json={"model": tagger["id"], "dataset": "digits"})
    assert answer.status_code == 422
    assert "labels" in answer.json()["errors"][0]["detail"]


def test_an_archive_is_predicted_with_labels_and_not_with_values(
    http: httpx.Client, tagger: dict[str, Any], meter: dict[str, Any], wait_for: Callable[..., Any]
) -> None:
    picture, chosen = next(drawn for drawn in map(squares, range(1000, 1100)) if len(drawn[1]) == 1)
    sent = {"file": ("a.zip", pack("no picture", {"one.png": png(picture)}, "notes.txt"))}
    refused = http.post("/v1/batch-predictions", data={"model": meter["id"]}, files=sent)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["parameter"] == "model"
    answer = http.post("/v1/batch-predictions", data={"model": tagger["id"], "top_k": "3"}, files=sent)
    assert answer.status_code == 202, answer.text
    where = answer.headers["Location"]
    wait_for(lambda: http.get(where).json()["status"] == "succeeded", "the end of the batch")
    rows = list(csv.DictReader(http.get(f"{where}/result").text.splitlines()))
    assert [row["filename"] for row in rows] == ["notes.txt", "one.png"]
    assert rows[0]["error"]
    assert {rows[1][name] for name in ("label", "label_2", "label_3")} == set(COLOURS)
    assert rows[1]["label"] == chosen[0]
    assert float(rows[1]["probability_2"]) < 0.5 <= float(rows[1]["probability"])


def test_a_job_goes_on_with_labels(
    http: httpx.Client, tagger: dict[str, Any], finished: Callable[..., dict[str, Any]]
) -> None:
    body = {"continue_from": tagger["training_job_id"], "epochs": 1}
    answer = http.post("/v1/training-jobs", json=body)
    assert answer.status_code == 202, answer.text
    job = finished(http, answer.json()["id"])
    assert job["status"] == "succeeded", job["error"]
    assert http.get(f"/v1/models/{job['model_id']}").json()["target"] == "labels"
