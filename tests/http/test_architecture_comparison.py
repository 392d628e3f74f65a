"""Two architectures compared over HTTP."""

from typing import Any

import httpx
import pytest

URL = "/v1/architectures"
SMALL = {"input_shape": [8, 8, 3], "layers": [{"type": "flatten"}, {"type": "dense", "units": 2}]}


def compare(http: httpx.Client, *architectures: Any) -> httpx.Response:
    return http.post(f"{URL}/compare", json={"architectures": list(architectures)})


def test_a_preset_beside_a_stored_one_and_one_written_out(http: httpx.Client) -> None:
    answer = compare(http, "arch_example", {"preset": "lenet-5", "classes": 26})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    names = [each["name"] for each in found["architectures"]]
    assert names[1] == "lenet-5"
    assert [each["output_shape"] for each in found["architectures"]] == [[10], [26]]
    summary = http.get(f"{URL}/arch_example").json()["summary"]
    assert found["architectures"][0]["totals"] == summary["totals"]
    assert found["differences"]["parameters"] == {
        "values": [61_706, 61_706 + 16 * 85],
        "difference": 16 * 85,
        "ratio": pytest.approx((61_706 + 16 * 85) / 61_706),
    }
    (last,) = found["layers"]
    assert (last["change"], last["names"]) == ("changed", ["dense_3", "dense_3"])
    assert last["values"]["units"] == [10, 26]
    assert found["unchanged"] == len(summary["layers"]) - 1
    written = compare(http, SMALL, SMALL).json()
    assert (written["layers"], written["unchanged"]) == ([], 2)
    assert [each["name"] for each in written["architectures"]] == ["network", "network"]


@pytest.mark.parametrize(
    ("wrong", "pointer", "words"),
    [
        ({"preset": "lenet-6"}, "/architectures/1/preset", "there is no preset 'lenet-6'"),
        ("arch_gone", "/architectures/1", "arch_gone"),
        ("lenet-5", "/architectures/1", 'write {"preset": "lenet-5"}'),
        (7, "/architectures/1", 'such as {"preset": "lenet-5"}'),
        (SMALL | {"layers": [{"type": "dense", "units": 2}]}, "/architectures/1/layers/0", "takes a vector"),
        (SMALL | {"layers": [{"type": "flat"}]}, "/architectures/1/layers/0/type", "there is no type"),
        ({"preset": "vgg-16", "input_shape": [8, 8, 3]}, "/architectures/1", "vgg-16: layers["),
    ],
)
def test_a_fault_is_pointed_to(http: httpx.Client, wrong: Any, pointer: str, words: str) -> None:
    answer = compare(http, SMALL, wrong)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert words in answer.text.replace('\\"', '"')


@pytest.mark.parametrize("count", [1, 3])
def test_two_are_compared(http: httpx.Client, count: int) -> None:
    answer = compare(http, *[SMALL] * count)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/architectures")
