"""ONNX files that were made to do harm, sent to a server: a 4xx in words for each, and nothing of it is stored."""

from __future__ import annotations

import httpx
import pytest

from tests.engine.hostile import CORPUS


def stored(http: httpx.Client) -> list[str]:
    return [model["id"] for model in http.get("/v1/models?limit=200").json()["data"]]


@pytest.mark.slow
def test_hostile_files_are_refused_and_leave_nothing(http: httpx.Client) -> None:
    before = stored(http)
    answers = {}
    for name, (make, said) in CORPUS.items():
        if not said:
            continue  # strange, but a network
        made = make()
        content = made if isinstance(made, bytes) else made.SerializeToString()
        answer = http.post("/v1/models/import", files={"file": ("hostile.onnx", content)}, timeout=60)
        assert len(answer.text) < 10_000, name
        assert "Traceback" not in answer.text, name
        answers[name] = (answer.status_code, answer.headers["content-type"])
    assert set(answers.values()) == {(422, "application/problem+json")}, answers
    assert stored(http) == before
    assert http.get("/readyz").status_code == 200
