"""The table of states: complete, and without a way back from the end."""

from __future__ import annotations

import inspect

import pytest

from app import states
from app.states import ACTIVE, FINISHED, TRANSITIONS, UNFINISHED, JobStatus, can_move


def test_every_state_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(JobStatus)
    assert set(JobStatus) == FINISHED | UNFINISHED
    assert not FINISHED & UNFINISHED
    assert {"succeeded", "failed", "cancelled"} == FINISHED
    assert ACTIVE < UNFINISHED


def test_the_end_is_reached_from_everywhere_and_left_from_nowhere() -> None:
    reachable = {JobStatus.QUEUED}
    while (more := reachable.union(*(TRANSITIONS[status] for status in reachable))) != reachable:
        reachable = more
    assert reachable == set(JobStatus)
    for status in FINISHED:
        assert not any(can_move(status, target) for target in JobStatus)
    for status in UNFINISHED:
        assert can_move(status, JobStatus.CANCELLED) or can_move(status, JobStatus.CANCELLING)


def test_nothing_moves_to_itself() -> None:
    assert not any(can_move(status, status) for status in JobStatus)


@pytest.mark.parametrize("status", JobStatus)
def test_each_state_says_what_it_means(status: JobStatus) -> None:
    source = inspect.getsource(states.JobStatus)
    after = source.split(f'{status.name} = "{status.value}"\n', 1)[1].lstrip()
    assert after.startswith('"""')
    text = after[3:].split('"""', 1)[0]
    if status.finished:
        assert "Final" in text
    else:
        assert "oes to" in text
