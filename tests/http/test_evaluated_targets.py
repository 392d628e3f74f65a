"""What evaluations of labels and of values keep of each picture, held against predictions asked for one by one."""

import io
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.client import Client
from tests.http.drawn_pictures import COLOURS, SIDE, archive_of_shades, archive_of_squares, ingested

LAYERS = [{"type": "global_average_pool2d"}, {"type": "dense"}]
LOSSES = {"labels": "binary_cross_entropy", "values": "mean_squared_error"}
AS_JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def evaluated(
    http: httpx.Client, wait_for: Callable[..., Any], finished: Callable[..., dict[str, Any]]
) -> Callable[[str], tuple[dict[str, Any], dict[str, Any]]]:
    """Return an evaluation of a model that is none too good, and its data set; made once for each target."""
    made: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    def evaluation(target: str) -> tuple[dict[str, Any], dict[str, Any]]:
        if target in made:
            return made[target]
        content = archive_of_squares() if target == "labels" else archive_of_shades()
        dataset = ingested(http, content, wait_for, target=target, image_size=str(SIDE))
        units = len(dataset["classes"])
        body = {
            "architecture": {
                "input_shape": [SIDE, SIDE, 3],
                "layers": [LAYERS[0], {**LAYERS[1], "units": units}],
            },
            "dataset": dataset["id"],
            "epochs": 5,
            "optimizer": {"type": "adam", "learning_rate": 0.05},
            "loss": {"type": LOSSES[target]},
        }
        job = finished(http, http.post("/v1/training-jobs", json=body).json()["id"])
        assert job["status"] == "succeeded", job
        wanted = {"model": job["model_id"], "dataset": dataset["id"], "split": "train"}
        address = http.post("/v1/evaluations", json=wanted).headers["Location"]

        def ended() -> Any:
            found = http.get(address).json()
            return found if found["finished_at"] else None

        found = wait_for(ended, "the end of the evaluation")
        assert found["status"] == "succeeded", found
        made[target] = found, dataset
        return made[target]

    return evaluation


def everything(http: httpx.Client, evaluation: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    """Return all pages."""
    entries: list[dict[str, Any]] = []
    after = None
    while True:
        params = {**query, "limit": 37} | ({"after": after} if after else {})
        answer = http.get(f"/v1/evaluations/{evaluation['id']}/predictions", params=params)
        assert answer.status_code == 200, answer.text
        entries += answer.json()["data"]
        after = answer.json()["next"]
        if after is None:
            return entries


def predicted(
    http: httpx.Client, model: str, entries: list[dict[str, Any]], **query: Any
) -> list[dict[str, Any]]:
    files = [("files", (f"{entry['number']}.png", http.get(entry["image_url"]).content)) for entry in entries]
    found: list[dict[str, Any]] = http.post(f"/v1/models/{model}/predict", files=files, params=query).json()[
        "data"
    ]
    return found


@pytest.mark.slow
def test_predictions_of_labels(http: httpx.Client, evaluated: Callable[..., Any]) -> None:
    evaluation, dataset = evaluated("labels")
    entries = everything(http, evaluation)
    assert len(entries) == dataset["splits"]["train"] == evaluation["report"]["images"]
    assert [entry["number"] for entry in entries] == sorted(entry["number"] for entry in entries)
    some = entries[::24]
    for entry, seen in zip(some, predicted(http, evaluation["model_id"], some, threshold=0), strict=True):
        picture = http.get(entry["image_url"], headers=AS_JSON).json()
        assert entry["name"] == picture["name"]
        probabilities = {label["label"]: label["probability"] for label in seen["labels"]}
        told = {name for name in COLOURS if probabilities[name] >= 0.5}
        assert {label["name"]: label["probability"] for label in entry["labels"]} == pytest.approx(
            {name: probabilities[name] for name in COLOURS if name in told | set(picture["labels"])}, abs=1e-4
        )
        assert [label["name"] for label in entry["labels"] if label["true"]] == picture["labels"]
        assert {label["name"] for label in entry["labels"] if label["predicted"]} == told
        assert entry["wrong"] == (told != set(picture["labels"]))
        truth = min(p if name in picture["labels"] else 1 - p for name, p in probabilities.items())
        assert entry["label_probability"] == pytest.approx(truth, abs=1e-4)
    wrong = everything(http, evaluation, wrong="true")
    assert wrong == [entry for entry in entries if entry["wrong"]]
    assert evaluation["report"]["accuracy"] == pytest.approx(1 - len(wrong) / len(entries))
    assert 0 < len(wrong) < len(entries)
    for figures in evaluation["report"]["classes"]:
        name = figures["name"]
        having = everything(http, evaluation, label=name)
        told_of = everything(http, evaluation, predicted=name)
        assert (len(having), len(told_of)) == (figures["images"], figures["predicted"])
        missed, invented = (everything(http, evaluation, **{kind: name}) for kind in ("missed", "invented"))
        numbers = [{entry["number"] for entry in found} for found in (having, told_of, missed, invented)]
        assert numbers[2:] == [numbers[0] - numbers[1], numbers[1] - numbers[0]]


def test_predictions_of_values(http: httpx.Client, evaluated: Callable[..., Any]) -> None:
    evaluation, dataset = evaluated("values")
    entries = everything(http, evaluation)
    assert len(entries) == dataset["splits"]["train"]
    some = entries[::24]
    for entry, seen in zip(some, predicted(http, evaluation["model_id"], some), strict=True):
        picture = http.get(entry["image_url"], headers=AS_JSON).json()
        assert [value["value"] for value in entry["values"]] == picture["values"]
        assert [value["predicted"] for value in entry["values"]] == pytest.approx(
            [value["value"] for value in seen["values"]], abs=1e-4
        )
        assert (entry["wrong"], entry["label"], entry["labels"]) == (None, None, [])
        off = [value["predicted"] - value["value"] for value in entry["values"]]
        assert entry["error"] == pytest.approx(np.sqrt(np.mean(np.square(off))))
    worst = everything(http, evaluation, order="worst")
    assert [entry["error"] for entry in worst] == sorted((entry["error"] for entry in entries), reverse=True)
    assert {entry["number"] for entry in worst} == {entry["number"] for entry in entries}
    by_warmth = everything(http, evaluation, order="worst", value="warmth")
    errors = [abs(entry["values"][1]["predicted"] - entry["values"][1]["value"]) for entry in by_warmth]
    assert errors == sorted(errors, reverse=True)
    rmse = np.sqrt(np.mean(np.square(errors)))
    assert evaluation["report"]["values"][1]["root_mean_squared_error"] == pytest.approx(rmse, rel=1e-4)


@pytest.mark.parametrize("target", ["labels", "values"])
def test_mistakes(http: httpx.Client, evaluated: Callable[..., Any], target: str) -> None:
    evaluation, dataset = evaluated(target)
    worst = everything(http, evaluation, order="worst")
    mistakes = evaluation["report"]["mistakes"]
    assert len(mistakes) == 25
    expected = [entry for entry in worst if entry["wrong"] is not False][:25]
    assert [
        {**entry, "wrong": mine["wrong"]} for entry, mine in zip(mistakes, expected, strict=True)
    ] == expected
    listed = http.get(f"/v1/evaluations/{evaluation['id']}/mistakes", headers=AS_JSON).json()["data"]
    assert listed == mistakes
    sheet = http.get(f"/v1/evaluations/{evaluation['id']}/mistakes", headers={"Accept": "image/png"})
    pixels = np.asarray(Image.open(io.BytesIO(sheet.content)))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    # the calls that correct it are taken
    for call in mistakes[0]["corrections"]:
        body = {**call["body"], "dry_run": True}
        answer = http.request(call["method"], call["url"], json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["pictures"][0]["number"] == mistakes[0]["number"]
    assert set(mistakes[0]["corrections"][0]["body"]) == {target}
    assert http.get(f"/v1/datasets/{dataset['id']}").json()["revision"] == 0


@pytest.mark.parametrize(
    ("target", "query", "parameter"),
    [
        ("labels", {"label": "gren"}, "label"),
        ("labels", {"value": "red"}, "value"),
        ("values", {"missed": "warmth"}, "missed"),
        ("values", {"wrong": "true"}, "wrong"),
        ("values", {"value": "warmth"}, "value"),
        ("values", {"order": "worst", "value": "warmht"}, "value"),
        ("values", {"order": "worst", "after": "9999"}, "after"),
        ("values", {"order": "error"}, "order"),
    ],
)
def test_what_does_not_fit_is_refused(
    http: httpx.Client, evaluated: Callable[..., Any], target: str, query: dict[str, str], parameter: str
) -> None:
    evaluation, _ = evaluated(target)
    answer = http.get(f"/v1/evaluations/{evaluation['id']}/predictions", params=query)
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] == parameter
    assert fault["hint"]


def test_evaluations_are_compared(http: httpx.Client, evaluated: Callable[..., Any]) -> None:
    labels, _ = evaluated("labels")
    values, _ = evaluated("values")
    same = http.post("/v1/evaluations/compare", json={"evaluations": [labels["id"]] * 2}).json()
    assert (same["images"], same["left_out"], same["p_value"]) == (labels["report"]["images"], 0, 1)
    assert same["evaluations"][0]["accuracy"] == labels["report"]["accuracy"]
    assert same["only_first"] == same["only_second"] == []
    for pair, code in (((labels, values), "other-pictures"), ((values, values), "other-target")):
        answer = http.post("/v1/evaluations/compare", json={"evaluations": [each["id"] for each in pair]})
        assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{code}")


def test_the_client_lists_them(server: str, evaluated: Callable[..., Any]) -> None:
    evaluation, _ = evaluated("labels")
    with Client(server) as client:
        missed = list(client.evaluations.predictions(evaluation["id"], missed="red"))
        assert all(any(label.true and not label.predicted for label in entry.labels) for entry in missed)
        first = next(client.evaluations.predictions(evaluation["id"], order="worst"))
        assert first.number == evaluation["report"]["mistakes"][0]["number"]
