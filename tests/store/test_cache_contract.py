"""What was read and kept in memory equals what the database says, whoever has written to it since."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest

from app.errors import Conflict, NotFound, StaleAttempt
from app.jobs.kinds import TRAINING
from app.store import Store
from app.store.cache import Cache, Written, size_in_memory
from app.store.changes import SqliteChanges
from app.store.database import DATABASE_NAME
from app.store.records import ArchitectureRecord, DatasetContents, DatasetRecord, JobRecord, ModelRecord
from tests.store.databases import heard, only_sqlite

NAMES = [str(number) for number in range(4)]


def a_model(name: str, **changes: Any) -> ModelRecord:
    record = ModelRecord(f"model_{name}", "digits", f"models/{name}", "00", 5, ["a"], [2, 2, 1], {}, {})
    return replace(record, **changes)


def cached(store: Store, read: Callable[..., Any], *args: Any) -> Any:
    """Read as a server does on its event loop, without a thread."""
    held = store.cache.find(read, *args)
    if held is not None:
        return held.value
    counters = store.cache.counters(read)
    value = read(*args)
    assert counters is not None
    store.cache.keep(counters, value, store.cache.weigh(value), read, *args)
    return value


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    try:
        return call(*args)
    except NotFound as error:
        return str(error)


def reads(store: Store) -> list[tuple[Callable[..., Any], str]]:
    models = [f"model_{name}" for name in NAMES] + ["digits@1", "digits@2", "digits@best", "digits@last"]
    return [
        *((store.models.find, reference) for reference in models),
        *((store.models.get, f"model_{name}") for name in NAMES),
        *((store.datasets.get, f"ds_{name}") for name in NAMES),
        *((store.architectures.get, f"arch_{name}") for name in NAMES),
        *((store.jobs.get, f"job_{name}") for name in NAMES),
    ]


def writes(store: Store, name: str, draw: random.Random) -> list[Callable[[], Any]]:
    """Return one write of each sort, to what has a name."""
    models, datasets, jobs = store.models, store.datasets, store.jobs
    error = {"code": "internal", "message": "stop"}
    contents = DatasetContents([], {"train": 1}, [2, 2, 1], 1, 9)
    job = f"job_{name}"
    return [
        lambda: models.create(a_model(name)),
        lambda: models.change(f"model_{name}", {"description": str(draw.random())}),
        lambda: models.delete(f"model_{name}"),
        lambda: models.set_alias("digits", draw.choice(["best", "last"]), f"model_{name}"),
        lambda: models.delete_alias("digits", draw.choice(["best", "last"])),
        lambda: datasets.create(DatasetRecord(f"ds_{name}", name)),
        lambda: datasets.finish(f"ds_{name}", contents),
        lambda: datasets.fail(f"ds_{name}", error),
        lambda: datasets.delete(f"ds_{name}"),
        lambda: store.architectures.create(ArchitectureRecord(f"arch_{name}", name, {})),
        lambda: store.architectures.delete(f"arch_{name}"),
        lambda: jobs.create(JobRecord(job, TRAINING.name, {"epochs": draw.randint(1, 9)})),
        lambda: jobs.claim_next([TRAINING.name]),
        lambda: jobs.beat(job, 1, {"step": draw.randint(1, 1000)}),
        lambda: jobs.record_epoch(job, 1, {"epoch": draw.randint(1, 9), "loss": draw.random()}),
        lambda: jobs.record_checkpoint(job, 1, {"name": str(draw.random())}),
        lambda: jobs.succeed(job, 1, model=a_model(name)),
        lambda: jobs.requeue(job, 1),
        lambda: jobs.fail(job, 1, error),
        lambda: jobs.request_cancel(job),
        lambda: jobs.delete(job),
    ]


@pytest.mark.parametrize("seed", range(2))
def test_what_is_kept_equals_what_is_read_whatever_is_written(
    open_store: Callable[[], Store], seed: int, address: str | None
) -> None:
    here, there = open_store(), open_store()
    here.migrate()
    heard(here)
    # of what others write on PostgreSQL tests/cluster/test_notices.py tells
    writers = [here, there] if address is None else [here]
    draw = random.Random(seed)  # noqa: S311 - a sequence that comes again
    kept = changed = 0
    for _ in range(80):
        writer, name = draw.choice(writers), draw.choice(NAMES)
        for read, key in draw.sample(
            reads(here), 4
        ):  # some are in memory before the write, in different states
            outcome(cached, here, read, key)
        try:
            draw.choice(writes(writer, name, draw))()
            changed += 1
        except (
            NotFound,
            Conflict,
            StaleAttempt,
        ):  # what the rows do not allow, such as a second row of one id
            pass
        for read, key in draw.sample(reads(here), 8):
            kept += here.cache.find(read, key) is not None
            assert outcome(cached, here, read, key) == outcome(read, key)
    assert changed > 15
    assert kept > 50


@only_sqlite
def test_a_row_is_read_again_only_after_its_table_has_changed(open_store: Callable[[], Store]) -> None:
    here, there = open_store(), open_store()
    here.migrate()
    here.models.create(a_model("1"))
    record = cached(here, here.models.find, "model_1")
    there.jobs.create(JobRecord("job_1", TRAINING.name, {}))
    there.datasets.create(DatasetRecord("ds_1", "d"))
    assert cached(here, here.models.find, "model_1") is record
    there.models.set_alias("digits", "best", "model_1")
    assert here.cache.find(here.models.find, "model_1") is None


@only_sqlite
def test_a_write_of_another_process_is_seen_at_once(open_store: Callable[[], Store], tmp_path: Path) -> None:
    store = open_store()
    store.migrate()
    store.models.create(a_model("1"))
    store.models.create(a_model("2"))
    store.models.set_alias("digits", "best", "model_1")
    program = (
        "import sys; from pathlib import Path; from app.store import Store\n"
        f"store = Store(Path({str(tmp_path / 'data')!r}))\n"
        "for line in sys.stdin:\n"
        "    store.models.set_alias('digits', 'best', line.strip()); print('done', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        for turn in range(20):
            wanted = f"model_{turn % 2 + 1}"
            other.stdin.write(wanted + "\n")
            other.stdin.flush()
            assert other.stdout.readline() == "done\n"
            assert cached(store, store.models.find, "digits@best").id == wanted
        other.stdin.close()


def test_what_is_written_while_a_row_is_read_is_not_missed(open_store: Callable[[], Store]) -> None:
    here = there = open_store()
    here.migrate()
    heard(here)
    here.models.create(a_model("1"))
    counters = here.cache.counters(here.models.find)
    assert counters is not None
    read_before = here.models.find("model_1")
    there.models.change("model_1", {"description": "new"})
    here.cache.keep(counters, read_before, 100, here.models.find, "model_1")
    assert cached(here, here.models.find, "model_1").description == "new"


@only_sqlite
def test_nothing_is_answered_from_memory_while_the_database_is_taken(store: Store, tmp_path: Path) -> None:
    store.models.create(a_model("1"))
    record = cached(store, store.models.find, "model_1")
    file = tmp_path / "data" / DATABASE_NAME
    with closing(SqliteChanges(file.with_name("missing"))) as nowhere:
        assert nowhere.counters((store.models.table,)) is None
        cache = Cache(nowhere)
        cache.keep((0, 0), record, 100, store.models.find, "model_1")
        assert cache.find(store.models.find, "model_1") is None
    assert not file.with_name("missing").exists()
    assert store.cache.find(store.models.find, "model_1") is not None


@only_sqlite
def test_the_cache_is_bounded_by_number_and_by_bytes(store: Store, tmp_path: Path) -> None:
    names = [str(number) for number in range(6)]
    for name in names:
        store.models.create(a_model(name, description="x" * 1000))
    read = store.models.get
    size = size_in_memory(read("model_0"))
    assert size > 1000

    def held(**limits: int) -> list[str]:
        with closing(SqliteChanges(tmp_path / "data" / DATABASE_NAME)) as changes:
            cache = Cache(changes, **limits)
            counters = cache.counters(read)
            assert counters is not None
            for name in names:
                record = read(f"model_{name}")
                cache.keep(counters, record, cache.weigh(record), read, f"model_{name}")
                cache.find(read, "model_0")  # so that it is not the one used longest ago
            return [name for name in names if cache.find(read, f"model_{name}") is not None]

    assert held(max_reads=2) == ["0", "5"]
    assert held(max_bytes=5 * size - 1) == ["0", "3", "4", "5"]
    assert held(max_bytes=3 * size) == []  # no row takes more than a quarter of the room


@only_sqlite
def test_every_change_of_a_watched_table_is_counted_by_the_database_itself(
    store: Store, tmp_path: Path
) -> None:
    store.architectures.create(ArchitectureRecord("arch_1", "a", {}))
    read = store.architectures.get
    statements = [
        "UPDATE architectures SET name = 'b' WHERE id = 'arch_1'",
        "INSERT OR REPLACE INTO architectures SELECT * FROM architectures",
        "DELETE FROM architectures",
    ]
    with closing(connect(tmp_path / "data" / DATABASE_NAME, isolation_level=None)) as connection:
        for statement in statements:
            before = store.cache.counters(read)
            connection.execute(statement)
            assert store.cache.counters(read) != before


def test_what_is_committed_is_seen_from_the_next_turn_of_the_event_loop_on(tmp_path: Path) -> None:
    with closing(Store(tmp_path)) as store, closing(Store(tmp_path)) as other:
        store.migrate()

        async def look() -> None:
            for name in NAMES:
                with pytest.raises(NotFound):
                    cached(store, store.architectures.get, f"arch_{name}_{id(look)}")
                other.architectures.create(ArchitectureRecord(f"arch_{name}", name, {}))
                await asyncio.sleep(0)
                assert cached(store, store.architectures.get, f"arch_{name}").name == name
                other.architectures.delete(f"arch_{name}")
                # one that wrote it is told in a later turn at the soonest
                await asyncio.sleep(0)
                with pytest.raises(NotFound):
                    cached(store, store.architectures.get, f"arch_{name}")

        # a loop that ends in the middle of a turn leaves nothing behind for the next one
        asyncio.run(look())
        asyncio.run(look())


def test_what_is_too_large_to_be_kept_is_not_weighed_to_its_end() -> None:
    looked_at = []

    class Item:
        def __sizeof__(self) -> int:
            looked_at.append(self)
            return 100

    size_in_memory([Item() for _ in range(1000)], 10_000)
    assert len(looked_at) < 100


def test_what_a_record_was_written_as_counts_for_that_very_record_alone() -> None:
    written = Written(2)
    before = JobRecord("job_1", "training", {})
    after = replace(before)
    assert before == after
    written.keep("job_1", before, b"before")
    assert written.find("job_1", before) == b"before"
    assert written.find("job_1", after) is None
    written.keep("job_1", after, b"after")
    assert (written.find("job_1", before), written.find("job_1", after)) == (None, b"after")
    for other in ("job_2", "job_3"):
        written.keep(other, before, b"other")
    assert written.find("job_1", after) is None
    assert written.find("job_3", before) == b"other"
