"""Names, versions and aliases of models over HTTP."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from engine.model.model_file import model_bytes, read_model

RAW = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def brought(http: httpx.Client) -> Callable[[str], dict[str, Any]]:
    """Import the built-in model under a name of one's own."""
    file = http.get("/v1/models/model_example/weights").content

    def bring(name: str) -> dict[str, Any]:
        answer = http.post("/v1/models/import", content=file, headers=RAW, params={"name": name})
        model: dict[str, Any] = answer.json()
        del model["import"]  # said once
        return model

    return bring


def test_a_model_can_be_described_and_renamed(
    http: httpx.Client, brought: Callable[[str], dict[str, Any]]
) -> None:
    brought("new name")
    model = brought("old name")
    address = f"/v1/models/{model['id']}"
    assert (model["description"], model["tags"]) == (None, [])
    changed = http.patch(address, json={"description": "reads digits", "tags": ["a", "b"]}).json()
    assert changed == model | {"description": "reads digits", "tags": ["a", "b"]}
    renamed = http.patch(address, json={"name": "new name", "description": None}).json()
    assert renamed == changed | {"name": "new name", "version": 2, "description": None}
    assert http.patch(address, json={}).json() == renamed == http.get("/v1/models/new name@2").json()
    assert http.get("/v1/models/old name@1").status_code == 404
    assert http.patch(address, json={"name": ""}).json()["errors"][0]["pointer"] == "/name"
    assert http.patch(address, json={"sha256": "0"}).status_code == 422
    assert http.patch("/v1/models/model_no", json={}).status_code == 404
    named = http.patch("/v1/models/new name@2", json={"tags": ["by name"]}).json()
    assert (named["id"], named["tags"]) == (model["id"], ["by name"])
    assert http.delete("/v1/models/new name@2").status_code == 204
    assert http.get(address).status_code == 404
    assert http.patch("/v1/models/model_example", json={"name": "mine"}).status_code == 409


def test_an_alias_stands_for_a_model_until_it_is_switched(
    http: httpx.Client, brought: Callable[[str], dict[str, Any]]
) -> None:
    first, second, other = brought("aliased"), brought("aliased"), brought("another")
    aliases = "/v1/models/aliased/aliases"
    picture = {"files": ("d.png", http.get("/v1/datasets/digits/images/0").content)}
    assert http.get(f"{aliases}/production").status_code == 404
    assert http.post("/v1/models/aliased@production/predict", files=picture).status_code == 404
    for model in (first, second):
        alias = http.put(f"{aliases}/production", json={"model_id": model["id"]}).json()
        assert alias["model_id"] == model["id"]
        assert http.get(f"{aliases}/production").json() == alias
        predicted = http.post("/v1/models/aliased@production/predict", files=picture).json()
        assert predicted["model_id"] == model["id"]
        assert http.get("/v1/models/aliased@production").json()["version"] == model["version"]
    http.put(f"{aliases}/candidate", json={"model_id": first["id"]})
    listed = http.get(aliases).json()["data"]
    assert [alias["alias"] for alias in listed] == ["candidate", "production"]
    for reference in (f"{first['name']}@{first['version']}", f"{first['name']}@candidate"):
        assert http.put(f"{aliases}/by-name", json={"model_id": reference}).json()["model_id"] == first["id"]
    for wrong in (other["id"], "model_no", f"{first['name']}@99"):
        fault = http.put(f"{aliases}/production", json={"model_id": wrong}).json()
        assert (fault["status"], fault["errors"][0]["pointer"]) == (422, "/model_id")
    assert http.put(f"{aliases}/2", json={"model_id": first["id"]}).status_code == 422


def test_what_an_alias_stands_for_stays(http: httpx.Client, brought: Callable[[str], dict[str, Any]]) -> None:
    model = brought("kept")
    address, alias = f"/v1/models/{model['id']}", "/v1/models/kept/aliases/production"
    http.put(alias, json={"model_id": model["id"]})
    for refused in (http.delete(address), http.patch(address, json={"name": "gone"})):
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/has-alias")
        assert "kept@production" in refused.json()["detail"]
    assert http.delete(alias).status_code == 204
    assert http.delete(alias).status_code == 404
    assert http.delete(address).status_code == 204


def test_a_switch_is_never_seen_half_done(
    http: httpx.Client,
    server: str,
    connect: Callable[..., httpx.Client],
    brought: Callable[[str], dict[str, Any]],
) -> None:
    ids = [brought("switched")["id"] for _ in range(2)]
    alias = "/v1/models/switched/aliases/live"
    http.put(alias, json={"model_id": ids[0]})
    over = threading.Event()
    seen = []

    def look() -> None:
        with connect(server) as client:
            while not over.is_set():
                seen.append(client.get("/v1/models/switched@live").json().get("id"))

    thread = threading.Thread(target=look)
    thread.start()
    for turn in range(40):
        assert http.put(alias, json={"model_id": ids[turn % 2]}).status_code == 200
    over.set()
    thread.join()
    assert set(seen) <= set(ids)
    assert seen


def test_an_alias_moves_to_other_classes_only_by_force(
    http: httpx.Client, brought: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    first = brought("interface")
    file = tmp_path / "model.safetensors"
    file.write_bytes(http.get("/v1/models/model_example/weights").content)
    model = read_model(file)
    turned = model_bytes(replace(model, classes=model.classes[::-1]))
    other = http.post("/v1/models/import", content=turned, headers=RAW, params={"name": "interface"}).json()
    alias = "/v1/models/interface/aliases/live"
    assert http.put(alias, json={"model_id": first["id"]}).status_code == 200
    refused = http.put(alias, json={"model_id": other["id"]})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/other-interface")
    assert refused.json()["errors"][0]["pointer"] == "/force"
    assert http.get("/v1/models/interface@live").json()["id"] == first["id"]
    moved = http.put(alias, json={"model_id": other["id"], "force": True})
    assert (moved.status_code, moved.json()["model_id"]) == (200, other["id"])


@pytest.mark.slow
def test_an_alias_outlives_the_server(
    start: Callable[..., ServerProcess], connect: Callable[..., httpx.Client]
) -> None:
    process = start()
    with process as url, connect(url) as http:
        file = http.get("/v1/models/lenet-5-digits@example/weights").content
        model = http.post("/v1/models/import", content=file, headers=RAW).json()
        del model["import"]
        for alias in ("example", "production"):
            http.put(f"/v1/models/{model['name']}/aliases/{alias}", json={"model_id": model["id"]})
    with process as url, connect(url) as http:
        for alias in ("example", "production"):
            found = http.get(f"/v1/models/{model['name']}@{alias}").json()
            # it may have been loaded in the meantime
            assert found | {"computed_by": None} == model | {"computed_by": None}
