"""What every kind of job has: a signed message of its end, events to its end, a log, a start and an end in the log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.jobs.kinds import ASKED_FOR
from tests.http.receiver import SECRET, Receiver, receiving, verify
from tests.http.several import TRAINING, Connect, WaitFor, events, pictures

pytestmark = pytest.mark.slow

Ask = Callable[[httpx.Client, str], httpx.Response]

ASK: Mapping[str, Ask] = {
    "training": lambda http, url: http.post("/v1/training-jobs", json=TRAINING | {"webhook": {"url": url}}),
    "evaluation": lambda http, url: http.post(
        "/v1/evaluations", json={"model": "model_example", "dataset": "digits", "webhook": url}
    ),
    "batch_prediction": lambda http, url: http.post(
        "/v1/batch-predictions",
        files={"file": ("a.zip", pictures())},
        data={"model": "model_example", "webhook": url},
    ),
    "ingestion": lambda http, url: http.post(
        "/v1/datasets", files={"file": ("a.zip", pictures())}, data={"name": "made", "webhook": url}
    ),
    "addition": lambda http, url: http.post(
        f"/v1/datasets/{_ready(http)}/images",
        files={"file": ("a.zip", pictures(side=10))},
        data={"webhook": url},
    ),
    # there is nothing at its mirror: it fails
    "download": lambda http, url: http.post(
        "/v1/datasets/downloads", json={"dataset": "mnist", "webhook": {"url": url}}
    ),
}
ENDS = dict.fromkeys(ASKED_FOR, "succeeded") | {"download": "failed"}


def _ready(http: httpx.Client) -> str:
    """Return a data set that can be added to: the one that was made before."""
    made = http.get("/v1/datasets?name=made&status=ready").json()["data"]
    return str(made[0]["id"])


@dataclass
class Ended:
    """Jobs that have ended, and the messages of that by kind."""

    service: ServerProcess
    http: httpx.Client
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def job(self, kind: str) -> str:
        return str(self.messages[kind][0]["data"]["id"])


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, connect: Connect, wait_for: WaitFor) -> Iterator[Ended]:
    folder = tmp_path_factory.mktemp("kinds")
    settings = {
        "WEBHOOK_SECRET": SECRET, "WEBHOOK_PRIVATE": "true", "LOG_FORMAT": "json", "CORES": "1",
        "DATASET_MIRROR": str(folder / "mirror"),
    }  # fmt: skip
    service = ServerProcess(folder / "data", folder / "log", settings)
    with service as url, connect(url) as http, receiving() as receiver:
        found = Ended(service, http)
        for kind, ask in ASK.items():
            answer = ask(http, receiver.url)
            assert answer.status_code == 202, answer.text
            found.answers[kind] = answer.json()
            if kind == "ingestion":
                wait_for(lambda: _of(receiver).get("ingestion"), "the data set")
        wait_for(lambda: len(_of(receiver)) == len(ASK), "all messages")
        for _, headers, body in receiver.got:
            verify(headers, body)
        found.messages = _of(receiver)
        yield found


def _of(receiver: Receiver) -> dict[str, list[dict[str, Any]]]:
    messages: dict[str, list[dict[str, Any]]] = {}
    for _, _, body in receiver.got:
        message = json.loads(body)
        messages.setdefault(message["data"]["kind"], []).append(message)
    return messages


def test_the_cases_are_those_that_there_are() -> None:
    assert ASK.keys() == set(ASKED_FOR)


@pytest.mark.parametrize("kind", ASKED_FOR)
def test_its_end_is_announced(ended: Ended, kind: str) -> None:
    (message,) = ended.messages[kind]
    assert message["type"] == f"{kind}.{ENDS[kind]}"
    assert message["data"]["status"] == ENDS[kind]
    assert (message["data"]["error"] is None) == (ENDS[kind] == "succeeded")


@pytest.mark.parametrize("kind", ASKED_FOR)
def test_it_can_be_followed_to_its_end(ended: Ended, kind: str) -> None:
    text = ended.http.get("/v1/events", params={"job": ended.job(kind)}, headers={"Last-Event-ID": "0"}).text
    assert f'"status":"{ENDS[kind]}"' in text
    assert "event: end" in text


@pytest.mark.parametrize("kind", ASKED_FOR)
def test_its_start_and_its_end_are_in_the_log(ended: Ended, kind: str, wait_for: Callable[..., Any]) -> None:
    job = ended.job(kind)

    def lines(event: str) -> list[dict[str, Any]]:
        return [line for line in events(ended.service, event) if line["job"] == job]

    wait_for(lambda: lines("job_ended"), "the line of its end, which comes a moment later")
    (start,), (end,) = lines("worker_started"), lines("job_ended")
    assert (start["kind"], end["kind"], end["status"]) == (kind, kind, ENDS[kind])
    assert bool(end["reason"]) == (ENDS[kind] == "failed")


@pytest.mark.parametrize("kind", ASKED_FOR)
def test_what_its_worker_wrote_can_be_read(ended: Ended, kind: str) -> None:
    places = {
        "training": "/v1/training-jobs/{job}/log",
        "evaluation": "/v1/evaluations/{job}/log",
        "batch_prediction": "/v1/batch-predictions/{job}/log",
    }
    dataset = ended.answers[kind].get("dataset_id") or ended.answers[kind]["id"]
    path = places.get(kind, "/v1/datasets/{dataset}/log").format(job=ended.job(kind), dataset=dataset)
    text = ended.http.get(path).text
    assert f"attempt 1 of {kind} {ended.job(kind)}" in text


@pytest.mark.parametrize(
    ("kind", "path"),
    [("training", "training-jobs"), ("evaluation", "evaluations"), ("batch_prediction", "batch-predictions")],
)
def test_its_own_calls_show_what_became_of_the_message_and_what_happened(
    ended: Ended, kind: str, path: str, wait_for: WaitFor
) -> None:
    one = f"/v1/{path}/{ended.job(kind)}"
    assert ended.answers[kind]["webhook"]["status"] == "pending"
    wait_for(lambda: ended.http.get(one).json()["webhook"]["status"] == "delivered", "the delivery")
    (listed,) = [job for job in ended.http.get(f"/v1/{path}").json()["data"] if job["id"] == ended.job(kind)]
    assert listed["webhook"] == ended.http.get(one).json()["webhook"]
    text = ended.http.get(f"{one}/events").text
    assert text.count("event: end") == 1


@pytest.mark.parametrize("kind", ASKED_FOR)
def test_without_a_secret_none_is_taken(http: httpx.Client, kind: str) -> None:
    if kind == "addition":
        answer = http.post(
            "/v1/datasets/digits/images",
            files={"file": ("a.zip", pictures())},
            data={"webhook": "http://127.0.0.1/"},
        )
        assert answer.status_code in (409, 422)  # what is built in cannot be added to, whatever is asked
        return
    answer = ASK[kind](http, "http://127.0.0.1/")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/no-webhook-secret")
