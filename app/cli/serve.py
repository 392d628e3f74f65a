"""`convserve serve`. It has a parser of its own: that of the other commands would be a tenth of every start."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from app.jobs.processes import THREADS_VARIABLES
from app.models.libraries import check_libraries
from app.settings import Settings, SettingsError, load_settings
from app.web.quick_imports import quick_imports

_OPTIONS = {"host": "--host", "port": "--port", "data_dir": "--data-dir", "root_path": "--root-path"}
"""By what option a setting is given."""


def main(arguments: Sequence[str]) -> None:
    """Serve until stopped by a signal; what keeps it from starting is said in a few lines."""
    parser = argparse.ArgumentParser(
        prog="convserve serve",
        description="Serve until stopped by Ctrl-C or SIGTERM. Every setting can be given as a variable CONVSERVE_...; "
        "options take precedence.",
    )
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", help="port; 0 picks a free one (8000)")
    parser.add_argument("--data-dir", type=Path, help="where everything is kept (convserve-data)")
    parser.add_argument("--root-path", help="path below which a proxy shows the service, such as /convserve")
    given = parser.parse_args(arguments)
    try:
        _serve(**vars(given))
    except SettingsError as error:
        from app.log.format import refusal

        print(refusal(str(error)), file=sys.stderr)  # noqa: T201
        sys.exit(1)


def _serve(**given: Any) -> None:
    if os.name == "nt":
        raise SettingsError(
            "the service itself runs on Linux and macOS only. Run it in WSL 2 or in a container; the other commands "
            "work here, with its address in --url"
        )
    settings = load_settings(_OPTIONS, **given)
    check_libraries(settings)
    # predictions are split over the cores; BLAS keeps to the one it is called on
    for name in THREADS_VARIABLES:
        os.environ.setdefault(name, "1")
    if settings.workers > 1:
        from app.processes.supervisor import supervise

        supervise(settings, partial(_announce, settings))
        return
    imported = quick_imports()
    # only now: NumPy reads those variables when it is imported
    from app.main import create_app
    from app.processes.leaving import leave
    from app.web.server import serve

    def ready(url: str) -> None:
        imported()
        _announce(settings, url)

    serve(create_app(settings), settings, ready)
    leave()


def _announce(settings: Settings, url: str) -> None:
    from app.log.format import as_json

    if not as_json(settings):  # where programs read, a line of the log says it
        print(f"convserve is at {url} (its calls: {url}/docs). Ctrl-C stops it.", file=sys.stderr)  # noqa: T201
