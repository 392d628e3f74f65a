"""Idempotency keys of calls that bring files: the file counts as much as the fields."""

import base64
import http.client
import io
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from zipfile import ZipFile

import httpx
import pytest
from PIL import Image

from app.cli.launch import ServerProcess

KEY = "Idempotency-Key"
RAW = {"Content-Type": "application/octet-stream"}

Connect = Callable[..., httpx.Client]


def example(http: httpx.Client, path: str) -> dict[str, Any]:
    """Return the first example of a body, with its file as bytes."""
    content = http.get("/openapi.json").json()["paths"][path]["post"]["requestBody"]["content"]
    value: dict[str, Any] = next(iter(content["application/json"]["examples"].values()))["value"]
    return value | {"file": base64.b64decode(value["file"])} if "file" in value else value


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (9, 9), shade).save(buffer, "PNG")
    return buffer.getvalue()


class Upload(NamedTuple):
    """A call in a form: where, its fields and files; other files; and the list that it makes longer."""

    path: str
    fields: dict[str, str]
    files: dict[str, tuple[str, bytes]]
    others: dict[str, tuple[str, bytes]]
    listed: str


@pytest.fixture(scope="module")
def dataset(http: httpx.Client, ready: Callable[..., Any]) -> str:
    """A data set that pictures can be added to."""
    body = example(http, "/v1/datasets")
    files = {"file": ("shades.zip", body.pop("file"))}
    made = http.post("/v1/datasets", data={"image_size": "8", "channels": "1"}, files=files).json()["id"]
    ready(http, made)
    return str(made)


@pytest.fixture(params=["data set", "pictures", "model", "batch"])
def upload(request: pytest.FixtureRequest, http: httpx.Client) -> Upload:
    archive = example(http, "/v1/datasets")["file"]
    with ZipFile(io.BytesIO(archive)) as packed:
        label = packed.namelist()[0].partition("/")[0]
    longer = io.BytesIO(archive)
    with ZipFile(longer, "a") as packed:
        packed.writestr(f"{label}/more.png", picture(77))
    model = http.get("/v1/models/model_example/weights").content
    small = example(http, "/v1/models/import")["file"]
    batch = example(http, "/v1/batch-predictions")["file"]
    match request.param:
        case "data set":
            zips = {"file": ("a.zip", archive)}, {"file": ("a.zip", longer.getvalue())}
            return Upload("/v1/datasets", {"image_size": "8", "channels": "1"}, *zips, "/v1/datasets")
        case "pictures":
            place = f"/v1/datasets/{request.getfixturevalue('dataset')}"
            pictures = {"files": ("a.png", picture(10))}, {"files": ("a.png", picture(11))}
            return Upload(f"{place}/images", {"label": label}, *pictures, f"{place}/additions")
        case "model":
            models = {"file": ("a", small)}, {"file": ("a", model)}
            return Upload("/v1/models/import", {"name": "twice"}, *models, "/v1/models")
        case _:
            archives = {"file": ("a.zip", batch)}, {"file": ("a.zip", archive)}
            path = "/v1/batch-predictions"
            return Upload(path, {"model": "model_example"}, *archives, path)


@pytest.mark.slow
def test_a_form_that_is_sent_again_creates_nothing_again(http: httpx.Client, upload: Upload) -> None:
    def send(files: dict[str, tuple[str, bytes]], **more: str) -> httpx.Response:
        fields = upload.fields | more
        return http.post(
            upload.path, data=fields, files=files, headers={KEY: f"form {upload.path}".replace(" ", "-")}
        )

    def known() -> set[str]:
        return {entry["id"] for entry in http.get(upload.listed, params={"limit": 200}).json()["data"]}

    before = known()
    first, again = send(upload.files), send(upload.files)
    assert first.status_code in (201, 202), first.text
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert again.headers.get("retry-after") == first.headers.get("retry-after")
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert known() - before == {first.json()["id"]}

    name = "label" if "label" in upload.fields else next(iter(upload.fields))
    for other in (send(upload.others), send(upload.files, **{name: "3"})):
        assert other.status_code == 422, other.text
        assert other.json()["type"] == "/problems/idempotency-key-reused"
        assert [fault["parameter"] for fault in other.json()["errors"]] == [KEY]
    assert known() - before == {first.json()["id"]}


def test_a_model_as_the_body_itself(http: httpx.Client) -> None:
    def send(content: bytes, name: str, key: str = "raw") -> httpx.Response:
        headers = {**RAW, KEY: key}
        return http.post("/v1/models/import", params={"name": name}, content=content, headers=headers)

    small = example(http, "/v1/models/import")["file"]
    first, again = send(small, "raw"), send(small, "raw")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert send(small, "renamed").status_code == 422
    assert send(small[:-1] + b"\0", "raw").json()["type"] == "/problems/idempotency-key-reused"
    assert send(b"no model", "raw", "free").status_code == 422
    assert send(small, "raw", "free").json()["version"] == first.json()["version"] + 1


@pytest.mark.slow
def test_while_an_upload_is_under_way_its_key_is_taken(
    start: Callable[..., ServerProcess], connect: Connect, wait_for: Callable[..., Any]
) -> None:
    service = start()
    url = service.start()
    folder = service.data_dir / "uploads"
    with connect(url) as own:
        content = example(own, "/v1/models/import")["file"]
        large = b"-" * (3 << 20)
        slow = http.client.HTTPConnection(urlsplit(url).netloc, timeout=300)
        slow.putrequest("POST", "/v1/models/import")
        for name, value in {**RAW, KEY: "slow", "Content-Length": str(len(large))}.items():
            slow.putheader(name, value)
        slow.endheaders(large[: 2 << 20])
        wait_for(lambda: folder.is_dir() and list(folder.iterdir()), "the first part of the upload")
        refused = own.post("/v1/models/import", content=content, headers={**RAW, KEY: "slow"})
        assert refused.status_code == 409
        assert refused.json()["type"] == "/problems/idempotency-key-in-use"
        slow.send(large[2 << 20 :])
        assert slow.getresponse().status == 422
        slow.close()
        # It has created nothing, and so its key is free.
        answers = [own.post("/v1/models/import", content=content, headers={**RAW, KEY: "slow"}) for _ in "12"]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].json() == answers[1].json()
        assert list(folder.iterdir()) == []
    service.stop()
