"""docs/openapi.json is the document that this version answers with."""

import json
from pathlib import Path

import httpx

from app.cli.openapi import VERSION, snapshot

FILE = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def test_the_snapshot_is_up_to_date() -> None:
    kept, now = json.loads(FILE.read_text(encoding="utf-8")), json.loads(snapshot())
    changed = sorted(
        path for path in {*kept["paths"], *now["paths"]} if kept["paths"].get(path) != now["paths"].get(path)
    )
    assert FILE.read_text(encoding="utf-8") == snapshot(), (
        "the OpenAPI document has changed: run `make openapi` and commit docs/openapi.json if that is wanted; "
        f"paths that differ: {', '.join(changed) or 'none, but the rest does'}"
    )


def test_a_server_answers_with_the_same(http: httpx.Client) -> None:
    served = http.get("/openapi.json").json()
    served["info"]["version"] = VERSION
    assert served == json.loads(snapshot())
