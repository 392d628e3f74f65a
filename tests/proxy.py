"""A small reverse proxy, as those are that the service is put behind."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_OF_CONNECTION = {"connection", "keep-alive", "transfer-encoding"}


@contextmanager
def proxied(
    server: str, path: str = "", *, strips: bool = True, headers: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Pass on what is asked below a path; everything else is not found. Yields the proxy's address of the service.

    Args:
        server: what is behind it.
        path: below which it is shown.
        strips: whether the path is taken away from what is passed on.
        headers: what it sets of each request.
    """
    target = urlsplit(server)

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            if not f"{self.path}/".startswith(f"{path}/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=120)
            sent = {name.title(): value for name, value in self.headers.items()} | dict(headers or {})
            try:
                asked = self.path.removeprefix(path) if strips else self.path
                connection.request(self.command, asked, body, sent)
                answer = connection.getresponse()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _OF_CONNECTION:
                        self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                while piece := answer.read1():
                    self.wfile.write(piece)
                    self.wfile.flush()
            except OSError:
                pass  # one of the two sides has gone
            finally:
                connection.close()

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _pass_on  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}{path}"
    finally:
        proxy.shutdown()
        proxy.server_close()
