"""The view Watch: how each layer of a run learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.web.test_watch import Open, region, watch


def test_how_each_layer_learns_is_drawn_and_told(
    server: str, open_page: Open, http: httpx.Client, finished: Callable[[httpx.Client, str], dict[str, Any]]
) -> None:
    hidden = [{"type": "dense", "units": 8, "activation": "sigmoid"}] * 10
    layers = [{"type": "flatten"}, *hidden, {"type": "dense", "units": 10}]
    body = {
        "architecture": {"input_shape": [28, 28, 1], "layers": layers},
        "dataset": "digits",
        "epochs": 1,
        "batch_size": 256,
    }
    job = http.post("/v1/training-jobs", json=body).json()["id"]
    finished(http, job)
    norms = http.get(f"/v1/training-jobs/{job}/norms").json()
    page = watch(open_page, server, f"?job={job}")
    learns = region(page, "How each layer learns")
    learns.get_by_text("How each layer learns").click()
    learns.get_by_role("img", name="Gradient of 11 layers after 1 epoch").wait_for()
    assert norms["vanishing"]
    learns.get_by_text(f"{', '.join(norms['vanishing'][:5])}").wait_for()
    table = region(page, "Lengths after the last epoch")
    told = [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
    assert [row[0] for row in told] == [node["name"] for node in norms["nodes"]]
    assert [row[0] for row in told if row[4] == "hardly learns"] == norms["vanishing"]
    for row, node in zip(told, norms["nodes"], strict=True):
        lengths = [node[name][-1] for name in ("gradient", "largest_gradient", "weight")]
        assert [float(text) for text in row[1:4]] == pytest.approx(lengths, rel=0.06)
    learns.get_by_role("combobox", name="Length of").select_option(label="Weights")
    learns.get_by_role("img", name="Weights of 11 layers after 1 epoch").wait_for()
