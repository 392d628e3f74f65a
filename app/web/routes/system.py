"""Whether the server lives and can work, and the page that a stranger sees first."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from app.api.system import Health
from app.errors import FieldError, Unavailable
from app.services import ServicesDep
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems

router = APIRouter(route_class=StrictRoute, tags=["system"])

_WELCOME = """\
convserve trains and serves small convolutional neural networks over HTTP.

  /docs            every call, with examples that run when you press Execute
  /openapi.json    the same for programs
  /readyz          whether this server can work

First steps: look at /v1/catalog/presets, start a training job with
POST /v1/training-jobs {"architecture": {"preset": "lenet-5"}, "dataset": "digits"},
then send pictures to POST /v1/models/{id}/predict.
"""

_WELCOME_PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>convserve</title><link rel="icon" href="docs/assets/favicon.png">
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem }}
code {{ background: #8882; padding: .1em .3em }} :root {{ color-scheme: light dark }}</style></head>
<body>
<h1>convserve</h1>
<p>Trains and serves small convolutional neural networks over HTTP.</p>
<ul>
<li><a href="docs">docs</a>: every call, with examples that run when you press Execute</li>
<li><a href="openapi.json">openapi.json</a>: the same for programs</li>
<li><a href="readyz">readyz</a>: whether this server can work</li>
</ul>
<p>First steps: look at the <a href="v1/catalog/presets">presets</a>, start a training job with
<code>POST /v1/training-jobs</code>
<code>{{"architecture": {{"preset": "lenet-5"}}, "dataset": "digits"}}</code>,
then send pictures to <code>POST /v1/models/{{id}}/predict</code>.</p>
</body></html>
""".format()


@router.get("/", include_in_schema=False)
def welcome(request: Request) -> Response:
    """Say what this is and where to go."""
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_WELCOME_PAGE)
    return PlainTextResponse(_WELCOME)


@router.get("/livez", summary="Is the server alive?", response_model=Health)
async def livez() -> Health:
    """Answer 200 for as long as the process answers at all. Needs no key."""
    return Health(status="ok")


@router.get("/readyz", summary="Can the server work?", response_model=Health, responses=problems(503))
def readyz(services: ServicesDep) -> Health:
    """Answer 200 when the database answers, jobs are being run and the server is not about to stop.

    Otherwise 503, and `errors` says what is wrong. Needs no key.
    """
    faults = []
    if services.draining:
        faults.append(FieldError(parameter="server", detail="the server is about to stop"))
    try:
        services.store.jobs.active()
        runs = services.draining or services.duties.alive
    except Exception as error:
        # Whatever keeps the database from answering, the answer is the same.
        faults.append(
            FieldError(
                parameter="database",
                detail=f"the database does not answer: {type(error).__name__}",
                hint="check that the disk with the data directory is mounted, writable and not full",
            )
        )
    else:
        if not runs:
            faults.append(
                FieldError(
                    parameter="runner",
                    detail="the part that starts training jobs has died",
                    hint="look at the log, then restart the server; no job is lost",
                )
            )
    if faults:
        raise Unavailable("; ".join(fault.detail for fault in faults), code="not-ready", errors=faults)
    return Health(status="ok")
