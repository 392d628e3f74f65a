"""Downloads that are sent on to another address."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.datasets.fetching import DownloadFailed, Origin, fetch
from app.datasets.published import PublishedFile

CONTENT = b"pictures"
FILE = PublishedFile("file", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@contextmanager
def sending_on(to: str) -> Iterator[str]:
    """Answer `/moved/...` by a redirect, and everything else by the content."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            moved = self.path.startswith("/moved/")
            self.send_response(302 if moved else 200)
            if moved:
                self.send_header("Location", to.format(port=self.server.server_address[1]))
            self.send_header("Content-Length", "0" if moved else str(len(CONTENT)))
            self.end_headers()
            if not moved:
                self.wfile.write(CONTENT)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/moved"
    server.shutdown()
    server.server_close()


def get(place: str, folder: Path, *, is_mirror: bool) -> bytes:
    def beat(_: Any) -> None:
        """Go on."""

    return fetch(Origin(place, is_mirror=is_mirror), FILE, FILE.sha256, folder, 100, beat).read_bytes()


@pytest.mark.parametrize(
    "to", ["http://localhost:{port}/file", "http://127.1:{port}/file", "http://[::1]:1/file"]
)
def test_those_who_publish_cannot_send_us_to_our_own_network(tmp_path: Path, to: str) -> None:
    with sending_on(to) as place, pytest.raises(DownloadFailed, match="not on the public internet"):
        get(place, tmp_path, is_mirror=False)


def test_they_can_send_us_elsewhere_on_their_own_host(tmp_path: Path) -> None:
    with sending_on("/file") as place:
        assert get(place, tmp_path, is_mirror=False) == CONTENT


def test_a_mirror_of_the_operator_sends_where_it_wants(tmp_path: Path) -> None:
    with sending_on("http://localhost:{port}/file") as place:
        assert get(place, tmp_path, is_mirror=True) == CONTENT
