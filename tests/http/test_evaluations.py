"""Evaluations over HTTP, by real workers, held against predictions asked for one by one."""

import functools
import io
import math
import os
import signal
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from PIL import Image

from app.cli.launch import ServerProcess
from app.files.locks import read_holder
from tests.digits import load_digits

BODY = {"model": "lenet-5-digits@example", "dataset": "digits", "split": "test"}
FINISHED = {"succeeded", "failed", "cancelled"}


def ended(http: httpx.Client, address: str, wait_for: Callable[..., Any]) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = http.get(address).json()
        return found if found["status"] in FINISHED else None

    found: dict[str, Any] = wait_for(look, f"the end of {address}")
    return found


@pytest.fixture(scope="module")
def address(http: httpx.Client, wait_for: Callable[..., Any]) -> str:
    """The address of a finished evaluation of the built-in model."""
    answer = http.post("/v1/evaluations", json=BODY)
    assert answer.status_code == 202, answer.text
    assert answer.json()["model_id"] == "model_example"
    location: str = answer.headers["location"]
    assert ended(http, location, wait_for)["status"] == "succeeded"
    return location


def test_it_finds_what_predictions_say(http: httpx.Client, address: str) -> None:
    evaluation = http.get(address).json()
    report = evaluation["report"]
    digits = load_digits()
    test = np.flatnonzero(digits.splits == 2)
    predicted = []
    for first in range(0, len(test), 200):
        files = []
        for position in test[first : first + 200]:
            buffer = io.BytesIO()
            Image.fromarray(digits.images[position][..., 0]).save(buffer, "PNG")
            files.append(("files", (f"{position}.png", buffer.getvalue())))
        answer = http.post("/v1/models/model_example/predict", files=files, params={"top_k": 1}).json()
        predicted += [item["class_index"] for item in answer["data"]]
    labels = digits.labels[test]
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (labels, predicted), 1)
    headers = {"Accept": "application/json"}
    shown = http.get(f"{address}/confusion-matrix", headers=headers).json()
    assert shown == {"classes": list("0123456789"), "matrix": matrix.tolist()}
    assert report["images"] == len(test)
    accuracy = float((labels == predicted).mean())
    assert report["accuracy"] == report["top_k"]["1"] == evaluation["metrics"]["accuracy"] == accuracy
    assert report["errors"]["test"] == {"images": len(test), "error": pytest.approx(1 - accuracy)}
    model = http.get("/v1/models/model_example").json()
    assert accuracy == pytest.approx(model["metrics"]["test_accuracy"])
    for number, entry in enumerate(report["classes"]):
        assert entry["recall"] == pytest.approx(matrix[number, number] / matrix[number].sum())
        assert entry["precision"] == pytest.approx(matrix[number, number] / matrix[:, number].sum())
    assert sum(entry["images"] for entry in report["calibration"]) == len(test)
    assert 0 <= report["expected_calibration_error"] < 0.1
    wrong = {int(test[place]) for place in np.flatnonzero(labels != predicted)}
    assert {mistake["number"] for mistake in report["mistakes"]} <= wrong
    assert len(report["mistakes"]) == min(25, len(wrong))
    truths = [mistake["label_probability"] for mistake in report["mistakes"]]
    assert truths == sorted(truths)


def test_bias_and_variance_come_with_advice(http: httpx.Client, address: str) -> None:
    report = http.get(address).json()["report"]
    errors, diagnosis = report["errors"], report["diagnosis"]
    assert diagnosis["bias"] == errors["train"]["error"]
    assert diagnosis["variance"] == pytest.approx(errors["dev"]["error"] - errors["train"]["error"])
    assert diagnosis["verdict"] in ("low", "bias", "variance", "dev_gap")
    assert diagnosis["advice"].endswith(".")


def test_the_pictures_are_pictures(http: httpx.Client, address: str) -> None:
    drawn = http.get(f"{address}/confusion-matrix")
    assert drawn.headers["content-type"] == "image/svg+xml"
    document = ElementTree.fromstring(drawn.text)  # noqa: S314 - our own
    texts = [element.text for element in document.iter() if element.tag.endswith("text")]
    matrix = http.get(f"{address}/confusion-matrix", headers={"Accept": "application/json"}).json()["matrix"]
    assert [text for text in texts if text and text.isdigit()] == [
        *[str(number) for digit in range(10) for number in (digit, digit)],
        *[str(count) for row in matrix for count in row if count],
    ]
    png = http.get(f"{address}/confusion-matrix", headers={"Accept": "image/png"})
    picture = Image.open(io.BytesIO(png.content))
    assert (picture.format, f"{picture.width}") == ("PNG", document.get("width"))
    sheet = http.get(f"{address}/mistakes")
    assert Image.open(io.BytesIO(sheet.content)).format == "PNG"


def test_each_picture_has_its_prediction(http: httpx.Client, address: str) -> None:
    def listed(**query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = None
        while True:
            params = {"limit": 200, **query} | ({} if after is None else {"after": after})
            answer = http.get(f"{address}/predictions", params=params)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["data"]
            after = page["next"]
            if after is None:
                return found

    report = http.get(address).json()["report"]
    matrix = http.get(f"{address}/confusion-matrix", headers={"Accept": "application/json"}).json()["matrix"]
    everything = listed()
    numbers = [entry["number"] for entry in everything]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == report["images"]
    counts = Counter((entry["label"], entry["predicted"]) for entry in everything)
    assert [[counts[str(row), str(column)] for column in range(10)] for row in range(10)] == matrix
    wrong = listed(wrong="true")
    assert wrong == [entry for entry in everything if entry["label"] != entry["predicted"]]
    assert listed(wrong="false", label="3") == [
        entry for entry in everything if entry["label"] == entry["predicted"] == "3"
    ]
    assert listed(predicted="8") == [entry for entry in everything if entry["predicted"] == "8"]
    assert not any(entry["corrections"] for entry in everything if not entry["wrong"])
    worst = http.get(f"{address}/mistakes", headers={"Accept": "application/json"}).json()["data"]
    assert worst == report["mistakes"]
    by_number = {entry["number"]: entry for entry in wrong}
    for mistake in worst:
        same = by_number[mistake["number"]]
        assert {name: same[name] for name in mistake} == mistake | {
            name: pytest.approx(mistake[name]) for name in ("probability", "label_probability")
        }
    refused = http.get(f"{address}/predictions", params={"label": "eleven"}).json()
    assert (refused["status"], refused["errors"][0]["parameter"]) == (422, "label")


@pytest.mark.slow
def test_two_models_are_compared(
    http: httpx.Client,
    address: str,
    wait_for: Callable[..., Any],
    finished: Callable[..., dict[str, Any]],
) -> None:
    layers = [{"type": "flatten"}, {"type": "dense", "units": 10}]
    network = {"input_shape": [28, 28, 1], "layers": layers}
    job = http.post(
        "/v1/training-jobs", json={"architecture": network, "dataset": "digits", "epochs": 1}
    ).json()
    other = http.post(
        "/v1/evaluations", json=BODY | {"model": finished(http, job["id"])["model_id"]}
    ).headers["location"]
    ended(http, other, wait_for)
    identifiers = [each.rpartition("/")[2] for each in (address, other)]
    found = http.post("/v1/evaluations/compare", json={"evaluations": identifiers}).json()

    right = []
    for each in (address, other):
        entries, after = [], None
        while not entries or after:
            page = http.get(
                f"{each}/predictions", params={"limit": 200, **({"after": after} if after else {})}
            ).json()
            entries += page["data"]
            after = page["next"]
        right.append({entry["number"] for entry in entries if not entry["wrong"]})
    only = right[0] - right[1], right[1] - right[0]
    assert len(only[0]) > len(only[1])
    assert found["images"] == len(entries)
    assert [each["right"] for each in found["evaluations"]] == [len(each) for each in right]
    assert [each["only_right"] for each in found["evaluations"]] == [len(each) for each in only]
    assert found["both_right"] == len(right[0] & right[1])
    assert found["both_wrong"] == len(entries) - len(right[0] | right[1])
    assert [entry["number"] for entry in found["only_first"]] == sorted(only[0])[:100]
    assert {entry["number"] for entry in found["only_second"]} == only[1]
    for entry in found["only_first"][:3]:
        assert [prediction["wrong"] for prediction in entry["predictions"]] == [False, True]
    for each, entry in zip((address, other), found["evaluations"], strict=True):
        report = http.get(each).json()["report"]
        assert (entry["accuracy"], entry["interval"]) == (
            pytest.approx(report["accuracy"]),
            report["interval"],
        )
        assert entry["interval"]["low"] < entry["accuracy"] < entry["interval"]["high"]
    n, k = len(only[0]) + len(only[1]), len(only[1])
    exact = 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    assert found["p_value"] == pytest.approx(exact)
    better = "`model_example` is better" in " ".join(found["words"])
    assert better == (exact < 0.05)
    dev = http.post("/v1/evaluations", json=BODY | {"split": "dev"}).headers["location"]
    ended(http, dev, wait_for)
    refused = http.post(
        "/v1/evaluations/compare", json={"evaluations": [identifiers[0], dev.rpartition("/")[2]]}
    )
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/other-pictures")
    refused = http.post("/v1/evaluations/compare", json={"evaluations": [identifiers[0], "job_example"]})
    assert refused.json()["errors"][0]["pointer"] == "/evaluations/1"
    for each in (other, dev):
        assert http.delete(each).status_code == 204


def test_the_pictures_behind_a_cell_of_the_confusion_matrix(http: httpx.Client, address: str) -> None:
    matrix = http.get(f"{address}/confusion-matrix", headers={"Accept": "application/json"}).json()
    counts = np.array(matrix["matrix"])
    np.fill_diagonal(counts, 0)
    label, predicted = np.unravel_index(counts.argmax(), counts.shape)
    cell = {"label": matrix["classes"][label], "predicted": matrix["classes"][predicted]}
    entries = http.get(f"{address}/predictions", params={**cell, "limit": 200}).json()["data"]
    assert len(entries) == counts.max() > 0
    for entry in entries:
        shown = http.get(entry["image_url"])
        assert (shown.headers["Image-Number"], shown.headers["Image-Label"]) == (
            str(entry["number"]),
            cell["label"],
        )
    worst = http.get(f"{address}/predictions", params={**cell, "order": "worst"}).json()["data"]
    assert worst == sorted(entries, key=lambda entry: float(entry["label_probability"]))


def test_what_does_not_fit_is_refused(http: httpx.Client, ready: Callable[..., Any]) -> None:
    for change, pointer in (
        ({"model": "model_no"}, "/model"),
        ({"model": "digits@nothing"}, "/model"),
        ({"dataset": "ds_no"}, "/dataset"),
        ({"split": "all"}, "/split"),
    ):
        fault = http.post("/v1/evaluations", json=BODY | change).json()
        assert (fault["status"], fault["errors"][0]["pointer"]) == (422, pointer)
    document = http.get("/openapi.json").json()
    content = document["paths"]["/v1/datasets"]["post"]["requestBody"]["content"]["application/json"]
    example = next(iter(content["examples"].values()))["value"]
    dataset = http.post("/v1/datasets", json=example).json()["id"]
    ready(http, dataset)
    fault = http.post("/v1/evaluations", json=BODY | {"dataset": dataset}).json()
    assert (fault["status"], fault["errors"][0]["pointer"]) == (422, "/dataset")
    assert "[28, 28, 1]" in fault["detail"]


def test_they_are_listed_apart_and_can_be_deleted(
    http: httpx.Client, address: str, wait_for: Callable[..., Any]
) -> None:
    mine = http.post("/v1/evaluations", json=BODY | {"split": "dev"}).headers["location"]
    listed = http.get("/v1/evaluations").json()["data"]
    assert [entry["id"] for entry in listed][:2] == [mine.rpartition("/")[2], address.rpartition("/")[2]]
    jobs = http.get("/v1/training-jobs", params={"limit": 200}).json()["data"]
    assert not any(job["id"].startswith("eval_") for job in jobs)
    assert http.get(f"/v1/training-jobs/{listed[0]['id']}").status_code == 404
    assert http.get("/v1/evaluations/job_example").status_code == 404
    found = ended(http, mine, wait_for)["report"]
    assert found["images"] == http.get("/v1/datasets/digits").json()["splits"]["dev"]
    assert http.post(f"{mine}/cancel").status_code == 409
    assert http.delete(mine).status_code == 204
    for part in ("", "/mistakes", "/predictions", "/confusion-matrix"):
        assert http.get(mine + part).status_code == 404


def test_a_cancelled_one_has_found_nothing(http: httpx.Client, wait_for: Callable[..., Any]) -> None:
    # The lane does one at a time: of several the last is still waiting.
    several = [http.post("/v1/evaluations", json=BODY).headers["location"] for _ in range(2)]
    assert http.post(f"{several[-1]}/cancel").status_code == 202
    last = ended(http, several[-1], wait_for)
    assert (last["status"], last["report"]) == ("cancelled", None)
    assert http.get(f"{several[-1]}/mistakes").status_code == 409
    for other in several[:-1]:
        assert ended(http, other, wait_for)["status"] == "succeeded"


@pytest.mark.slow
def test_pictures_that_were_treated_otherwise_are_warned_of(
    http: httpx.Client, address: str, wait_for: Callable[..., Any], ready: Callable[..., Any]
) -> None:
    assert http.get(address).json()["warnings"] == []
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for label in "01":
            for number in range(4):
                picture = io.BytesIO()
                Image.new("L", (30, 20), 60 * number + int(label)).save(picture, "PNG")
                archive.writestr(f"{label}/{number}.png", picture.getvalue())
    fields = {"image_size": "28", "channels": "1", "fit": "stretch", "invert": "true"}
    files = {"file": ("odd.zip", buffer.getvalue())}
    dataset = http.post("/v1/datasets", data=fields, files=files).json()["id"]
    ready(http, dataset)
    made = http.post("/v1/evaluations", json=BODY | {"dataset": dataset})
    warnings = made.json()["warnings"]
    assert [warning.partition(" were made with ")[2].split()[0] for warning in warnings] == [
        "fit",
        "background",
        "invert",
    ]
    assert "'stretch'" in warnings[0]
    found = ended(http, made.headers["location"], wait_for)
    assert (found["status"], found["warnings"]) == ("succeeded", warnings)


@pytest.mark.slow
def test_it_survives_kill_9_of_its_worker(
    start: Callable[..., ServerProcess],
    connect: Callable[..., httpx.Client],
    http: httpx.Client,
    address: str,
    wait_for: Callable[..., Any],
) -> None:
    service = start()
    with connect(service.start()) as own:
        for _ in range(20):
            location = own.post("/v1/evaluations", json=BODY).headers["location"]
            folder = service.data_dir / "jobs" / location.rpartition("/")[2]
            pid = wait_for(functools.partial(read_holder, folder / "lock"), "the worker")
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            found = ended(own, location, wait_for)
            assert found["status"] == "succeeded", found
            assert found["report"] == http.get(address).json()["report"]
            if found["attempt"] == 2:
                break
        else:
            raise AssertionError("its worker was always done before it could be killed")
    service.stop()


def test_a_model_stays_while_it_is_judged(http: httpx.Client, wait_for: Callable[..., Any]) -> None:
    weights = http.get("/v1/models/model_example/weights").content
    raw = {"Content-Type": "application/octet-stream"}
    model = http.post("/v1/models/import", content=weights, headers=raw).json()["id"]
    body = BODY | {"model": model}
    # The lane does one at a time: the last of several has not ended when the model is to go.
    several = [http.post("/v1/evaluations", json=body).headers["location"] for _ in range(3)]
    refused = http.delete(f"/v1/models/{model}")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/in-use")
    assert several[-1].rpartition("/")[2] in refused.json()["detail"]
    for location in several[1:]:
        http.post(f"{location}/cancel")
    for location in several:
        assert ended(http, location, wait_for)["status"] in ("succeeded", "cancelled")
    assert http.delete(f"/v1/models/{model}").status_code == 204
    assert http.post("/v1/evaluations", json=body).status_code == 422
