"""Models with an alias are loaded after the start, the one used last first, as far as there is room."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess

RAW = {"Content-Type": "application/octet-stream"}

Start = Callable[..., ServerProcess]
Connect = Callable[..., httpx.Client]
WaitFor = Callable[..., Any]


def logged(log: Path, event: str) -> list[dict[str, Any]]:
    lines = log.read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    return [line for line in found if line["event"] == event]


@pytest.mark.slow
@pytest.mark.local
def test_models_with_an_alias_are_loaded_after_the_start(
    start: Start, connect: Connect, wait_for: WaitFor, tmp_path: Path
) -> None:
    log = tmp_path / "data.log"

    def loaded_ahead(times: int) -> dict[str, Any]:
        lines = wait_for(lambda: logged(log, "models_loaded_ahead")[times:], "models loaded ahead")
        return dict(lines[0])

    with start() as url, connect(url) as http:
        picture = http.get("/v1/datasets/digits/images/0").content
        file = http.get("/v1/models/model_example/weights").content
        ids = {}
        for name in ("first", "second", "third", "unnamed"):
            made = http.post("/v1/models/import", content=file, headers=RAW, params={"name": name}).json()
            ids[name] = made["id"]
            if name != "unnamed":
                http.put(f"/v1/models/{name}/aliases/live", json={"model_id": made["id"]}).raise_for_status()
        # what an alias is new for comes first of those that were never used
        for name in ("unnamed", "second"):
            http.post(f"/v1/models/{ids[name]}/predict", files={"files": picture}).raise_for_status()
    assert not logged(log, "models_loaded_ahead")  # there were none at the start

    with start() as url, connect(url) as http:
        ahead = loaded_ahead(0)
        assert ahead["models"] == [ids["second"], ids["third"], ids["first"]]
        assert ahead["of"] == 3
        http.post(f"/v1/models/{ids['first']}/predict", files={"files": picture}).raise_for_status()

    (tmp_path / "data" / "models" / f"{ids['second']}.safetensors").write_bytes(file[: len(file) // 2])
    with start() as url, connect(url) as http:
        assert loaded_ahead(1)["models"] == [ids["first"], ids["third"]]
        assert [line["id"] for line in logged(log, "model_cannot_be_loaded")] == [ids["second"]]
        assert http.get("/readyz").status_code == 200
        assert http.post("/v1/models/third@live/predict", files={"files": picture}).status_code == 200

    # room for one of them and no more
    with start(MODELS_BYTES=str(ahead["bytes"] // 3 * 3 // 2)) as url, connect(url) as http:
        assert loaded_ahead(2)["models"] == [ids["third"]]
        for name in ("first", "third"):
            assert http.post(f"/v1/models/{name}@live/predict", files={"files": picture}).status_code == 200
