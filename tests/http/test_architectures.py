"""Architectures and the catalog over HTTP."""

from typing import Any

import httpx
import pytest

URL = "/v1/architectures"
CATALOG = "/v1/catalog"


def lenet(http: httpx.Client) -> dict[str, Any]:
    presets = {entry["name"]: entry for entry in http.get(f"{CATALOG}/presets").json()["data"]}
    architecture: dict[str, Any] = presets["lenet-5"]["architecture"]
    return architecture


def test_the_summary_of_lenet_5(http: httpx.Client) -> None:
    summary = http.post(f"{URL}/summary", json=lenet(http)).json()
    assert summary["input_shape"] == [28, 28, 1]
    assert summary["output_shape"] == [10]
    assert summary["totals"]["parameters"] == summary["totals"]["trainable_parameters"] == 61_706
    first = summary["layers"][0]
    assert first["name"] == "conv2d_1"
    assert first["inputs"] == ["input"]
    assert first["output_shape"] == [28, 28, 6]
    assert first["formula"]["height"] == "floor((28 + 2*2 - 5)/1) + 1 = 28"
    assert first["parameters"] == 156
    assert first["multiply_adds"] == 117_600
    assert first["receptive_field"] == [5, 5]
    assert first["jump"] == [1, 1]
    assert first["dense_equivalent_parameters"] == 3_692_640
    assert first["connection_density"] == pytest.approx(0.0292, abs=1e-4)


def test_a_preset_and_a_stored_architecture_are_summed_up_as_written_out(http: httpx.Client) -> None:
    written = http.post(f"{URL}/summary", json=lenet(http)).json()
    assert http.post(f"{URL}/summary", json={"preset": "lenet-5"}).json() == written
    assert http.post(f"{URL}/summary", json="arch_example").json()["totals"] == written["totals"]
    fewer = http.post(f"{URL}/summary", json={"preset": "lenet-5", "classes": 3}).json()
    assert fewer["output_shape"] == [3]
    wrong = http.post(f"{URL}/summary", json={"preset": "lennet-5"})
    assert wrong.status_code == 422
    (fault,) = wrong.json()["errors"]
    assert (fault["pointer"], fault["hint"]) == ("/preset", "did you mean 'lenet-5'?")


def test_the_hints_of_a_summary_point_to_the_layer(http: httpx.Client) -> None:
    (hint,) = http.post(f"{URL}/summary", json=lenet(http)).json()["hints"]
    assert hint["code"] == "dense-majority"
    assert (hint["node"], hint["pointer"]) == ("dense_1", "/layers/5")
    assert "48,120 of 61,706" in hint["detail"]
    assert "global_average_pool2d" in hint["fix"]
    assert http.get(f"{URL}/arch_example").json()["summary"]["hints"] == [hint]


def test_the_memory_of_training_depends_on_the_batch(http: httpx.Client) -> None:
    totals = [
        http.post(f"{URL}/summary", json=lenet(http), params=params).json()["totals"]
        for params in ({}, {"batch_size": 64}, {"batch_size": 128})
    ]
    assert totals[0] == totals[1]
    assert totals[2]["training_bytes"] > totals[1]["training_bytes"]


def test_the_way_of_an_architecture(http: httpx.Client) -> None:
    posted = {
        "name": "mine",
        "input_shape": [8, 8, 3],
        "layers": [{"type": "flatten"}, {"type": "dense", "units": 2}],
    }
    answer = http.post(URL, json=posted)
    assert answer.status_code == 201
    created = answer.json()
    assert answer.headers["location"] == f"{URL}/{created['id']}"
    assert created["id"].startswith("arch_")
    assert created["name"] == "mine"
    assert created["format_version"] == 1
    assert created["builtin"] is False
    assert created["layers"][1]["type"] == "dense"
    assert len(created["layers"][1]) > len(posted["layers"][1]), "defaults are written out"
    assert created["summary"]["totals"]["parameters"] == 8 * 8 * 3 * 2 + 2
    assert http.get(f"{URL}/{created['id']}").json() == created
    listed = http.get(URL, params={"limit": 200}).json()["data"]
    assert {name: created[name] for name in created if name not in ("summary", "layers")} in listed
    # What is shown can be posted again.
    again = {name: created[name] for name in ("input_shape", "layers", "format_version")}
    assert http.post(f"{URL}/summary", json=again).json() == created["summary"]
    assert http.delete(f"{URL}/{created['id']}").status_code == 204
    assert http.get(f"{URL}/{created['id']}").status_code == 404


def test_every_preset_can_be_posted_and_described(http: httpx.Client) -> None:
    entries = http.get(f"{CATALOG}/presets").json()["data"]
    assert {"lenet-5", "vgg-small"} <= {entry["name"] for entry in entries}
    for entry in entries:
        summary = http.post(f"{URL}/summary", json=entry["architecture"]).json()
        assert summary["input_shape"] == entry["input_shape"]
        assert summary["output_shape"] == [entry["classes"]]
        assert entry["title"]
        assert entry["source"]


def test_every_layer_of_the_catalog_can_be_posted(http: httpx.Client) -> None:
    entries = http.get(f"{CATALOG}/layers").json()["data"]
    assert {"conv2d", "max_pool2d", "dense", "residual"} <= {entry["name"] for entry in entries}
    for entry in entries:
        assert entry["title"]
        assert entry["example"]["type"] == entry["name"]
        assert "type" not in entry["hyperparameters"]["properties"]
        shapes = entry["example_input_shapes"]
        if len(shapes) == 1 and len(shapes[0]) == 3:
            body = {"input_shape": shapes[0], "layers": [entry["example"]]}
            answer = http.post(f"{URL}/summary", json=body)
            assert answer.status_code == 200, (entry["name"], answer.text)


@pytest.mark.parametrize("kind", ["optimizers", "schedules", "losses", "augmentations", "initializers"])
def test_every_rule_of_the_catalog_is_described(http: httpx.Client, kind: str) -> None:
    entries = http.get(f"{CATALOG}/{kind}").json()["data"]
    assert entries
    for entry in entries:
        assert entry["title"]
        assert entry["formula"]
        assert entry["source"]
        assert entry["example"]["type"] == entry["name"]
