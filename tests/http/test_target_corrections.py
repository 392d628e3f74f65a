"""Labels and values of pictures are corrected as classes are: in revisions, by which jobs go."""

import functools
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load

from app.client import Client
from tests.data.dark_and_light import correct, told
from tests.http.drawn_pictures import COLOURS, SIDE, ingested, pack, png, shade, squares

COUNT = 24
LABELS = tuple(COLOURS)


def archive(target: str) -> bytes:
    """Pack a few pictures; of labels some have none."""
    draw: Callable[[int], Any] = squares if target == "labels" else shade
    drawn = {f"{seed:02}.png": draw(seed) for seed in range(COUNT)}
    if target == "labels":
        lines = ["file,label", *(f"{name},{'|'.join(shown)}" for name, (_, shown) in drawn.items())]
    else:
        lines = ["file,light,warmth", *(f"{name},{a:.6f},{b:.6f}" for name, (_, (a, b)) in drawn.items())]
    return pack("\n".join(lines), {name: png(picture) for name, (picture, _) in drawn.items()})


@pytest.fixture(scope="module")
def make(http: httpx.Client, wait_for: Callable[..., Any]) -> Callable[[str], str]:
    def dataset(target: str) -> str:
        found = ingested(http, archive(target), wait_for, target=target, image_size=str(SIDE))
        assert found["status"] == "ready", found
        return str(found["id"])

    return dataset


@pytest.fixture(scope="module")
def untouched(make: Callable[[str], str]) -> Callable[[str], str]:
    """Return a data set of a target of which nothing is corrected; made once."""
    return functools.cache(lambda target: "digits" if target == "class" else make(target))


def test_labels_are_corrected(http: httpx.Client, make: Callable[[str], str]) -> None:
    own = make("labels")
    before = http.get(f"/v1/datasets/{own}").json()
    number = next(n for n in range(COUNT) if told(http, own, n)["labels"] == ["green"])
    url = f"/v1/datasets/{own}/images/{number}"
    made = http.patch(url, json={"labels": ["red", "blue"]}).json()
    (picture,) = made["pictures"]
    assert (made["revision"], picture["labels"], picture["labels_before"]) == (1, ["blue", "red"], ["green"])
    assert (picture["label"], picture["values"]) == (None, None)
    now = told(http, own, number)
    assert (now["labels"], now["uploaded_labels"]) == (["blue", "red"], ["green"])
    assert http.get(url).headers["Image-Label"] == "blue|red"
    after = http.get(f"/v1/datasets/{own}").json()
    counts = {entry["name"]: entry["images"] for entry in before["classes"]}
    assert {entry["name"]: entry["images"] for entry in after["classes"]} == {
        "blue": counts["blue"] + 1,
        "green": counts["green"] - 1,
        "red": counts["red"] + 1,
    }
    assert after["splits"] == before["splits"]
    assert after["fingerprint"] != before["fingerprint"]
    statistics = http.get(f"/v1/datasets/{own}/statistics").json()
    assert {entry["name"]: entry["images"] for entry in statistics["classes"]} == {
        entry["name"]: entry["images"] for entry in after["classes"]
    }
    listed = http.get(f"/v1/datasets/{own}/images", params={"label": "red", "limit": 200}).json()["data"]
    assert (
        "has no label 'rde'"
        in http.get(f"/v1/datasets/{own}/images", params={"label": "rde"}).json()["detail"]
    )
    assert number in {entry["number"] for entry in listed}
    # another revision on top of it, and back to what was uploaded
    assert correct(http, own, {"number": number, "labels": []})["revision"] == 2
    assert told(http, own, number)["labels"] == []
    assert correct(http, own, {"number": number, "labels": []})["pictures"] == []
    assert correct(http, own, {"number": number, "labels": ["green"]})["revision"] == 3
    back = http.get(f"/v1/datasets/{own}").json()
    assert (back["fingerprint"], back["classes"]) == (before["fingerprint"], before["classes"])
    revisions = http.get(f"/v1/datasets/{own}/corrections").json()["data"]
    assert [entry["pictures"][0]["labels"] for entry in revisions] == [["green"], [], ["blue", "red"]]


def test_a_picture_without_labels_can_be_left_out(http: httpx.Client, make: Callable[[str], str]) -> None:
    own = make("labels")
    before = http.get(f"/v1/datasets/{own}").json()
    number = next(n for n in range(COUNT) if not told(http, own, n)["labels"])
    correct(http, own, {"number": number, "excluded": True})
    after = http.get(f"/v1/datasets/{own}").json()
    assert (after["excluded"], sum(after["splits"].values())) == (1, COUNT - 1)
    assert after["classes"] == before["classes"]


def test_values_are_corrected(http: httpx.Client, make: Callable[[str], str]) -> None:
    own = make("values")
    before = http.get(f"/v1/datasets/{own}").json()
    light, warmth = told(http, own, 5)["values"]
    refused = http.get(f"/v1/datasets/{own}/images", params={"label": "light"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["parameter"] == "label"
    made = correct(http, own, {"number": 5, "values": {"warmth": 7.5, "light": light}})
    (picture,) = made["pictures"]
    assert (picture["values"], picture["values_before"]) == ({"warmth": 7.5}, {"warmth": warmth})
    now = told(http, own, 5)
    assert (now["values"], now["uploaded_values"]) == ([light, 7.5], [light, warmth])
    assert http.get(f"/v1/datasets/{own}").json()["classes"] == before["classes"]
    statistics = http.get(f"/v1/datasets/{own}/statistics").json()
    assert statistics["values"][1]["all"]["max"] == 7.5
    greatest = statistics["values"][1]["greatest"][0]
    assert (greatest["number"], greatest["name"], greatest["value"]) == (5, "05.png", 7.5)
    assert statistics["values"][0]["least"][0]["value"] == statistics["values"][0]["all"]["min"]
    rows = http.get(f"/v1/datasets/{own}/samples", headers={"Accept": "application/json"}).json()["data"]
    assert [(row["name"], row["images"]) for row in rows] == [("light", COUNT), ("warmth", COUNT)]
    assert rows[1]["pictures"][-1]["number"] == 5
    correct(http, own, {"number": 5, "values": {"light": -1, "warmth": 0.1}})
    assert told(http, own, 5)["values"] == pytest.approx([-1, 0.1])
    correct(http, own, {"number": 5, "values": {"light": light, "warmth": warmth}})
    assert http.get(f"/v1/datasets/{own}").json()["fingerprint"] == before["fingerprint"]
    assert told(http, own, 5)["uploaded_values"] is None


@pytest.mark.slow
@pytest.mark.parametrize("target", ["labels", "values"])
def test_jobs_learn_what_is_corrected(
    http: httpx.Client, make: Callable[[str], str], finished: Callable[..., dict[str, Any]], target: str
) -> None:
    own = make(target)
    outputs, loss = (3, "binary_cross_entropy") if target == "labels" else (2, "mean_squared_error")
    layers = [{"type": "global_average_pool2d"}, {"type": "dense", "units": outputs}]
    body = {
        "architecture": {"input_shape": [SIDE, SIDE, 3], "layers": layers},
        "dataset": own,
        "epochs": 1,
        "optimizer": {"type": "sgd", "learning_rate": 0.1},  # the first step of Adam goes by signs alone
        "loss": {"type": loss},
    }

    def trained() -> tuple[int, np.ndarray]:
        job = finished(http, http.post("/v1/training-jobs", json=body).json()["id"])
        assert job["status"] == "succeeded", job
        weights = load(http.get(f"/v1/models/{job['model_id']}/weights").content)
        return job["dataset_revision"], np.concatenate([weights[name].ravel() for name in sorted(weights)])

    before = trained()
    assert trained()[1] == pytest.approx(before[1], abs=1e-6)
    numbers = [
        entry["number"]
        for entry in http.get(f"/v1/datasets/{own}/images", params={"split": "train"}).json()["data"]
    ]
    change = {"labels": ["red"]} if target == "labels" else {"values": {"light": 1}}
    correct(http, own, *({"number": number, **change} for number in numbers))
    after = trained()
    assert (before[0], after[0]) == (0, 1)
    assert np.abs(after[1] - before[1]).max() > 1e-4


@pytest.mark.parametrize(
    ("target", "change", "pointer", "hint"),
    [
        ("labels", {"label": "red"}, "/corrections/0/label", "`labels`"),
        ("labels", {"labels": ["red", "gren"]}, "/corrections/0/labels/1", "'green'"),
        ("labels", {"values": {"red": 1}}, "/corrections/0/values", "`labels`"),
        ("values", {"labels": []}, "/corrections/0/labels", "`values`"),
        ("values", {"values": {"warmht": 1}}, "/corrections/0/values/warmht", "'warmth'"),
        ("values", {"values": {"warmth": 1e39}}, "/corrections/0/values/warmth", ""),
        ("values", {"values": {}}, "/corrections/0/values", ""),
        ("class", {"labels": ["7"]}, "/corrections/0/labels", "`label`"),
    ],
)
def test_what_does_not_fit_is_refused(
    http: httpx.Client,
    untouched: Callable[[str], str],
    target: str,
    change: dict[str, Any],
    pointer: str,
    hint: str,
) -> None:
    answer = http.post(
        f"/v1/datasets/{untouched(target)}/corrections", json={"corrections": [{"number": 0, **change}]}
    )
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == pointer
    assert hint in fault.get("hint", "")


def test_the_client_corrects_them(server: str, make: Callable[[str], str]) -> None:
    labelled, measured = make("labels"), make("values")
    with Client(server) as client:
        made = client.datasets.correct_picture(labelled, 0, labels=LABELS)
        assert client.datasets.picture_details(labelled, 0).labels == LABELS
        assert [entry.labels for entry in made.pictures] in ([LABELS], [])
        made = client.datasets.correct_picture(measured, 0, values={"light": 3})
        assert made.pictures[0].values == {"light": 3}
        assert client.datasets.picture(measured, 0).values[0] == 3
