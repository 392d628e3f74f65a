"""Lists are to choose from: what is large about a thing, or only of now, is in the answer about that thing alone."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image


@pytest.mark.parametrize(
    ("path", "identifier", "large"),
    [
        ("/v1/models", "model_example", {"architecture", "provenance", "computed_by"}),
        ("/v1/training-jobs", "job_example", {"architecture"}),
        ("/v1/architectures", "arch_example", {"layers", "summary"}),
    ],
)
def test_an_entry_is_the_thing_without_what_is_large(
    path: str, identifier: str, large: set[str], http: httpx.Client
) -> None:
    whole = http.get(f"{path}/{identifier}").json()
    listed = http.get(path, params={"limit": 200}).json()["data"]
    (entry,) = [entry for entry in listed if entry["id"] == identifier]
    assert large <= set(whole)
    assert entry == {name: value for name, value in whole.items() if name not in large}


def test_the_report_of_a_data_set_names_files_only_in_the_data_set_itself(
    http: httpx.Client, wait_for: Callable[..., Any]
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for shade in range(6):
            picture = io.BytesIO()
            Image.new("L", (4, 4), 40 * shade).save(picture, "PNG")
            archive.writestr(f"{shade % 2}/{shade}.png", picture.getvalue())
        archive.writestr("0/notes.txt", "no picture")
    answer = http.post("/v1/datasets", files={"file": ("a.zip", packed.getvalue())}, data={"image_size": "4"})

    def done() -> Any:
        found = http.get(answer.headers["Location"]).json()
        return found if found["status"] != "ingesting" else None

    whole = wait_for(done)
    assert whole["status"] == "ready", whole["error"]
    listed = http.get("/v1/datasets", params={"limit": 200}).json()["data"]
    (entry,) = [entry for entry in listed if entry["id"] == whole["id"]]
    assert [file["name"] for file in whole["report"].pop("files")] == ["0/notes.txt"]
    assert whole["report"]["skipped"] == 1
    assert entry == whole
