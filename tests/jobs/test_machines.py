"""The file with what was measured of a machine: whatever becomes of it, there is an answer."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.files import machines
from app.files.artifacts import LocalArtifacts
from app.files.machines import kept, known_tuning, measure_and_keep, measured_tuning, name_of
from app.jobs.work.executions import measured
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.share import pins
from engine.inputs.preprocessing import Preprocessing
from engine.machine import measure as measuring
from engine.machine.machine import Identity, Machine
from engine.training.state import TrainingState
from tests.machines import machine


@pytest.fixture
def measures(monkeypatch: pytest.MonkeyPatch) -> list[Machine]:
    """What was measured, instead of this machine: another one each time."""
    done: list[Machine] = []

    def measure() -> Machine:
        done.append(machine(narrow=1 + len(done) / 10))
        return done[-1]

    monkeypatch.setattr(measuring, "measure", measure)
    return done


def test_a_machine_is_measured_once(tmp_path: Path, measures: list[Machine]) -> None:
    assert kept(tmp_path) is None
    found = measure_and_keep(tmp_path)
    assert kept(tmp_path) == found
    for look in (known_tuning, measured_tuning):
        assert look(tmp_path) == Tuning.of(found)
    assert len(measures) == 1


def test_another_machine_or_library_has_a_file_of_its_own(tmp_path: Path, measures: list[Machine]) -> None:
    measure_and_keep(tmp_path)
    here = Identity.here()
    names = {
        name_of(here.model_copy(update=other))
        for other in ({}, {"processor": "another"}, {"kernels": "others"}, {"numpy": "9.0"})
    }
    assert len(names) == 4


@given(text=st.text())
def test_any_processor_gives_the_name_of_an_artifact(text: str) -> None:
    name = name_of(Identity(version=1, processor=text, kernels="", numpy="2.4"))
    assert LocalArtifacts(Path("/data")).local_path(name).parent == Path("/data/machines")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_was_torn_does_not_count(tmp_path: Path, share: float) -> None:
    path = tmp_path / name_of(Identity.here())
    path.parent.mkdir(exist_ok=True)
    whole = machine().model_dump_json().encode()
    path.write_bytes(whole[: int(share * len(whole))])
    assert kept(tmp_path) is None
    assert known_tuning(tmp_path).figures is None


@pytest.mark.parametrize(
    "foreign", [{"processor": "another"}, {"kernels": "others"}, {"numpy": "0.1"}, {"version": 0}]
)
def test_figures_of_another_machine_do_not_count(
    tmp_path: Path, foreign: dict[str, Any], measures: list[Machine], caplog: pytest.LogCaptureFixture
) -> None:
    """As where a data directory was copied, and somebody renamed the file."""
    other = machine(Identity.here().model_copy(update=foreign))
    path = tmp_path / name_of(Identity.here())
    path.parent.mkdir()
    path.write_text(other.model_dump_json())
    assert kept(tmp_path) is None
    assert "another machine" in caplog.text
    assert measure_and_keep(tmp_path) == kept(tmp_path) == measures[0]


def test_a_place_that_cannot_be_read_or_written_stops_nothing(
    tmp_path: Path, measures: list[Machine], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "machines").write_text("a file where the directory should be")
    assert kept(tmp_path) is None
    assert "cannot be read" in caplog.text
    assert measure_and_keep(tmp_path) == measures[0]
    assert "cannot be kept" in caplog.text


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_stops_nothing(
    tmp_path: Path, fault: int, measures: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: Any) -> None:
        raise OSError(fault, "cannot be written")

    monkeypatch.setattr(LocalArtifacts, "write", write)
    assert measure_and_keep(tmp_path) == measures[0]
    assert kept(tmp_path) is None


def test_a_job_measures_where_nothing_is_known_of_the_library(
    tmp_path: Path, measures: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "products_use_avx512", lambda: False)
    assert measured_tuning(tmp_path).figures is None
    assert not measures
    monkeypatch.setattr(machines, "products_use_avx512", lambda: None)
    assert measured_tuning(tmp_path) == measured_tuning(tmp_path) == Tuning.of(measures[0])
    assert len(measures) == 1


def test_a_run_that_goes_on_takes_what_it_began_with(tmp_path: Path, measures: list[Machine]) -> None:
    state = TrainingState({}, {}, Preprocessing(mean=(0.5,), deviation=(0.3,)))
    measure_and_keep(tmp_path)
    began = measured(state, tmp_path)
    state.pins = pins(1, began)
    measure_and_keep(tmp_path)
    assert measured_tuning(tmp_path) != began
    assert measured(state, tmp_path) == began
