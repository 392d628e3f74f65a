"""Headers: those of a request, and those that every answer has."""

from __future__ import annotations

from starlette.types import Message, Scope

from app.web.answers.attachments import inline

REQUEST_ID = b"x-request-id"

_NOSNIFF = (b"x-content-type-options", b"nosniff")
# A page of ours in somebody else's frame could be clicked on with the reader's credentials.
_NO_FRAMES = (b"content-security-policy", b"frame-ancestors 'none'")
_PICTURES = {b"image/png": "png", b"image/svg+xml": "svg"}
_PREFIX = "/v1/"


def received(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers of a request by their names in lower case; of several of one name, the first."""
    return dict(scope["headers"][::-1])


def path_of(scope: Scope) -> str:
    """Return the path of a request below where the service is mounted."""
    root: str = scope.get("root_path", "")
    path: str = scope["path"]
    return path.removeprefix(root) if root else path


def complete(message: Message, path: str, request_id: str) -> None:
    """Add to the start of an answer the headers that it lacks.

    Pictures are named by their address, as `curl -OJ` and browsers save them:
    `/v1/training-jobs/job_1/curves` is job_1-curves.svg.
    """
    headers = [header for header in message.get("headers", ()) if header[0] != REQUEST_ID]
    present = dict(headers)
    headers.append((REQUEST_ID, request_id.encode()))
    headers += [header for header in (_NOSNIFF, _NO_FRAMES) if header[0] not in present]
    end = _PICTURES.get(present.get(b"content-type", b"").partition(b";")[0])
    if end is not None and path.startswith(_PREFIX) and b"content-disposition" not in present:
        _, *parts = path.removeprefix(_PREFIX).split("/")
        for name, value in inline(f"{'-'.join(parts)}.{end}").items():
            headers.append((name.lower().encode(), value.encode("latin-1")))
    message["headers"] = headers
