"""The headers that every answer has."""

from __future__ import annotations

from starlette.types import Message, Scope

from app.web.answers.attachments import attachment, inline
from app.web.bodies.scopes import path_of

REQUEST_ID = b"x-request-id"

_NOSNIFF = (b"x-content-type-options", b"nosniff")
_POLICY = b"content-security-policy"
# A page of ours in somebody else's frame could be clicked on with the reader's credentials.
_DATA = (_POLICY, b"default-src 'none'; frame-ancestors 'none'")
# What a browser shows by itself runs nothing and asks for nothing, whatever is in it.
_SHOWN = (_POLICY, b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox")
_FILES = {
    b"application/octet-stream": (attachment, "bin"),
    b"application/x-npz": (attachment, "npz"),
    b"image/png": (inline, "png"),
    b"image/svg+xml": (inline, "svg"),
    b"text/csv": (attachment, "csv"),
    b"text/plain": (attachment, "txt"),
}
"""How answers that are files are named, by their media types, and how they end."""
_PREFIX = "/v1/"


def complete(message: Message, scope: Scope, request_id: str) -> None:
    """Add to the start of an answer the headers that it lacks, and to its address where the service is mounted.

    Files are named by their address, as `curl -OJ` and browsers save them: `/v1/training-jobs/job_1/curves` is
    job_1-curves.svg. Only pictures are shown by browsers; what else there is they save.
    """
    headers = list(message.get("headers", ()))
    present = dict(headers)
    if REQUEST_ID in present:
        headers = [header for header in headers if header[0] != REQUEST_ID]
    headers.append((REQUEST_ID, request_id.encode()))
    file = _FILES.get(present.get(b"content-type", b"").partition(b";")[0])
    if _NOSNIFF[0] not in present:
        headers.append(_NOSNIFF)
    if _POLICY not in present:
        headers.append(_DATA if file is None else _SHOWN)
    root: str = scope.get("root_path", "")
    if root and b"location" in present:
        headers = [_below(root, header) for header in headers]
    if (
        file is not None
        and (path := path_of(scope)).startswith(_PREFIX)
        and b"content-disposition" not in present
    ):
        disposition, end = file
        _, *parts = path.removeprefix(_PREFIX).split("/")
        for name, value in disposition(f"{'-'.join(parts)}.{end}").items():
            headers.append((name.lower().encode(), value.encode("latin-1")))
    message["headers"] = headers


def _below(root: str, header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name, value = header
    return (name, root.encode() + value) if name == b"location" and value.startswith(b"/") else header
