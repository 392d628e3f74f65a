"""A file that is lost from the disk is said to be, where it is asked for."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.files import paths
from tests.http.colour_models import colour_model, imported
from tests.pictures.hostile_pictures import saved


@pytest.mark.local
def test_a_lost_file_is_a_conflict(start: Callable[..., ServerProcess], wait_for: Callable[..., Any]) -> None:
    server = start()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("1.png", saved("PNG", (16, 16)))
    with httpx.Client(base_url=server.start(), timeout=60) as http:
        model = imported(http, colour_model())
        made = http.post(
            "/v1/batch-predictions", data={"model": model}, files={"file": ("x.zip", packed.getvalue())}
        )
        address = made.headers["location"]
        wait_for(lambda: http.get(address).json()["status"] == "succeeded", "the table")
        downloads = {
            f"{address}/result": paths.predictions(made.json()["id"]),
            f"/v1/models/{model}/weights": paths.model(model),
        }
        for download, name in downloads.items():
            assert http.get(download).status_code == 200
            (server.data_dir / name).unlink()
            answer = http.get(download)
            assert answer.status_code == 409, answer.text
            assert "is missing" in answer.json()["detail"]
