"""What model files say about the making of the models is read once, as long as there is room for it."""

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from app.builtin.install import MODEL_FILE, RECORDS_FILE, from_document
from app.files.artifacts import LocalArtifacts
from app.models.provenance import Provenances, provenance
from app.store.cache import size_in_memory
from app.store.records import ModelRecord

PACKAGED = resources.files("app.builtin")


@pytest.fixture
def record() -> ModelRecord:
    return from_document(ModelRecord, json.loads((PACKAGED / RECORDS_FILE).read_bytes())["model"])


@pytest.fixture
def artifacts(tmp_path: Path, record: ModelRecord) -> LocalArtifacts:
    artifacts = LocalArtifacts(tmp_path)
    artifacts.write(record.path, (PACKAGED / MODEL_FILE).read_bytes())
    return artifacts


def test_a_file_is_read_once(artifacts: LocalArtifacts, record: ModelRecord) -> None:
    provenances = Provenances(artifacts)
    assert not provenances.holds(record)
    found = provenances.of(record)
    assert found is not None
    assert found["dataset"]["name"] == "Handwritten digits"
    assert provenances.holds(record)
    artifacts.delete(record.path)
    assert provenances.of(record) == found


def test_a_file_that_cannot_be_read_is_tried_again(artifacts: LocalArtifacts, record: ModelRecord) -> None:
    provenances = Provenances(artifacts)
    content = artifacts.local_path(record.path).read_bytes()
    artifacts.delete(record.path)
    assert provenances.of(record) is None
    assert not provenances.holds(record)
    artifacts.write(record.path, content)
    assert provenances.of(record) is not None


def test_what_was_asked_for_longest_ago_makes_room(artifacts: LocalArtifacts, record: ModelRecord) -> None:
    size = size_in_memory(provenance(artifacts, record))
    provenances = Provenances(artifacts, max_bytes=2 * size)
    first, second, third = (replace(record, sha256=letter * 64) for letter in "abc")
    for asked in (first, second, first, third):
        provenances.of(asked)
    assert [provenances.holds(one) for one in (first, second, third)] == [True, False, True]
