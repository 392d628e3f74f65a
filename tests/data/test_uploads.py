"""Multipart bodies are received however they are cut into chunks, and refused for what is wrong with them."""

import asyncio
import hashlib
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from starlette.requests import Request

from app.errors import DomainError, Invalid, Malformed, TooLarge, Unsupported
from app.web.bodies.multipart import Form, FormRules, receive
from app.web.bodies.sinks import DiskSink, MemorySink

TYPE = "multipart/form-data; boundary=frontier"
RULES = FormRules(max_bytes=4_000_000, files={"file": 1}, fields=frozenset({"name", "seed"}))
MANY = FormRules(max_bytes=4_000_000, files={"files": 3})


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    tail = (
        f'; filename="{filename}"\r\nContent-Type: application/octet-stream' if filename is not None else ""
    )
    head = f'--frontier\r\nContent-Disposition: form-data; name="{name}"{tail}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = b"--frontier--\r\n"
GOOD = part("name", b"pets") + part("file", b"PK\x03\x04 and more", "pets.zip") + END


def send(
    body: bytes | list[bytes],
    rules: FormRules = RULES,
    sink: Callable[[], Any] = MemorySink,
    content_type: str | None = TYPE,
    disconnect: bool = False,
    **headers: str,
) -> Form[Any]:
    """Receive a body that arrives in these chunks."""
    chunks = [body] if isinstance(body, bytes) else body
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append(
        {"type": "http.disconnect"} if disconnect else {"type": "http.request", "more_body": False}
    )
    waiting = iter(messages)

    async def next_message() -> dict[str, Any]:
        return next(waiting)

    raw = [(b"content-type", content_type.encode())] if content_type is not None else []
    raw += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": raw}
    return asyncio.run(receive(Request(scope, next_message), rules, sink))


def refused(*arguments: Any, **options: Any) -> DomainError:
    with pytest.raises(DomainError) as caught:
        send(*arguments, **options)
    return caught.value


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(edges)]


def test_fields_and_files() -> None:
    form = send(GOOD)
    assert form.fields == {"name": "pets"}
    (file,) = form.files
    assert (file.field, file.filename, file.content) == ("file", "pets.zip", b"PK\x03\x04 and more")
    assert file.size == len(file.content)
    assert file.sha256 == hashlib.sha256(file.content).hexdigest()


@given(places=st.lists(st.integers(0, 10_000), max_size=12), content=st.binary(max_size=300))
def test_chunks_may_end_anywhere(places: list[int], content: bytes) -> None:
    content = b"\r\n--frontie" + content + b"\r\n--fron"
    assume(b"\r\n--frontier" not in content)
    body = part("seed", "ü1".encode()) + part("file", content, "a.zip") + END
    form = send(cut(body, places))
    assert form.files[0].content == content
    assert form.fields == {"seed": "ü1"}


def test_one_byte_at_a_time() -> None:
    form = send(
        [bytes([byte]) for byte in GOOD], FormRules(10_000, {"file": 1}, RULES.fields, (b"PK\x03\x04",))
    )
    assert form.files[0].content == b"PK\x03\x04 and more"


def test_a_large_file_goes_to_disk_under_a_hidden_name_first(tmp_path: Path) -> None:
    content = bytes(range(256)) * 12_000
    form = send(
        cut(part("file", content, "x") + END, list(range(0, 3_000_000, 65_536))),
        sink=partial(DiskSink, tmp_path / "up"),
    )
    (file,) = form.files
    assert file.content.read_bytes() == content
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert list((tmp_path / "up").iterdir()) == [file.content]
    assert not file.content.name.startswith(".")


def test_several_files_keep_their_order() -> None:
    form = send(b"".join(part("files", name.encode(), name) for name in "cab") + END, MANY)
    assert [(file.filename, file.content) for file in form.files] == [("c", b"c"), ("a", b"a"), ("b", b"b")]


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\cat.zip", "cat.zip"),
        ("été.zip", "été.zip"),
        ("a\x07b.zip", "ab.zip"),
        ("", ""),
        ("x" * 1000, "x" * 255),
    ],
)
def test_file_names_are_for_people_only(given_name: str, kept: str) -> None:
    assert send(part("file", b"x", given_name) + END).files[0].filename == kept


@pytest.mark.parametrize(
    ("body", "kind", "parameter"),
    [
        (part("other", b"x") + GOOD, Invalid, "other"),
        (part("other", b"x", "a") + GOOD, Invalid, "other"),
        (part("file", b"x") + END, Invalid, "file"),
        (part("name", b"x", "a.txt") + GOOD, Invalid, "name"),
        (part("name", b"again") + GOOD, Invalid, "name"),
        (part("name", b"\xff\xfe") + part("file", b"x", "a") + END, Invalid, "name"),
        (part("name", b"only") + END, Invalid, "file"),
        (END, Invalid, "file"),
    ],
)
def test_a_part_that_does_not_belong_is_named(body: bytes, kind: type[DomainError], parameter: str) -> None:
    error = refused(body)
    assert isinstance(error, kind)
    assert [field.parameter for field in error.errors] == [parameter]
    assert error.errors[0].hint


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"just text",
        GOOD.replace(b"frontier", b"elsewhere"),
        GOOD[:-10],
        GOOD[: len(GOOD) // 2],
        GOOD.replace(b'; name="name"', b""),
        GOOD.replace(b"form-data", b"attachment"),
        b"--frontier\r\n\r\nno headers\r\n" + END,
        b"--frontier\r\n: nameless\r\n\r\n" + END,
        b"--frontier\r\n" + b"X-Long: " + b"x" * 100_000 + b"\r\n\r\n" + END,
    ],
)
def test_a_broken_body(body: bytes, tmp_path: Path) -> None:
    assert isinstance(refused(body, sink=partial(DiskSink, tmp_path)), Malformed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/json", "multipart/mixed; boundary=x"]
)
def test_another_media_type(content_type: str | None) -> None:
    assert isinstance(refused(GOOD, content_type=content_type), Unsupported)


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_no_boundary(content_type: str) -> None:
    error = refused(GOOD, content_type=content_type)
    assert isinstance(error, Malformed)
    assert "boundary" in error.detail


def test_a_boundary_that_is_too_long() -> None:
    assert isinstance(refused(GOOD, content_type=f"multipart/form-data; boundary={'x' * 1000}"), Malformed)


def test_a_body_over_the_limit(tmp_path: Path) -> None:
    body = part("file", bytes(3_000_000), "x") + END
    limited = FormRules(2_500_000, {"file": 1})
    sink = partial(DiskSink, tmp_path)
    chunks = cut(body, list(range(0, len(body), 100_000)))
    assert isinstance(refused(chunks, limited, sink), TooLarge)
    assert list(tmp_path.iterdir()) == []
    # By its own account, before anything is read: there is nothing to read here.
    assert isinstance(refused([], limited, sink, content_length="2500001"), TooLarge)


def test_a_field_over_the_limit() -> None:
    assert isinstance(refused(part("name", bytes(100_000)) + GOOD), TooLarge)


def test_too_many_files() -> None:
    body = b"".join(part("files", b"x", "x") for _ in range(4)) + END
    assert isinstance(refused(body, MANY), TooLarge)
    assert isinstance(refused(part("file", b"x", "x") + part("file", b"x", "x") + END), TooLarge)


@pytest.mark.parametrize("content", [b"", b"P", b"GIF89a and so on", b"PK\x01\x02"])
def test_a_file_of_the_wrong_kind_is_refused_at_its_first_bytes(content: bytes, tmp_path: Path) -> None:
    rules = FormRules(10_000, {"file": 1}, magic=(b"PK\x03\x04", b"PK\x05\x06"), kind="zip archive")
    # The body has no end: who reads on for it will not find it.
    body = part("file", content, "x") + (END if len(content) < 4 else b"")
    error = refused(body, rules, partial(DiskSink, tmp_path))
    assert isinstance(error, Invalid)
    assert error.errors[0].parameter == "file"
    assert list(tmp_path.iterdir()) == []


def test_a_client_that_goes_away_leaves_nothing(tmp_path: Path) -> None:
    body = part("file", bytes(3_000_000), "x")
    error = refused(
        cut(body, list(range(0, len(body), 100_000))), sink=partial(DiskSink, tmp_path), disconnect=True
    )
    assert isinstance(error, Malformed)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    class Full(DiskSink):
        def finish(self) -> Path:
            super().finish()
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        refused(GOOD, sink=partial(Full, tmp_path))
    assert list(tmp_path.iterdir()) == []
