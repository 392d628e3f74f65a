"""HEAD is GET without a body; and each call says which forms of a body it takes, and takes those that it names."""

import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from PIL import Image

from app.web.answers.attachments import attachment

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
PREDICT = "/v1/models/model_example/predict"
JOB = "job_example"
IDS = {
    "architecture_id": "arch_example",
    "job_id": JOB,
    "model_id": "model_example",
    "dataset_id": "digits",
    "number": "3",
    "preset": "lenet-5",
}


def gets() -> list[str]:
    """List the paths of all calls that can be read and whose parameters there is something for."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    paths = []
    for path, item in document["paths"].items():
        for name, value in IDS.items():
            path = path.replace(f"{{{name}}}", value)
        if "get" in item and "{" not in path:
            paths.append(path)
    return ["/", *paths, "/docs", "/openapi.json", "/nothing/here"]


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("digits-1.safetensors", "digits-1.safetensors"),
        ("Größe \u65e5\u672c-2.safetensors", "Gr__e __-2.safetensors"),
        ("50%41.csv", "50_41.csv"),
    ],
)
def test_files_have_a_name_that_every_client_reads(name: str, plain: str) -> None:
    kind, quoted, extended = attachment(name)["Content-Disposition"].split("; ")
    assert kind == "attachment"
    assert quoted == f'filename="{plain}"'
    assert unquote(extended.removeprefix("filename*=UTF-8''")) == name


def test_every_file_is_offered_under_its_name(http: httpx.Client) -> None:
    offered = http.get("/v1/models/model_example/weights").headers["content-disposition"]
    assert 'filename="' in offered
    assert "filename*=UTF-8''" in offered


@pytest.mark.parametrize("path", gets())
def test_head_is_get_without_a_body(http: httpx.Client, path: str) -> None:
    with http.stream("GET", path) as got:
        # what happens to all jobs has no end
        if path != "/v1/events":
            got.read()
    head = http.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    # What a running server says differs from one moment to the next in its length.
    for name in ("content-type", "etag", "content-disposition", "location", "cache-control"):
        assert head.headers.get(name) == got.headers.get(name), name
    assert ("content-length" in head.headers) == ("content-length" in got.headers)
    if "weights" in path or path == "/livez":
        assert head.headers["content-length"] == str(len(got.content)) != "0"


def test_there_are_many_of_them() -> None:
    assert len(gets()) > 20


def test_the_events_of_a_job_that_goes_on_have_a_head(http: httpx.Client) -> None:
    layers = [{"type": "flatten"}, {"type": "dense", "units": 10}]
    body = {
        "architecture": {"input_shape": [28, 28, 1], "layers": layers},
        "dataset": "digits",
        "epochs": 100_000,
    }
    job = f"/v1/training-jobs/{http.post('/v1/training-jobs', json=body).json()['id']}"
    try:
        head = http.head(f"{job}/events")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"].startswith("text/event-stream")
        # The connection is free for what comes next.
        assert http.get("/livez").status_code == 200
    finally:
        http.post(f"{job}/cancel")


def test_head_of_what_can_only_be_posted_says_so(http: httpx.Client) -> None:
    answer = http.head(PREDICT)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert http.post("/livez").headers["allow"] == "GET, HEAD"


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), 7).save(buffer, "PNG")
    return buffer.getvalue()


def test_one_picture_can_be_the_body_whatever_it_is_called(http: httpx.Client) -> None:
    answers = [
        http.post(PREDICT, content=png(), headers={"Content-Type": kind})
        for kind in ("image/png", "application/octet-stream", "application/octet-stream; x=y")
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].json() == answers[1].json() == answers[2].json()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_the_hint_for_pictures_names_what_is_taken(http: httpx.Client, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = http.post(PREDICT, content=png(), headers=headers)
    assert answer.status_code == 415
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] == "Content-Type"
    for form in ("image/png", "application/octet-stream", "-F files=@", '"images"'):
        assert form in fault["hint"]


@pytest.mark.parametrize(
    ("path", "part"), [("/v1/datasets", "file"), ("/v1/datasets/digits/images", "files")]
)
def test_the_hint_for_files_names_the_part_of_this_call(http: httpx.Client, path: str, part: str) -> None:
    answer = http.post(path, content=b"PK", headers={"Content-Type": "application/zip"})
    assert answer.status_code == 415, answer.text
    assert f"-F {part}=@" in answer.json()["errors"][0]["hint"]


ENCODED: dict[str, tuple[str, dict[str, Any]]] = {
    "JSON": (
        "/v1/architectures/summary",
        {"content": b"{}", "headers": {"Content-Type": "application/json"}},
    ),
    "JSON that the route reads": (
        "/v1/datasets",
        {"content": b"{}", "headers": {"Content-Type": "application/json"}},
    ),
    "pictures in JSON": (PREDICT, {"content": b"{}", "headers": {"Content-Type": "application/json"}}),
    "a picture": (PREDICT, {"content": png(), "headers": {"Content-Type": "image/png"}}),
    "a form": (PREDICT, {"files": {"files": ("a.png", png())}}),
    "a file in a form": ("/v1/datasets", {"files": {"file": ("a.zip", b"PK\x03\x04")}}),
    "a model file": (
        "/v1/models/import?name=a",
        {"content": b"x", "headers": {"Content-Type": "application/octet-stream"}},
    ),
    "a batch": ("/v1/batch-predictions", {"files": {"file": ("a.zip", b"PK\x03\x04")}}),
}


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
@pytest.mark.parametrize("name", ENCODED)
def test_an_encoding_that_is_not_taken_is_named(http: httpx.Client, name: str, encoding: str) -> None:
    path, what = ENCODED[name]
    request = http.build_request("POST", path, **what)
    body = gzip.compress(request.read())
    headers = {"Content-Encoding": encoding, "Content-Type": request.headers["content-type"]}
    answer = http.post(path, content=body, headers=headers)
    assert answer.status_code == 415, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] == "Content-Encoding"
    assert encoding in fault["detail"]
    assert "without" in fault["hint"]


def test_no_encoding_at_all_can_be_said(http: httpx.Client) -> None:
    headers = {"Content-Encoding": "identity", "Content-Type": "image/png"}
    assert http.post(PREDICT, content=png(), headers=headers).status_code == 200


def test_a_parameter_that_takes_one_value_is_not_given_two(http: httpx.Client) -> None:
    answer = http.get("/v1/models/model_example/filters?node=conv2d_1&node=conv2d_2")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"] == [
        {"parameter": "node", "detail": "it is given 2 times", "hint": "give it once"}
    ]


@pytest.mark.parametrize("call", ["preprocess", "trace?node=conv2d_1&position=0,0,0&position=1,1,0"])
def test_calls_about_one_picture_say_which_is_too_much(http: httpx.Client, call: str) -> None:
    address = f"/v1/models/model_example/{call}"
    picture = http.get("/v1/datasets/digits/images/0").content
    assert http.post(address, content=picture, headers={"Content-Type": "image/png"}).status_code == 200
    coded = base64.b64encode(picture).decode()
    answer = http.post(address, json={"images": [coded, coded]})
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/images/1"
    answer = http.post(address, files=[("files", picture), ("files", picture)])
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] == "files"
    assert http.post(address, files={"other": b""}).status_code == 422
