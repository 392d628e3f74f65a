"""The web page and `/docs`: each file is served as it is, and nothing else; what a browser may do with them."""

import asyncio
import gzip
import re
from pathlib import Path

import httpx
import pytest

import app.page
from app.main import create_app
from app.settings import Settings
from app.web.answers.kept import read_folder

FOLDER = Path(app.page.__file__).parent
FILES = sorted(
    file.relative_to(FOLDER).as_posix()
    for file in FOLDER.rglob("*")
    if file.is_file() and file.name != "__init__.py" and "__pycache__" not in file.parts
)
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}
PAGES = ("/", "/docs")
RULES = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob: data:",
    "media-src 'self' blob:",
    "connect-src 'self'",
    "font-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
}


def as_sent(http: httpx.Client, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """Ask for a path as it is written, and return the answer with its body as it was sent."""
    # the client itself would resolve dots
    request = http.build_request("GET", "/", headers=headers, extensions={"target": path.encode()})
    answer = http.send(request, stream=True)
    body = b"".join(answer.iter_raw())
    answer.close()
    return answer, body


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_the_page_is_served_as_it_is(http: httpx.Client, name: str) -> None:
    content = (FOLDER / name).read_bytes()
    plain, body = as_sent(http, f"/page/{name}", **{"Accept-Encoding": "identity"})
    assert plain.status_code == 200
    assert body == content
    assert plain.headers["content-type"] == KINDS.get(Path(name).suffix, "text/plain; charset=utf-8")
    assert plain.headers["cache-control"] == "no-cache"
    assert int(plain.headers["content-length"]) == len(content)

    packed, body = as_sent(http, f"/page/{name}", **{"Accept-Encoding": "br, gzip;q=0.5"})
    if "content-encoding" in packed.headers:
        assert packed.headers["content-encoding"] == "gzip"
        assert len(body) < len(content)
        assert gzip.decompress(body) == content
        assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
        assert packed.headers["etag"] != plain.headers["etag"]
    else:
        assert body == content
    for answer in (plain, packed):
        assert re.fullmatch(r'"[0-9a-z-]+"', answer.headers["etag"])


def test_there_is_a_page() -> None:
    assert "index.html" in FILES


def test_at_the_root_is_the_page_for_browsers_and_a_text_for_others(http: httpx.Client) -> None:
    html = http.get("/", headers=HTML)
    assert html.headers["content-type"] == "text/html; charset=utf-8"
    assert html.content == (FOLDER / "index.html").read_bytes()
    assert html.headers["vary"] == "Accept, Accept-Encoding"
    for accept in (
        "*/*",
        "",
        "application/json",
        "text/plain",
        "text/plain, text/html;q=0.5",
        "text/html;q=0, */*",
    ):
        text = http.get("/", headers={"Accept": accept})
        assert text.headers["content-type"] == "text/plain; charset=utf-8", accept
        assert text.headers["vary"] == "Accept"
        assert "/docs" in text.text
    assert http.get("/", headers={"Accept": "text/html, */*"}).text == html.text


@pytest.mark.parametrize(
    "accept",
    [
        "text/html;q=nan",
        "text/html;q=1e999, text/plain;q=-inf",
        "text/html" + ";q" * 20_000,
        ",".join(["text/html;q=0.1"] * 3_000),
        "," * 60_000,
        ";;;,,,;=;q=,text/html;q==1",
        "text/html\xff\xfe;q=\xb2",
        "*/html, text/*, */*;q=0.0000000000000000000000000000001",
    ],
)
def test_whatever_is_accepted_something_is_answered(http: httpx.Client, accept: str) -> None:
    for name in ("Accept", "Accept-Encoding"):
        answer = http.get("/", headers={**HTML, name: accept.encode("latin-1")})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/")


@pytest.mark.parametrize(
    "path", [*PAGES, "/page/index.html", "/docs/assets/swagger-ui-bundle.js", "/openapi.json"]
)
def test_what_a_browser_has_is_not_sent_again(http: httpx.Client, path: str) -> None:
    for encoding in ("gzip", "identity", "gzip;q=0", "*"):
        headers = HTML | {"Accept-Encoding": encoding}
        first = http.get(path, headers=headers)
        tag = first.headers["etag"]
        assert ("content-encoding" in first.headers) == (encoding in ("gzip", "*"))
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = http.get(path, headers=headers | {"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            for name in ("etag", "vary", "cache-control"):
                assert again.headers[name] == first.headers[name]
        for unknown in ('"other"', tag.strip('"'), ""):
            assert http.get(path, headers=headers | {"If-None-Match": unknown}).content == first.content


@pytest.mark.parametrize(
    "path",
    [
        "/page",
        "/page/",
        "/page/nothing.js",
        "/page/index.html/",
        "/page//index.html",
        "/page/./index.html",
        "/page/INDEX.HTML",
        "/page/__init__.py",
        "/page/../main.py",
        "/page/%2e%2e/main.py",
        "/page/..%2fmain.py",
        "/page/..%5cmain.py",
        "/page/%252e%252e/main.py",
        "/page/x/../index.html",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/.git",
        "/page/index.html%00",
        "/page/index.html%0d%0aX-Y:%20z",
        "/docs/assets/..%2findex.html",
        "/docs/assets/../../main.py",
        "/docs/assets/redoc.standalone.js",
        "/docs/assets/",
    ],
)
def test_nothing_outside_can_be_read(http: httpx.Client, path: str) -> None:
    answer, body = as_sent(http, path)
    assert answer.status_code == 404, body
    assert answer.headers["content-type"] == "application/problem+json"


def test_files_with_a_dot_and_of_no_known_type_are_left_out(tmp_path: Path) -> None:
    for name in ("a.js", ".b.js", ".hidden/c.js", "d/.e/f.js", "d/g.js", "h.py", "i.bin", "LICENSE"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("text")
    assert sorted(read_folder(tmp_path)) == ["LICENSE", "a.js", "d/g.js"]


@pytest.mark.parametrize("path", [*PAGES, "/page/index.html"])
def test_of_the_page_there_is_only_reading(http: httpx.Client, path: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = http.request(method, path)
        assert answer.status_code == 405, method
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", [*PAGES, "/page/index.html", "/docs/assets/start.js"])
def test_a_page_runs_what_comes_from_here_and_nothing_else(http: httpx.Client, path: str) -> None:
    headers = http.get(path, headers=HTML).headers
    assert set(headers["content-security-policy"].split("; ")) == RULES
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "camera=(self)" in headers["permissions-policy"]


@pytest.mark.parametrize("path", PAGES)
def test_all_that_a_page_links_to_is_here_and_relative_to_it(http: httpx.Client, path: str) -> None:
    page = http.get(path, headers=HTML)
    assert "http:" not in page.text
    assert "https:" not in page.text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page.text), (
        "the policy forbids it"
    )
    linked = re.findall(r"""(?:src|href)=["']?([^"'\s>]+)""", page.text)
    assert len(linked) >= 3
    for address in linked:
        if not address.startswith(("data:", "#")):
            assert not address.startswith("/"), address
            assert http.get(f"/{address}").status_code == 200, address


def test_the_page_of_all_calls_asks_nobody_else(http: httpx.Client) -> None:
    script = http.get("/docs/assets/start.js").text
    assert "validatorUrl: null" in script
    assert 'url: "docs/openapi.json"' in script


def test_below_another_path_the_page_is_where_its_addresses_lead(tmp_path: Path) -> None:
    service = create_app(Settings(data_dir=tmp_path, api_key="a-long-random-key"))

    async def ask() -> None:
        transport = httpx.ASGITransport(service, root_path="/below/here")
        client = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=HTML)
        async with service.router.lifespan_context(service), client:
            moved = await client.get("/below/here")
            assert moved.status_code == 308
            assert moved.headers["location"] == "/below/here/"
            for path in ("/", "/page/index.html"):
                page = await client.get(f"/below/here{path}")
                assert page.status_code == 200
                assert page.content == (FOLDER / "index.html").read_bytes()
            assert (await client.get("/below/here/livez")).status_code == 200
            assert (await client.get("/below/here/docs")).status_code == 401

    asyncio.run(ask())
