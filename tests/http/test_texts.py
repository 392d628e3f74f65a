"""What no text may hold: control characters, half characters, and what shows a text as another."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from app.cli.output import printable
from app.text import has_controls, has_controls_but_lines, is_name, visible
from tests.http.test_openapi_examples import calls, operations

# what is written into JSON, and what it is
HOSTILE = {
    r"a\u001b[31mb": "an escape sequence",
    r"a\u0000b": "the end of a string in C",
    r"a\u007fb": "delete",
    r"a\u009bb": "an escape sequence in one character",
    r"a\u202egpj.exe": "an override of the direction",
    "a\u2066b": "an isolate, as it is",
    r"a\u2028b": "a separator of lines",
    r"a\bb": "a step back",
    r"a\ud800b": "half a character",
}
FINE = ("Zürich", "日本", "العربية\u200f", "👩\u200d🔬", "a - b (c)", "=1+1")
ONE_LINE = {
    ("post", "/v1/architectures", ("name",)),
    ("post", "/v1/datasets", ("name",)),
    ("post", "/v1/datasets", ("tags", "*")),
    ("post", "/v1/training-jobs", ("name",)),
    ("post", "/v1/training-jobs", ("tags", "*")),
    ("patch", "/v1/models/{model_id}", ("name",)),
    ("patch", "/v1/models/{model_id}", ("tags", "*")),
    ("post", "/v1/models/import", ("classes", "*")),
    ("post", "/v1/datasets/{dataset_id}/images", ("label",)),
    ("patch", "/v1/datasets/{dataset_id}/images/{number}", ("label",)),
}
"""Fields that are stored, or compared with what is, and shown in one line."""

Place = tuple[str, ...]


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    loaded: dict[str, Any] = http.get("/openapi.json").json()
    return loaded


def texts(
    schema: dict[str, Any], named: dict[str, Any], inside: frozenset[str] = frozenset()
) -> Iterator[Place]:
    """Yield the places of all texts that a schema has; `*` is any element, `?` any key."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in inside:
            yield from texts(named[name], named, inside | {name})
        return
    for kind in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(kind, ()):
            yield from texts(one, named, inside)
    if schema.get("type") == "string":
        yield ()
    below = dict(schema.get("properties", {}))
    if isinstance(schema.get("items"), dict):
        below["*"] = schema["items"]
    if isinstance(schema.get("additionalProperties"), dict):
        below["?"] = schema["additionalProperties"]
    for name, one in below.items():
        for place in texts(one, named, inside):
            yield (name, *place)


def body_with(place: Place, text: str) -> tuple[str, str]:
    """Write JSON with a text, as it is written there, at a place; and the pointer to it."""
    written, pointer = f'"{text}"', ""
    for name in reversed(place):
        written = (
            f"[{written}]"
            if name == "*"
            else json.dumps({"x" if name == "?" else name: 0})[:-2] + written + "}"
        )
        pointer = f"/{'0' if name == '*' else 'x' if name == '?' else name}{pointer}"
    return written, pointer


def fields(document: dict[str, Any]) -> Iterator[tuple[str, str, str, Place]]:
    """Yield every text of every JSON body: method, path, address, place."""
    addresses = {
        (call.method, call.path): str(httpx.URL(call.url, params=call.query)) for call in calls(document)
    }
    for method, path, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            continue
        found = set(texts(content["schema"], document["components"]["schemas"]))
        for place in sorted(found):
            yield method, path, addresses.get((method, path), path), place


def send(http: httpx.Client, method: str, address: str, body: str) -> httpx.Response:
    return http.request(method, address, content=body.encode(), headers={"Content-Type": "application/json"})


def test_no_field_of_a_body_takes_them(http: httpx.Client, document: dict[str, Any]) -> None:
    wrong, count = [], 0
    hostile = itertools.cycle(HOSTILE)
    for method, path, address, place in fields(document):
        text = next(hostile)
        body, pointer = body_with(place, text)
        answer = send(http, method, address, body)
        count += 1
        if r"\ud800" in text:
            good = answer.status_code == 400
        else:
            good = answer.status_code == 422 and answer.json()["errors"][0].get("pointer") == pointer
        if not good:
            wrong.append((method, path, place, text, answer.status_code, answer.text[:200]))
    assert wrong == []
    assert count > 300


@pytest.mark.parametrize("text", HOSTILE, ids=HOSTILE.get)
def test_neither_in_a_value_nor_in_a_key(http: httpx.Client, text: str) -> None:
    for body in (f'{{"layers": [{{"type": "{text}"}}]}}', f'{{"layers": [{{"{text}": 1}}]}}'):
        answer = send(http, "POST", "/v1/architectures/summary", body)
        assert answer.status_code == (400 if r"\ud800" in text else 422)
        # what is answered can be shown anywhere
        assert not has_controls_but_lines(json.dumps(answer.json(), ensure_ascii=False))


def test_line_ends_are_in_texts_of_several_lines_alone(http: httpx.Client, document: dict[str, Any]) -> None:
    seen = set()
    for method, path, address, place in fields(document):
        if (method, path, place) in ONE_LINE:
            seen.add((method, path, place))
            for text in (r"a\nb", r"a\tb", r"a\rb"):
                body, pointer = body_with(place, text)
                answer = send(http, method, address, body)
                assert answer.status_code == 422, (path, place)
                faults = [fault for fault in answer.json()["errors"] if fault.get("pointer") == pointer]
                assert "line" in faults[0]["detail"], (path, place)
    assert seen == ONE_LINE


@pytest.mark.parametrize("text", FINE)
def test_what_people_write_is_fine(http: httpx.Client, text: str) -> None:
    assert is_name(text)
    assert visible(text) == text
    body = {"name": "x", "description": f"{text}\n\t{text}", "epochs": 0}
    faults = http.post("/v1/training-jobs", json=body).json()["errors"]
    assert [fault["pointer"] for fault in faults] == ["/epochs"]


@pytest.mark.parametrize("text", [json.loads(f'"{text}"') for text in HOSTILE], ids=list(HOSTILE.values()))
def test_names_that_files_bring_obey_the_same_rules(http: httpx.Client, text: str) -> None:
    assert has_controls(text)
    assert not is_name(text)
    assert not has_controls(visible(text))
    assert not has_controls(printable(text))
    if "\ud800" in text or "\0" in text:
        return  # zip archives have none
    packed, picture = io.BytesIO(), io.BytesIO()
    Image.new("L", (8, 8), 200).save(picture, "PNG")
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(4):
            archive.writestr(f"{text}/{number}.png", picture.getvalue())
            archive.writestr(f"other/{number}.png", picture.getvalue())
    answer = http.post("/v1/datasets", files={"file": ("a.zip", packed.getvalue())}, data={"name": "texts"})
    assert answer.status_code == 422
    assert not has_controls_but_lines(answer.json()["detail"])


@pytest.mark.parametrize("terminal", [True, False])
def test_a_log_moves_no_cursor_and_a_pipe_gets_all_of_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    from app.cli.output import say_lines  # noqa: PLC0415

    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    say_lines("one\t\x1b]0;title\x07\ntwo\u202e\n")
    out = capsys.readouterr().out
    assert out == (
        "one\t\ufffd]0;title\ufffd\ntwo\ufffd\n" if terminal else "one\t\x1b]0;title\x07\ntwo\u202e\n"
    )


def test_exceptions_in_lines_for_people_move_no_cursor() -> None:
    import logging  # noqa: PLC0415
    import sys  # noqa: PLC0415

    from app.log.format import _Columns  # noqa: PLC0415

    try:
        raise ValueError("\x1b[2Jgone")
    except ValueError:
        record = logging.LogRecord("app", logging.ERROR, "", 0, "unexpected", (), sys.exc_info())
    assert "\x1b" not in _Columns().format(record)
    assert "gone" in _Columns().format(record)
