"""Calls by chance, made of the OpenAPI document: every answer must be one that it names, in the form that it says.

`make test` makes a few of each operation, always the same ones; `make fuzz` makes 500, others each time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from app.cli.launch import ServerProcess
from tests.conftest import connect

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
METHODS = {"delete", "get", "head", "options", "patch", "post", "put", "trace"}
LABELS = [
    f"{method.upper()} {path}"
    for path, item in DOCUMENT["paths"].items()
    for method in item
    if method in METHODS
]
"""Operations as Schemathesis calls them. It is imported by the process alone that makes the calls: that takes long."""
ARCHITECTURE = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "flatten"}, {"type": "dense", "units": 10}],
}
KEY = "a-long-random-key"
MAY_BE_BUSY = {503, 507}
"""What a server may answer whose cores or disk are taken."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("calls")
    # downloads come from an empty folder: no call leaves the machine
    given = {"CORES": "1", "API_KEY": KEY, "DATASET_MIRROR": str(folder), "WEBHOOK_PRIVATE": "false"}
    with ServerProcess(folder / "data", folder / "log", given) as url:
        yield url


@pytest.fixture(scope="module")
def operations() -> dict[str, Any]:
    import schemathesis  # noqa: PLC0415

    found = {
        each.ok().label: each.ok() for each in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    }
    assert sorted(found) == sorted(LABELS)
    return found


@pytest.fixture(scope="module")
def checks() -> list[Any]:
    """What is looked at; the last one knows nothing of streams."""
    from schemathesis import checks  # noqa: PLC0415

    return [
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
    ]


@pytest.fixture(scope="module")
def known(server: str) -> dict[str, str]:
    """Return ids of what there is, so that calls find something."""
    with connect(server, Authorization=f"Bearer {KEY}") as client:
        made = {
            "job_id": (
                "/v1/training-jobs",
                {"architecture": ARCHITECTURE, "dataset": "digits", "epochs": 1},
            ),
            "evaluation_id": ("/v1/evaluations", {"model": "model_example", "dataset": "digits"}),
            "architecture_id": ("/v1/architectures", ARCHITECTURE | {"name": "a"}),
            "key": ("/v1/keys", {"name": "a", "scopes": ["admin"]}),
        }
        ids = {}
        for name, (path, body) in made.items():
            answer = client.post(path, json=body)
            assert answer.is_success, f"{path}: {answer.text}"
            ids[name] = answer.json()["id"]
    return ids | {
        "model_id": "model_example",
        "model_name": "lenet-5-digits",
        "dataset_id": "digits",
        "number": "7",
    }


@pytest.mark.parametrize("label", LABELS)
def test_answers_are_those_of_the_document(
    label: str,
    server: str,
    known: dict[str, str],
    operations: dict[str, Any],
    checks: list[Any],
    request: pytest.FixtureRequest,
) -> None:
    operation = operations[label]
    count: int = request.config.getoption("--calls")
    calls = 0
    answers: Counter[str] = Counter()

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=count < 10,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        nonlocal calls
        calls += 1
        # every other call is about something that exists
        if calls % 2:
            case.path_parameters |= {name: known[name] for name in case.path_parameters if name in known}
        if label == "GET /v1/events":  # else it has no end
            case.query["job"] = ["job_example"]
        answer = case.call(server, headers={"Authorization": f"Bearer {KEY}"}, timeout=120)
        answers[str(answer.status_code)] += 1
        assert answer.status_code < 500 or answer.status_code in MAY_BE_BUSY, answer.text
        # the schema says what the whole of a stream is: text; Schemathesis takes it for that of one event
        streamed = "text/event-stream" in str(answer.headers.get("content-type"))
        case.validate_response(answer, checks=checks[:-1] if streamed else checks)

    try:
        ask()
    finally:
        request.node.user_properties += answers.items()
    assert calls
