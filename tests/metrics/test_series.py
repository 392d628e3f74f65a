"""Numbers in shared memory: nothing counted is lost, whatever the end of a process was, and nobody disturbs another."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.metrics.families import FAST_SECONDS, PREDICTIONS, REQUEST_SECONDS
from app.metrics.metrics import MOST_MODELS, OTHER, Metrics, read_key
from app.processes.anonymous import anonymous_file
from app.processes.series import Places, Series


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    with closing(Places.make(tmp_path, 2)) as made:
        yield made


def found(series: Series) -> dict[tuple[int, str], tuple[float, ...]]:
    return {(reading.place, reading.key): reading.values for reading in series.readings()}


def test_each_reads_what_the_others_count(places: Places) -> None:
    one, other = Series.of(places.descriptor, 0), Series.of(places.descriptor, 1)
    one.find("a", 1)[0] += 2
    other.find("a", 1)[0] += 3
    other.find("letters: äöü", 2)[1] = 5
    assert found(one) == found(other) == {(0, "a"): (2,), (1, "a"): (3,), (1, "letters: äöü"): (0, 5)}


def test_what_a_process_has_counted_outlives_it_and_its_state_does_not(places: Places) -> None:
    one, other = Series.of(places.descriptor, 0), Series.of(places.descriptor, 1)
    other.find("counted", 1)[0] = 7
    other.find("open", 1, passing=True)[0] = 3
    places.vacate(1)
    assert found(one) == {(1, "counted"): (7,)}
    replacement = Series.of(places.descriptor, 1)
    assert found(one) == {(1, "counted"): (7,), (1, "open"): (0,)}
    replacement.find("counted", 1)[0] += 1
    assert found(one)[1, "counted"] == (8,)


def test_who_is_killed_in_the_middle_of_making_a_series_leaves_the_others_whole(places: Places) -> None:
    """The number of used words is written last: without it, what was begun is as if it had never been."""
    one = Series.of(places.descriptor, 0)
    one.find("first", 1)[0] = 1
    used = one._words[0]
    one.find("half", 1)[0] = 9
    one._words[0] = used
    again = Series.of(places.descriptor, 0)
    assert found(again) == {(0, "first"): (1,)}
    again.find("another", 1)[0] = 2
    assert found(again) == {(0, "first"): (1,), (0, "another"): (2,)}


def test_a_place_that_is_full_says_so_once_and_counts_on(caplog: pytest.LogCaptureFixture) -> None:
    series = Series.alone()
    series.find("kept", 1)[0] = 1
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            series.find(f"{number}" * 400_000, 1)[0] += 1
    assert [record.message for record in caplog.records] == ["series_not_counted"]
    series.find("kept", 1)[0] += 1
    assert found(series)[0, "kept"] == (2,)


def test_no_thread_takes_the_count_of_another_back() -> None:
    metrics = Metrics.alone()

    def count() -> None:
        for _ in range(20_000):
            metrics.counter(PREDICTIONS, "m").add()
            metrics.histogram(REQUEST_SECONDS, "GET", "/", "200").observe(0.003)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = {read_key(key)[0]: numbers for (_, key), numbers in found(metrics.series).items()}
    assert values[PREDICTIONS.name] == (80_000,)
    sum_, *buckets = values[REQUEST_SECONDS.name]
    assert sum_ == pytest.approx(240)
    assert {FAST_SECONDS[at]: count for at, count in enumerate(buckets) if count} == {0.005: 80_000}


def test_there_is_a_bound_on_the_models_that_are_told_apart_and_it_is_that_of_all_processes(
    places: Places,
) -> None:
    one, other = (Metrics(Series.of(places.descriptor, number)) for number in (0, 1))

    def count(metrics: Metrics, name: str) -> str:
        label = metrics.model(name)
        metrics.counter(PREDICTIONS, label).add()
        return label

    for number in range(MOST_MODELS):
        assert count((one, other)[number % 2], f"m{number}") == f"m{number}"
    assert count(one, "late") == count(other, "later") == OTHER
    assert count(other, "m0") == "m0"  # known, if not here


def test_where_the_system_has_no_such_memory_a_file_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    descriptor = anonymous_file(tmp_path, 3 * (1 << 20) + 5)
    try:
        status = os.fstat(descriptor)
        assert (status.st_size, status.st_nlink) == (3 * (1 << 20) + 5, 0)
        assert status.st_blocks * 512 >= status.st_size
        assert not list(tmp_path.iterdir())
    finally:
        os.close(descriptor)
