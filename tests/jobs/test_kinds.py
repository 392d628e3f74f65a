"""The registry of the kinds of jobs: each record keeps what the others rely on."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re

import pytest

from app.jobs.kinds import DATASET_WRITERS, KINDS, TRAINING, Kind, lanes
from app.jobs.requests import EvaluationRequest, JobRequest
from app.jobs.uploads import uploads_of
from app.settings import Settings

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


@every_kind
def test_a_kind_is_complete(kind: Kind) -> None:
    assert KINDS[kind.name] is kind
    assert re.fullmatch(r"[a-z_]+", kind.name)
    assert re.fullmatch(r"[a-z]+_[0-9a-z]{26}", kind.new_id())
    assert kind.lane.slots(Settings(max_jobs=3)) >= 1
    assert importlib.util.find_spec(kind.work) is not None
    names = list(inspect.signature(kind.load_work()).parameters)
    assert names == ["job", "store", "artifacts", "settings", "beat"]


@every_kind
def test_the_runner_has_a_lane_for_it(kind: Kind) -> None:
    assert sum(kind.name in names for names in lanes().values()) == 1


@every_kind
def test_its_request_names_what_it_says_it_reads(kind: Kind) -> None:
    fields = set(kind.request.model_fields)
    assert bool(fields & {"dataset", "dataset_id"}) == (kind.dataset is not None)
    assert ("model" in fields) == kind.reads_model
    assert (kind.name in DATASET_WRITERS) == (kind.dataset in ("makes", "extends"))


@every_kind
def test_cleanup_finds_every_upload_of_its_requests(kind: Kind) -> None:
    names = {f"uploads/{number}" for number in range(4)}
    request = {"upload": "uploads/0", "labels": "uploads/1"}
    request |= {"files": [{"upload": "uploads/2"}, {"upload": "uploads/3"}]}
    assert uploads_of(request) == names
    places = {"upload", "labels", "files"} & set(kind.request.model_fields)
    assert json.dumps(kind.request.model_json_schema()).count('"^uploads/') == len(places)


def test_a_job_takes_the_request_of_its_kind() -> None:
    other = EvaluationRequest(model="m", dataset="d", dataset_images=1)
    with pytest.raises(TypeError, match="TrainingRequest"):
        TRAINING.job(other)
    assert KINDS["evaluation"].job(other).request == other.document()


def test_names_and_requests_are_of_one_kind_each() -> None:
    # a part of whatever job is a range of its pictures
    requests: list[type[JobRequest]] = [kind.request for kind in KINDS.values() if not kind.part]
    assert len(set(requests)) == len(requests)
    assert len({kind.work for kind in KINDS.values()}) == len(KINDS)
    assert len({kind.noun for kind in KINDS.values()}) == len(KINDS)
