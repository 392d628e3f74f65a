"""Every error has one form, and names the place in the caller's own request and, where known, the cure."""

import base64
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from PIL import Image

SUMMARY = "/v1/architectures/summary"
JOBS = "/v1/training-jobs"
PREDICT = "/v1/models/model_example/predict"
JSON = {"Content-Type": "application/json"}

CONV = {"type": "conv2d", "filters": 4}
DENSE = {"type": "dense", "units": 10}


class Bad(NamedTuple):
    """A request that must be refused, and how."""

    name: str
    status: int
    code: str
    place: str | None
    """The JSON pointer or the parameter at fault."""
    hint: str | None
    """A part of the hint; None where there need not be one."""
    request: dict[str, Any]


def network(*layers: Any, shape: Any = (28, 28, 1)) -> dict[str, Any]:
    return {"input_shape": list(shape), "layers": list(layers)}


def summary(
    name: str, place: str, hint: str | None, *layers: Any, code: str = "invalid", shape: Any = (28, 28, 1)
) -> Bad:
    body = network(*layers, shape=shape)
    return Bad(name, 422, code, place, hint, {"method": "POST", "url": SUMMARY, "json": body})


def job(name: str, place: str, hint: str | None, code: str = "invalid", /, **changes: Any) -> Bad:
    body = {"architecture": {"preset": "lenet-5"}, "dataset": "digits", **changes}
    return Bad(name, 422, code, place, hint, {"method": "POST", "url": JOBS, "json": body})


def raw(name: str, status: int, code: str, place: str | None, hint: str | None, content: bytes) -> Bad:
    request = {"method": "POST", "url": SUMMARY, "content": content, "headers": JSON}
    return Bad(name, status, code, place, hint, request)


def upload(name: str, status: int, code: str, place: str | None, hint: str | None, content: bytes) -> Bad:
    request = {"method": "POST", "url": PREDICT, "files": [("files", ("picture.png", content))]}
    return Bad(name, status, code, place, hint, request)


def get(name: str, status: int, code: str, place: str | None, hint: str | None, url: str) -> Bad:
    return Bad(name, status, code, place, hint, {"method": "GET", "url": url})


def png() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "PNG")
    return buffer.getvalue()


def huge_png() -> bytes:
    """Return a picture that says it has 100 megapixels, and has the data of none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def of_layers() -> Iterator[Bad]:
    mismatch = "shape-mismatch"
    yield summary(
        "kernel larger than its input",
        "/layers/1/kernel_size",
        "smaller window",
        {"type": "max_pool2d", "pool_size": 4},
        CONV | {"kernel_size": 8},
        code=mismatch,
    )
    yield summary(
        "shapes that do not meet at an add",
        "/layers/2",
        "one shape",
        CONV | {"name": "left"},
        CONV | {"name": "right", "filters": 8},
        {"type": "add", "inputs": ["left", "right"]},
        code=mismatch,
    )
    yield summary(
        "shapes that do not meet in a residual block",
        "/layers/0/shortcut",
        "projection",
        {"type": "residual", "layers": [CONV | {"padding": "same"}], "shortcut": "identity"},
        code=mismatch,
    )
    yield summary("unknown layer type", "/layers/0/type", '"conv2d"', {"type": "conv2", "filters": 1})
    yield summary("a layer type in capitals", "/layers/0/type", '"conv2d"', {"type": "CONV2D", "filters": 1})
    yield summary(
        "an activation in capitals", "/layers/0/activation/type", '"relu"', CONV | {"activation": "Relu"}
    )
    yield summary("a layer that is a word", "/layers/0", 'write {"type": "conv2d"}', "conv2d")
    yield summary("padding in capitals", "/layers/0/padding", '"same"', CONV | {"padding": "Same"})
    yield summary("no layer type", "/layers/0/type", "add", {"filters": 1})
    yield summary("unknown key of a layer", "/layers/0/paddin", '"padding"', CONV | {"paddin": 1})
    yield summary("missing key of a layer", "/layers/0/filters", "filters", {"type": "conv2d"})
    yield summary("zero filters", "/layers/0/filters", "1 or more", {"type": "conv2d", "filters": 0})
    yield summary("negative units", "/layers/0/units", "1 or more", {"type": "dense", "units": -3})
    yield summary("zero in a size", "/layers/0/kernel_size/1", "1 or more", CONV | {"kernel_size": [3, 0]})
    yield summary("zero size", "/layers/0/kernel_size", None, CONV | {"kernel_size": 0})
    yield summary("negative padding", "/layers/0/padding", None, CONV | {"padding": -1})
    yield summary("half a filter", "/layers/0/filters", "whole number", {"type": "conv2d", "filters": 1.5})
    yield summary(
        "true for a number", "/layers/0/filters", "whole number", {"type": "conv2d", "filters": True}
    )
    yield summary("a number too large", "/layers/0/units", "or less", {"type": "dense", "units": 10**40})
    yield summary("zero in the input", "/input_shape/0", "1 or more", DENSE, shape=(0, 28, 1))
    yield summary("two sizes", "/input_shape/2", "one more", DENSE, shape=(28, 28))
    yield summary("no layers", "/layers", None)
    yield summary(
        "unknown input", "/layers/0/inputs/0", "input", CONV | {"inputs": ["nowhere"]}, code="invalid-graph"
    )
    yield summary(
        "a name that is taken",
        "/layers/1/name",
        "another",
        CONV | {"name": "one"},
        CONV | {"name": "one"},
        code="invalid-graph",
    )
    layers = [{"type": "flatten"}, {"type": "dense", "units": 2_000_000_000}]
    huge = {"name": "huge", "input_shape": [28, 28, 1], "layers": layers}
    request = {"method": "POST", "url": "/v1/architectures", "json": huge}
    yield Bad("too many parameters", 422, "limit-exceeded", "/layers/1", "fewer", request)
    nested = {"type": "residual", "layers": [CONV | {"paddin": 1}], "shortcut": [CONV | {"stide": 1}]}
    yield summary("a fault inside a block", "/layers/0/layers/0/paddin", '"padding"', nested)
    yield summary("a fault inside a shortcut", "/layers/0/shortcut/0/stide", '"stride"', nested)


def of_jobs() -> Iterator[Bad]:
    mismatch = "shape-mismatch"
    inline = network({"type": "flatten"}, {"type": "dense", "units": 7})
    yield job(
        "an output that does not fit the classes",
        "/architecture/layers",
        "10 units",
        mismatch,
        architecture=inline,
    )
    inline = network({"type": "flatten"}, DENSE, shape=(32, 32, 3))
    yield job(
        "an input that does not fit the pictures",
        "/architecture/input_shape",
        "[28, 28, 1]",
        mismatch,
        architecture=inline,
    )
    chosen = {"preset": "lenet-5", "classes": 7}
    yield job("a preset of other classes", "/architecture", "10 units", mismatch, architecture=chosen)
    chosen = {"preset": "lenet-5", "input_shape": [4, 4, 1]}
    yield job("a preset that is too deep", "/architecture", "smaller", mismatch, architecture=chosen)
    yield job(
        "stride 0", "/architecture/layers/0/stride", None, architecture=network(CONV | {"stride": 0}, DENSE)
    )
    yield job("a form of no architecture", "/architecture", None, architecture=5)
    yield job("an unknown preset", "/architecture/preset", "vgg-small", architecture={"preset": "x"})
    preset = {"preset": "lenet-5", "clases": 10}
    yield job("an unknown key of a preset", "/architecture/clases", '"classes"', architecture=preset)
    wider = {"from": "residual_9", "depth": 2}
    yield job("an unknown key beside one with a name of Python", "/train/depth", "from", train=wider)
    yield job("an unknown architecture", "/architecture", "GET", architecture="arch_nowhere")
    yield job("a preset named like an id", "/architecture", '{"preset": "lenet-5"}', architecture="lenet-5")
    yield job("an unknown data set", "/dataset", "GET /v1/datasets", dataset="ds_nowhere")
    yield job("zero epochs", "/epochs", "1 or more", epochs=0)
    yield job("an unknown optimizer", "/optimizer/type", '"adam"', optimizer={"type": "adm"})
    yield job(
        "a learning rate of 0",
        "/optimizer/learning_rate",
        "above",
        optimizer={"type": "adam", "learning_rate": 0},
    )
    yield job("an optimizer that is a word", "/optimizer", 'write {"type": "adam"}', optimizer="adm")
    yield job("a key of the optimizer", "/learning_rate", 'inside of "optimizer"', learning_rate=0.1)
    yield job("a key of the architecture", "/preset", 'inside of "architecture"', preset="lenet-5")
    yield job("an unknown key", "/epoch", '"epochs"', epoch=3)
    yield job("a name of two lines", "/name", None, name="a\nb")


def of_bodies() -> Iterator[Bad]:
    pointer = "/input_shape/2"
    yield raw("malformed JSON", 400, "malformed", None, None, b'{"input_shape": [28,')
    yield raw("NaN", 400, "malformed", None, None, b'{"input_shape": [28, 28, NaN]}')
    yield raw("Infinity", 400, "malformed", None, None, b'{"input_shape": [28, 28, -Infinity]}')
    yield raw("1e999", 422, "invalid", pointer, "1.8e308", b'{"input_shape": [28, 28, 1e999], "layers": []}')
    yield raw("a key twice", 400, "malformed", None, None, b'{"layers": [], "layers": []}')
    yield raw("not UTF-8", 400, "malformed", None, None, b'{"layers": "\xff"}')
    yield raw("half a character", 400, "malformed", None, None, b'{"\\ud800": 1}')
    yield raw("thousands of digits", 400, "malformed", None, None, b"[" + b"1" * 5000 + b"]")
    yield raw("nested too deep for Python", 422, "invalid", "", None, b"[" * 20_000 + b"]" * 20_000)
    yield raw("nested too deep for us", 422, "invalid", "", None, b"[" * 70 + b"]" * 70)
    yield raw("no body", 422, "invalid", "", "JSON", b"")
    yield raw("a list", 422, "invalid", "", "object", b"[]")
    yield raw("null", 422, "invalid", "", None, b"null")
    yield raw("a body beyond the limit", 413, "too-large", None, None, b" " * (1 << 21))
    yield raw("odd characters in a key", 422, "invalid", "/~0~1x", "keys here", b'{"layers": [], "~/x": 1}')
    for name, headers in (("text/plain", {"Content-Type": "text/plain"}), ("no media type", {})):
        request = {
            "method": "POST",
            "url": SUMMARY,
            "content": json.dumps(network(DENSE)),
            "headers": headers,
        }
        yield Bad(name, 415, "unsupported-media-type", "Content-Type", "application/json", request)


def of_pictures() -> Iterator[Bad]:
    unreadable = "unreadable-picture"
    yield upload("a file that is no picture", 422, unreadable, "files", None, b"no picture at all")
    yield upload("a truncated picture", 422, unreadable, "files", None, png()[:1500])
    yield upload("an empty upload", 422, unreadable, "files", None, b"")
    yield upload("100 megapixels", 413, "too-many-pixels", "files", None, huge_png())
    encoded = base64.b64encode(huge_png()).decode()
    for name, images, status, code, place, hint in (
        ("no pictures", [], 422, "invalid", "/images", None),
        ("not base64", ["###"], 422, "invalid", "/images/0", "base64"),
        ("the second is no picture", [encode(png()), encode(b"no")], 422, unreadable, "/images/1", None),
        ("100 megapixels in JSON", [encoded], 413, "too-many-pixels", "/images/0", None),
        ("a number for a picture", [3], 422, "invalid", "/images/0", "string"),
        ("too many pictures", ["AAAA"] * 257, 413, "too-large", "/images", "256"),
    ):
        yield Bad(
            name, status, code, place, hint, {"method": "POST", "url": PREDICT, "json": {"images": images}}
        )
    request: dict[str, Any] = {"method": "POST", "url": PREDICT, "data": {"file": "x"}, "files": {}}
    yield Bad("a form that is none", 415, "unsupported-media-type", "Content-Type", None, request)
    request = {"method": "POST", "url": PREDICT, "files": [("file", ("a.png", png()))]}
    yield Bad("another name of the part", 422, "invalid", "file", "files", request)
    url = "/v1/models/model_example/explain"
    request = {"method": "POST", "url": url, "json": {"images": [encode(png())]}}
    yield Bad("no method", 422, "invalid", "method", "?method=", request)
    url += "?method=integrated_gradients&baseline=grey"
    yield Bad("an unknown baseline", 422, "invalid", "baseline", "mean, black, white", request | {"url": url})
    url, form = "/v1/operations/convolve", {"kernel": "sobel_x", "channels": "grey"}
    request = {"method": "POST", "url": url, "data": form, "files": [("file", ("a.png", png()))]}
    yield Bad("channels in words", 422, "invalid", "channels", "the values here are 1 or 3", request)
    request = {"method": "POST", "url": f"{PREDICT}?top_k=0", "json": {"images": [encode(png())]}}
    yield Bad("top 0", 422, "invalid", "top_k", "1 or more", request)


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def of_addresses() -> Iterator[Bad]:
    missing = "not-found"
    for kind in ("training-jobs", "models", "architectures", "datasets"):
        yield get(f"a missing one of {kind}", 404, missing, None, None, f"/v1/{kind}/nowhere")
        request = {"method": "DELETE", "url": f"/v1/{kind}/nowhere"}
        yield Bad(f"delete a missing one of {kind}", 404, missing, None, None, request)
        yield get(f"a page after nothing of {kind}", 422, "invalid", "after", "again", f"/v1/{kind}?after=x")
        yield get(f"a page of nothing of {kind}", 422, "invalid", "limit", "1 or more", f"/v1/{kind}?limit=0")
    yield get("metrics of a missing job", 404, missing, None, None, f"{JOBS}/nowhere/metrics")
    yield get("log of a missing job", 404, missing, None, None, f"{JOBS}/nowhere/log")
    yield get("an unknown route", 404, missing, None, None, "/v3/nothing")
    yield get("a slash too many", 404, missing, None, None, "/v1/models/")
    yield get("an unknown status", 422, "invalid", "status", '"failed"', f"{JOBS}?status=faild")
    yield get("a query that is unknown", 422, "invalid", "top", "limit", "/v1/models?top=3")
    request = {"method": "POST", "url": f"{JOBS}/nowhere/cancel"}
    yield Bad("cancel a missing job", 404, missing, None, None, request)
    request = {"method": "POST", "url": "/v1/models/nowhere/predict", "json": {"images": [encode(png())]}}
    yield Bad("predict with a missing model", 404, missing, None, None, request)
    request = {"method": "PUT", "url": "/v1/models"}
    yield Bad("a method that is not there", 405, "method-not-allowed", None, None, request)
    request = {"method": "POST", "url": f"{JOBS}/job_example/cancel"}
    yield Bad("cancel what is finished", 409, "job-finished", None, None, request)
    for url in (f"{JOBS}/job_example", "/v1/models/model_example", "/v1/architectures/arch_example"):
        yield Bad(f"delete {url}", 409, "built-in", None, None, {"method": "DELETE", "url": url})


def of_files() -> Iterator[Bad]:
    """The same fault in a form and in JSON: each is named as it was sent."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(6):
            archive.writestr(f"eleven/{number}.png", png())
            archive.writestr(f"twelve/{number}.png", png())
    archived, encoded = packed.getvalue(), encode(packed.getvalue())
    add, datasets, batches = "/v1/datasets/digits/images", "/v1/datasets", "/v1/batch-predictions"
    for name, url, code, place, fields, document, field, content in (
        (
            "no such class",
            add,
            "unknown-class",
            "label",
            {"label": "x"},
            {"images": [encode(png())]},
            "files",
            png(),
        ),
        (
            "no such class in an archive",
            add,
            "unknown-class",
            "file",
            {},
            {"file": encoded},
            "file",
            archived,
        ),
        (
            "no values",
            datasets,
            "other-target",
            "target",
            {"target": "values"},
            {"file": encoded},
            "file",
            archived,
        ),
        ("no such model", batches, "invalid", "model", {"model": "x"}, {"file": encoded}, "file", archived),
    ):
        form = {"method": "POST", "url": url, "data": fields, "files": {field: ("a", content)}}
        yield Bad(f"{name}, in a form", 422, code, place, None, form)
        body = {"method": "POST", "url": url, "json": fields | document}
        yield Bad(f"{name}, in JSON", 422, code, f"/{place}", None, body)


CASES = [*of_layers(), *of_jobs(), *of_bodies(), *of_pictures(), *of_files(), *of_addresses()]


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_bad_requests_are_refused_in_one_form(http: httpx.Client, bad: Bad) -> None:
    answer = http.request(**bad.request)
    assert answer.status_code == bad.status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) <= {"type", "title", "status", "detail", "errors", "numbers"}
    assert problem["type"] == f"/problems/{bad.code}"
    assert problem["status"] == bad.status
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in answer.text
    for fault in problem.get("errors", []):
        assert set(fault) <= {"pointer", "parameter", "detail", "hint"}
        assert ("pointer" in fault) != ("parameter" in fault)
        assert fault["detail"]
    if bad.place is None:
        return
    faults = {fault.get("pointer", fault.get("parameter")): fault for fault in problem["errors"]}
    assert bad.place in faults, problem
    if bad.hint is not None:
        assert bad.hint in faults[bad.place]["hint"], problem


def test_every_fault_is_told_at_once(http: httpx.Client) -> None:
    body = network(CONV | {"paddin": 1}, {"type": "dense", "units": 0}, shape=(28, 28))
    problem = http.post(SUMMARY, json=body).json()
    assert [fault["pointer"] for fault in problem["errors"]] == [
        "/input_shape/2",
        "/layers/0/paddin",
        "/layers/1/units",
    ]
    assert "(and 2 more)" in problem["detail"]


def test_a_method_that_is_not_there_names_those_that_are(http: httpx.Client) -> None:
    assert http.put("/v1/catalog/layers").headers["allow"] == "GET, HEAD"


def test_a_refused_upload_gets_its_answer_although_it_was_not_read(http: httpx.Client) -> None:
    # Ten times what sockets hold: without reading on, the connection would be reset.
    for _ in range(5):
        answer = http.post(SUMMARY, content=b" " * (12 << 20), headers=JSON)
        assert answer.status_code == 413
        answer = http.post("/v1/nowhere", content=b" " * (12 << 20), headers=JSON)
        assert answer.status_code == 404


def test_a_body_of_unknown_length_is_bounded(http: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * (1 << 16)

    answer = http.post(SUMMARY, content=pieces(), headers=JSON)
    assert answer.status_code == 413
