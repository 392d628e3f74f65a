"""`python -m app.cli.openapi FILE` writes the OpenAPI document of this version, without starting a server.

The document in `docs/openapi.json` is what clients are made of: a change of it shows in review.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from app.main import create_app
from app.settings import Settings

VERSION = "snapshot"
"""Stands for the version: a release alone changes no call."""


def snapshot() -> str:
    """Return the document as it is kept: stable order, one value a line."""
    # Whatever the environment says: the document must not depend on it, and nothing is opened here.
    document = create_app(Settings.model_construct()).openapi()
    document["info"]["version"] = VERSION
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the document to the file that is named."""
    Path(sys.argv[1]).write_text(snapshot(), encoding="utf-8")


if __name__ == "__main__":
    main()
