"""The OpenAPI document keeps its promise: what it shows succeeds as it stands, on a fresh server."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from app.api.common import Problem

# They need something of the caller's own: to delete, to cancel, or to look at when nothing of the kind is built in.
EXEMPT = {
    ("delete", "/v1/architectures/{architecture_id}"),
    ("delete", "/v1/datasets/{dataset_id}"),
    ("delete", "/v1/batch-predictions/{batch_id}"),
    ("get", "/v1/batch-predictions/{batch_id}"),
    ("get", "/v1/batch-predictions/{batch_id}/log"),
    ("get", "/v1/batch-predictions/{batch_id}/events"),
    ("get", "/v1/evaluations/{evaluation_id}/events"),
    ("get", "/v1/batch-predictions/{batch_id}/result"),
    ("post", "/v1/batch-predictions/{batch_id}/cancel"),
    ("delete", "/v1/evaluations/{evaluation_id}"),
    ("get", "/v1/datasets/{dataset_id}/additions/{addition_id}"),
    ("get", "/v1/evaluations/{evaluation_id}"),
    ("get", "/v1/evaluations/{evaluation_id}/confusion-matrix"),
    ("get", "/v1/evaluations/{evaluation_id}/log"),
    ("get", "/v1/evaluations/{evaluation_id}/mistakes"),
    ("get", "/v1/evaluations/{evaluation_id}/predictions"),
    ("post", "/v1/evaluations/{evaluation_id}/cancel"),
    ("post", "/v1/evaluations/compare"),
    ("delete", "/v1/models/{model_id}"),
    ("delete", "/v1/models/{model_name}/aliases/{alias}"),
    ("delete", "/v1/training-jobs/{job_id}"),
    # of servers that have a key: see test_keys.py
    ("post", "/v1/keys"),
    ("get", "/v1/keys/{key}"),
    ("delete", "/v1/keys/{key}"),
    ("post", "/v1/datasets/{dataset_id}/cancel"),
    ("post", "/v1/training-jobs/{job_id}/cancel"),
}


class Call(NamedTuple):
    """A request as the page would send it."""

    method: str
    path: str
    example: str
    url: str
    query: dict[str, Any]
    content_type: str | None
    body: Any


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    answer = http.get("/openapi.json")
    assert answer.status_code == 200
    loaded: dict[str, Any] = answer.json()
    return loaded


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def shown(parameter: dict[str, Any]) -> list[Any]:
    """Return the values that the page offers for a parameter or a body."""
    if "examples" in parameter:
        return [example["value"] for example in parameter["examples"].values()]
    return [parameter["example"]] if "example" in parameter else []


def calls(document: dict[str, Any]) -> Iterator[Call]:
    for method, path, operation in operations(document):
        if (method, path) in EXEMPT:
            continue
        url, query = path, {}
        for parameter in operation.get("parameters", []):
            values = shown(parameter)
            if parameter["in"] == "path":
                assert values, f"{method} {path}: the path parameter {parameter['name']} has no example"
                url = url.replace("{" + parameter["name"] + "}", str(values[0]))
            elif values:
                query[parameter["name"]] = values[0]
        content = operation.get("requestBody", {}).get("content", {})
        if not content:
            yield Call(method, path, "", url, query, None, None)
            continue
        # The page fills in the first media type; a form with files only a person can fill in.
        content_type, media = next(iter(content.items()))
        assert media.get("examples"), f"{method} {path}: the body has no example"
        for name, example in media["examples"].items():
            yield Call(method, path, name, url, query, content_type, example["value"])


def test_every_example_succeeds(http: httpx.Client, document: dict[str, Any]) -> None:
    done = []
    for call in calls(document):
        answer = http.request(
            call.method,
            call.url,
            params=call.query,
            json=call.body,
            headers={"Content-Type": call.content_type} if call.content_type else None,
        )
        told = f"{call.method} {call.path} ({call.example}): {answer.status_code} {answer.text[:500]}"
        operation = document["paths"][call.path][call.method]
        promised = {status for status in operation["responses"] if status.startswith("2")}
        assert str(answer.status_code) in promised, told
        media = operation["responses"][str(answer.status_code)].get("content", {})
        received = answer.headers.get("content-type", "").partition(";")[0]
        assert received in media if media else not answer.content, told
        done.append((call.method, call.path))
        if call.path == "/v1/training-jobs" and call.method == "post":
            # It was accepted, which is all that matters here; others wait for the processor.
            assert http.post(f"{answer.headers['location']}/cancel").status_code == 202
    assert set(done) | EXEMPT == {(method, path) for method, path, _ in operations(document)}


def test_every_call_is_described(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for method, path, operation in operations(document):
        told = f"{method} {path}"
        assert operation.get("summary"), told
        assert operation.get("description"), told
        assert set(operation["tags"]) <= tags, told
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), f"{told}: {parameter['name']}"
        for status, response in operation["responses"].items():
            if status < "4":
                assert response["description"], told
            else:
                assert list(response) == ["$ref"], told
        if path not in ("/livez", "/readyz"):
            assert "default" in operation["responses"], told
        if "{" in path:
            assert "404" in operation["responses"], told
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= set(operation["responses"]), told


def test_errors_are_described_once_each_with_an_example_of_its_own(document: dict[str, Any]) -> None:
    shared = document["components"]["responses"]
    examples = []
    for response in shared.values():
        assert response["description"]
        (media,) = response["content"].values()
        examples += [media["example"]] if "example" in media else shown(media)
    for example in examples:
        Problem.model_validate(example)
    assert len({example["type"] for example in examples}) == len(examples)
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if "$ref" in response and status != "default":
                (media,) = shared[response["$ref"].rpartition("/")[2]]["content"].values()
                assert media["example"]["status"] == int(status)


@pytest.mark.parametrize(
    ("name", "method", "path", "content_type", "body"),
    [
        ("Malformed", "POST", "/v1/training-jobs", "application/json", '{"architecture": '),
        ("NotFound", "GET", "/v1/models/model_1", None, ""),
        ("Conflict", "DELETE", "/v1/models/model_example", None, ""),
        ("TooLarge", "POST", "/v1/architectures", "application/json", " " * ((1 << 20) + 1)),
        ("UnsupportedMediaType", "POST", "/v1/training-jobs", "text/plain", "word"),
        (
            "Invalid",
            "POST",
            "/v1/architectures/summary",
            "application/json",
            '{"input_shape": [4, 4, 1], "layers": [{"type": "conv2d", "filters": 2, "kernel_size": 7}]}',
        ),
    ],
)
def test_the_examples_of_errors_are_what_the_server_answers(
    http: httpx.Client,
    document: dict[str, Any],
    name: str,
    method: str,
    path: str,
    content_type: str | None,
    body: str,
) -> None:
    headers = {"Content-Type": content_type} if content_type else None
    answer = http.request(method, path, content=body, headers=headers)
    (media,) = document["components"]["responses"][name]["content"].values()
    assert answer.json() == media["example"]


def test_the_document_is_small_and_layers_are_short(document: dict[str, Any], http: httpx.Client) -> None:
    schemas = document["components"]["schemas"]
    assert "/v1/catalog/layers" in schemas["NestedLayer"]["description"]
    assert "Conv2D" not in schemas
    assert not [name for name in schemas if "__" in name]
    assert len(http.get("/openapi.json").content) < 700_000


def test_the_document_is_sent_once(http: httpx.Client) -> None:
    first = http.get("/openapi.json")
    again = http.get("/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["etag"] == first.headers["etag"]
    assert not again.content


def test_pictures_are_offered_as_what_the_page_can_show(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for response in operation["responses"].values():
            offered = list(response.get("content", {}))
            if "image/svg+xml" in offered:
                assert offered[0] in ("image/png", "application/json"), f"{method} {path}"


def test_operation_ids_are_unique_and_references_resolve(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            yield from itertools.chain.from_iterable(references(member) for member in value.values())
        elif isinstance(value, list):
            yield from itertools.chain.from_iterable(references(member) for member in value)

    for reference in set(references(document)):
        here: Any = document
        for key in reference.removeprefix("#/").split("/"):
            assert key in here, reference
            here = here[key]


def test_the_example_digit_is_recognised(http: httpx.Client, document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/models/{model_id}/predict"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["examples"]["a digit"]["value"]
    answer = http.post("/v1/models/model_example/predict", json=example).json()
    assert answer["data"][0]["label"] == "3"


def test_the_key_is_documented(document: dict[str, Any]) -> None:
    assert {scheme["scheme"] for scheme in document["components"]["securitySchemes"].values()} == {
        "basic",
        "bearer",
    }
    assert document["paths"]["/livez"]["get"]["security"] == [{}]


def test_media_types_of_bodies_begin_with_one_that_can_be_executed(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        if content:
            assert next(iter(content)) == "application/json", f"{method} {path}"
