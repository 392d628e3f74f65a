"""What is running."""

from __future__ import annotations

import platform
import re
from importlib import metadata

from fastapi import APIRouter

from app import version
from app.api.system import Version
from app.web.bodies.needs import needs
from app.web.bodies.route import StrictRoute
from engine.environment import REVISION

router = APIRouter(prefix="/v1/version", route_class=StrictRoute, tags=["system"])

_FOR_WORK = re.compile(r"""extra == ['"](dev|web)['"]""")
"""What is required to work on the service, and not by it."""


@router.get("", summary="Which version is this?")
@needs(None)
def get_version() -> Version:
    """Return the versions of the service, of its arithmetic, of Python and of the libraries that it is built on."""
    return Version(
        version=version(),
        api="v1",
        python=platform.python_version(),
        engine=REVISION,
        libraries=_libraries(),
    )


def _libraries() -> dict[str, str]:
    """Return the versions of what the service requires, and of those extras that are installed."""
    found = {}
    try:
        required = metadata.requires("convserve") or []
    except metadata.PackageNotFoundError:  # a source tree that is not installed
        required = []
    for requirement in required:
        if _FOR_WORK.search(requirement):
            continue
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return dict(sorted(found.items()))
