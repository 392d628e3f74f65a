"""Every call asks for the scope that it needs, before anything else of it is looked at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from sqlite3 import connect as connect_database
from typing import Any

import httpx
import pytest

from app.scopes import ADMIN, MEANINGS, PREDICT, READ, WRITE, Scope, included
from app.store.database import DATABASE_NAME
from app.web.middleware.gate import OPEN_PATHS
from tests.http.all_calls import Call, calls

ROOT = Path(__file__).resolve().parents[2]


CALLS = calls()


@pytest.fixture(scope="module")
def keys(guarded_server: Any, connect: Callable[..., httpx.Client]) -> Iterator[dict[str, str]]:
    """A key of each scope, by its name."""
    with connect(guarded_server.url, Authorization=f"Bearer {guarded_server.key}") as admin:
        made = {
            scope: admin.post("/v1/keys", json={"name": f"scope-{scope}", "scopes": [scope]}).json()["key"]
            for scope in MEANINGS
        }
        yield made
        for scope in MEANINGS:
            assert admin.delete(f"/v1/keys/scope-{scope}").status_code == 204


def changes(guarded_server: Any) -> dict[str, int]:
    """Return how often each table was changed."""
    with closing(connect_database(guarded_server.log.parent / "data" / DATABASE_NAME)) as database:
        return dict(database.execute("SELECT table_name, counter FROM changes"))


class Asking:
    """Makes calls over one connection, as bare as they can be: there are many of them."""

    def __init__(self, url: str) -> None:
        parts = httpx.URL(url)
        self._connection = HTTPConnection(parts.host, parts.port, timeout=60)

    def close(self) -> None:
        self._connection.close()

    def status(self, call: Call, key: str = "") -> tuple[int, dict[str, Any]]:
        """Return the status of an answer, and the problem if it is one; an answer without end is not read."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._connection.request(call.method, call.url, headers=headers)
        with self._connection.getresponse() as answer:
            if answer.status < 400:
                self._connection.close()
                return answer.status, {}
            return answer.status, json.loads(answer.read())


@pytest.mark.local
def test_every_call_is_refused_to_keys_without_its_scope(guarded_server: Any, keys: dict[str, str]) -> None:
    before = changes(guarded_server)
    with closing(Asking(guarded_server.url)) as asking:
        for call in CALLS:
            code, _ = asking.status(call)
            assert code == 401, call
            for scope in MEANINGS:
                code, problem = asking.status(call, keys[scope])
                if call.needs is None or call.needs in included([scope]):
                    assert code not in (401, 403), (call, scope, problem)
                    continue
                assert code == 403, (call, scope, problem)
                if call.path.startswith("/v2"):
                    assert f"needs the scope {call.needs}" in problem["error"]
                else:
                    assert problem["type"] == "/problems/missing-scope"
                    assert f"needs the scope {call.needs}" in problem["detail"], problem
                    assert call.needs in problem["errors"][0]["hint"]
    assert changes(guarded_server) == before


def test_the_document_names_the_scope_of_every_call() -> None:
    document = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    needs = {
        (call.path, call.method.lower()): call.needs for call in CALLS if not call.path.startswith("/v2")
    }
    of_layers = needs.pop(("/v1/operations/{operation_type}", "post"))
    documented = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path in OPEN_PATHS:
                assert operation["security"] == [{}]
                continue
            need = needs.pop((path, method), of_layers)
            roles = [] if need is None else [need]
            assert operation["security"] == [{"key": roles}, {"password": roles}, {}], path
            assert f"Scope of the key: {need or 'any'}" in operation["description"]
            documented += 1
    assert not needs
    assert documented > 100


@pytest.mark.parametrize(
    ("needs", "paths"),
    [
        (PREDICT, {"predict", "preprocess", "explain", "activations", "embedding", "trace", "infer"}),
        (ADMIN, {"keys"}),
    ],
)
def test_who_predicts_and_who_makes_keys_need_a_scope_of_their_own(needs: Scope, paths: set[str]) -> None:
    found = {call.path.replace("/{key}", "").rpartition("/")[2] for call in CALLS if call.needs == needs}
    assert found == paths


def test_what_is_only_computed_needs_no_more_than_to_read() -> None:
    computed = {call.path for call in CALLS if call.method == "POST" and call.needs == READ}
    assert computed == {
        "/v1/architectures/compare",
        "/v1/architectures/diagram",
        "/v1/architectures/summary",
        "/v1/datasets/{dataset_id}/augmentation-preview",
        "/v1/evaluations/compare",
        "/v1/operations/augment",
        "/v1/operations/convolve",
        "/v1/operations/{operation_type}",
        "/v1/signed-addresses",
        "/v1/training-steps",
        "/v2/repository/index",
    }
    assert {call.method for call in CALLS if call.needs == WRITE} == {"POST", "PUT", "PATCH", "DELETE"}
    assert all(call.needs != WRITE for call in CALLS if call.method == "GET")


def test_scopes_include_one_another() -> None:
    assert included([READ]) == {READ}
    assert included([PREDICT]) == {PREDICT}
    assert included([WRITE]) == {READ, PREDICT, WRITE}
    assert included([ADMIN]) == set(MEANINGS)
    assert included(["read", "of-a-later-version"]) == {READ}
