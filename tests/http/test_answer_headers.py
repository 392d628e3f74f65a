"""What browsers may do with answers: nothing is guessed at, run or framed, and what is no picture is saved."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from app.web.answers.attachments import attachment
from tests.http.test_openapi_examples import Call, calls, operations, shown

SHOWN = {"image/png", "image/svg+xml"}
READ = {"application/json", "text/event-stream", "application/openmetrics-text"}
SAVED = {"application/octet-stream", "application/x-npz", "text/csv", "text/plain"}
QUIET = "default-src 'none'"
INERT = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    loaded: dict[str, Any] = http.get("/openapi.json").json()
    return loaded


def check(answer: httpx.Response) -> None:
    """Look at the headers of an answer by its media type."""
    kind = answer.headers["content-type"].partition(";")[0]
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy, disposition = (
        answer.headers["content-security-policy"],
        answer.headers.get("content-disposition", ""),
    )
    assert "frame-ancestors 'none'" in policy
    assert policy.startswith(QUIET)
    if kind in READ or not answer.request.url.path.startswith("/v1/"):
        assert not disposition
    else:
        assert policy == INERT
        assert disposition.startswith('inline; filename="' if kind in SHOWN else 'attachment; filename="'), (
            kind
        )


def forms(document: dict[str, Any]) -> list[tuple[Call, str]]:
    """List calls that can be made as they are shown, each with every form of its answer but events."""
    found = {}
    for call in calls(document):
        responses = document["paths"][call.path][call.method]["responses"]
        kinds = {
            kind for status in responses if status < "3" for kind in responses[status].get("content", ())
        }
        # what is started by POST is started once, elsewhere
        if call.method == "get" or len(kinds) > 1:
            found |= {(call.method, call.path, kind): (call, kind) for kind in kinds - {"text/event-stream"}}
    return list(found.values())


def test_every_form_of_every_answer_is_inert(http: httpx.Client, document: dict[str, Any]) -> None:
    seen = set()
    for call, kind in forms(document):
        headers = {"Accept": kind} | ({"Content-Type": call.content_type} if call.content_type else {})
        answer = http.request(call.method, call.url, params=call.query, json=call.body, headers=headers)
        received = answer.headers["content-type"].partition(";")[0]
        if answer.status_code == 200 and received == kind:
            seen.add(kind)
        check(answer)
    assert seen == (SHOWN | SAVED | READ) - {"text/event-stream", "text/csv"}


def test_every_form_that_there_is_has_a_rule(document: dict[str, Any]) -> None:
    kinds = {
        kind
        for _, _, operation in operations(document)
        for response in operation["responses"].values()
        for kind in response.get("content", {})
    }
    assert kinds == SHOWN | SAVED | READ


def test_problems_and_events_are_read_and_not_saved(http: httpx.Client) -> None:
    answer = http.get("/v1/models/nothing")
    assert "content-disposition" not in answer.headers
    assert answer.headers["content-security-policy"].startswith(QUIET)
    with http.stream("GET", "/v1/events") as events:
        check(events)


@pytest.mark.parametrize(
    ("name", "plain", "whole"),
    [
        (".bashrc", "_bashrc", "_bashrc"),
        ("..", "_.", "_."),
        ("a/../b", "a_.._b", "a_.._b"),
        ("line\r\nSet-Cookie: a=b", "line__Set-Cookie_ a=b", "line__Set-Cookie_ a=b"),
        ("CON:stream|x<y>*?", "CON_stream_x_y___", "CON_stream_x_y___"),
        ("exe\u202egnp.exe", "exe_gnp.exe", "exe_gnp.exe"),
        ("half\ud800.csv", "half_.csv", "half_.csv"),
        ("Zürich.csv", "Z_rich.csv", "Zürich.csv"),
    ],
)
def test_the_name_of_a_file_is_one_on_every_system(name: str, plain: str, whole: str) -> None:
    _, quoted, extended = attachment(name)["Content-Disposition"].split("; ")
    assert quoted == f'filename="{plain}"'
    assert unquote(extended.removeprefix("filename*=UTF-8''")) == whole


@pytest.mark.parametrize("kind", ["text/plain", ""])
def test_what_is_not_declared_as_json_is_none(
    http: httpx.Client, document: dict[str, Any], kind: str
) -> None:
    wrong = []
    for method, path, operation in operations(document):
        if "application/json" not in operation.get("requestBody", {}).get("content", {}):
            continue
        url = path.replace("{model_id}", "model_example").replace("{dataset_id}", "digits")
        needed = [
            one for one in operation.get("parameters", ()) if one["in"] == "query" and one.get("required")
        ]
        query = {one["name"]: shown(one)[0] for one in needed}
        answer = http.request(method, url, params=query, content=b"{}", headers={"Content-Type": kind})
        if answer.status_code != 415 or not answer.json()["errors"][0]["hint"]:
            wrong.append((method, path, answer.status_code))
    assert wrong == []
