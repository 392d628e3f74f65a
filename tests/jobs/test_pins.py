"""A run goes on from a checkpoint of other libraries, or of other arithmetic, and says that its bytes will differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.api.requests.training_jobs import TrainingJobRequest
from app.files import paths
from app.files.machines import name_of
from app.jobs.accept.warm_start import continued_job
from app.jobs.requests import TrainingRequest
from engine.environment import pins as library_pins
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.share import pins
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.training.checkpoint import checkpoint_bytes, read_checkpoint
from engine.training.state import TrainingState
from tests.jobs.service import Service, new_service
from tests.machines import machine


def begin_with(service: Service, job_id: str, known: dict[str, str]) -> None:
    """Leave the state that a job begins with, as if it had been computed with what is pinned."""
    request = TrainingRequest.model_validate(service.store.jobs.get(job_id).request)
    network = Network.build(request.architecture)
    weights = network.initial_weights(0)
    slots = {
        name: request.optimizer.first_slots(weights[name])
        for name, spec in network.weight_specs.items()
        if spec.trainable
    }
    state = TrainingState(weights, slots, Preprocessing(mean=(0.5,), deviation=(0.3,)))
    state.pins = known
    service.artifacts.write(paths.initial(job_id), checkpoint_bytes(state))


def pinned_tuning(service: Service, job_id: str) -> Tuning:
    """Return what the last checkpoint of a job says that it computes by."""
    job = service.store.jobs.get(job_id)
    request = TrainingRequest.model_validate(job.request)
    assert job.checkpoint is not None
    path = service.artifacts.local_path(job.checkpoint["name"])
    state = read_checkpoint(path, Network.build(request.architecture), request.stages[0])
    return Tuning.model_validate_json(state.pins["tuning"])


@pytest.mark.parametrize("missing", [pytest.param(None, marks=pytest.mark.slow), "engine"])
def test_a_checkpoint_of_other_arithmetic_makes_no_promise(tmp_path: Path, missing: str | None) -> None:
    """Releases before pinned no revision of the engine: what they drew for dropout is drawn otherwise now."""
    with new_service(tmp_path) as service:
        job_id = service.train(epochs=1, continue_from="job_before")
        known = library_pins(1) | pins(1, Tuning())
        known.pop(missing or "", None)
        begin_with(service, job_id, known)
        service.run()
        job = service.wait_end(job_id)
        assert job.progress["exact_resume"] is (missing is None)
        said = "not the same as before: ['engine']" in service.log(job_id, 1)
        assert said is (missing is not None)
        assert np.isfinite(job.progress["train_loss"])

        # what goes on from there is no more exact than that
        asked = TrainingJobRequest(continue_from=job_id, epochs=1)
        following = continued_job(asked, job_id, service.store, service.artifacts, service.settings())
        service.store.jobs.create(following)
        assert service.wait_end(following.id).progress["exact_resume"] is (missing is None)


def test_a_run_that_goes_on_computes_by_the_figures_that_it_began_with(tmp_path: Path) -> None:
    """Whatever has been measured of the machine since; a run that begins goes by that."""
    before, now = machine(narrow=2.0), machine()
    with new_service(tmp_path) as service:
        service.artifacts.write(name_of(now.identity), now.model_dump_json().encode())
        goes_on = service.train(epochs=1, continue_from="job_before")
        begin_with(service, goes_on, library_pins(1) | pins(1, Tuning.of(before)))
        service.run()
        assert service.wait_end(goes_on).progress["exact_resume"] is True
        assert "not the same as before" not in service.log(goes_on, 1)
        assert pinned_tuning(service, goes_on) == Tuning.of(before)

        begins = service.train(epochs=1)
        assert service.wait_end(begins).progress["exact_resume"] is True
        assert pinned_tuning(service, begins) == Tuning.of(now)
