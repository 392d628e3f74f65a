"""What any store promises about leases: one holder at a time, and no write by one who is it no more."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.errors import LeaseLost
from app.ids import ARCHITECTURE, JOB, new_id
from app.store import Store
from app.store.leases import Lease
from app.store.records import ArchitectureRecord, JobRecord

NAME = "duties"
LONG = 600.0


@pytest.fixture
def put_clock(by_hand: Callable[[str], None]) -> Callable[[float], None]:
    """Lets the clock of the database have been put forward, or back, since leases were taken."""
    return lambda seconds: by_hand(f"UPDATE leases SET until = until - {seconds}")  # noqa: S608


def taken(store: Store, owner: str) -> Lease:
    lease = store.leases.take(NAME, owner, LONG)
    assert lease is not None
    return lease


def test_of_many_who_take_it_at_once_one_has_it(open_store: Callable[[], Store]) -> None:
    stores = [open_store() for _ in range(4)]
    stores[0].migrate()
    with ThreadPoolExecutor(len(stores)) as pool:
        owners = [f"process {number}" for number in range(len(stores))]
        found = [*pool.map(lambda store, owner: store.leases.take(NAME, owner, LONG), stores, owners)]
    (held,) = filter(None, found)
    assert stores[1].leases.holder(NAME) == held.owner
    assert held.term == 1


def test_while_it_is_held_nobody_else_gets_it(store: Store) -> None:
    assert store.leases.holder(NAME) is None
    lease = taken(store, "first")
    assert store.leases.take(NAME, "second", LONG) is None
    assert store.leases.take("another", "second", LONG) is not None
    store.leases.renew(lease)
    assert store.leases.holder(NAME) == "first"


def test_one_that_was_let_go_of_is_free_at_once(store: Store) -> None:
    lease = taken(store, "first")
    store.leases.release(lease)
    assert store.leases.holder(NAME) is None
    assert taken(store, "second").term == lease.term + 1
    store.leases.release(lease)
    assert store.leases.holder(NAME) == "second"


def test_one_that_has_run_out_is_free(store: Store, put_clock: Callable[[float], None]) -> None:
    lease = taken(store, "first")
    put_clock(LONG / 2)
    assert store.leases.take(NAME, "second", LONG) is None
    store.leases.renew(lease)
    put_clock(LONG / 2 + 1)
    assert store.leases.take(NAME, "second", LONG) is None
    put_clock(LONG / 2)
    assert store.leases.holder(NAME) is None
    assert taken(store, "second").owner == "second"
    with pytest.raises(LeaseLost):
        store.leases.renew(lease)


def test_one_that_has_run_out_and_nobody_has_taken_is_renewed(
    store: Store, put_clock: Callable[[float], None]
) -> None:
    lease = taken(store, "first")
    put_clock(LONG + 1)
    store.leases.renew(lease)
    assert store.leases.take(NAME, "second", LONG) is None


def test_a_clock_that_was_set_back_keeps_nobody_waiting(
    store: Store, put_clock: Callable[[float], None]
) -> None:
    taken(store, "first")
    put_clock(-3600)
    assert taken(store, "second").owner == "second"


def test_who_begins_anew_under_its_name_has_it_and_its_predecessor_has_not(store: Store) -> None:
    before = taken(store, "first")
    now = taken(store, "first")
    assert now.term == before.term + 1
    with pytest.raises(LeaseLost):
        store.leases.renew(before)
    store.leases.renew(now)


def test_who_has_lost_it_writes_nothing_more(open_store: Callable[[], Store]) -> None:
    store = open_store()
    store.migrate()
    lease = taken(store, "first")
    holder = store.under(lease)

    def write(writer: Store) -> str:
        return writer.architectures.create(ArchitectureRecord(new_id(ARCHITECTURE), "net", {})).id

    kept = write(holder)
    store.jobs.create(JobRecord(new_id(JOB), "evaluation", {}))
    store.leases.release(lease)
    with pytest.raises(LeaseLost):
        write(holder)
    taken(open_store(), "second")
    for attempt in (lambda: write(holder), lambda: holder.jobs.claim_next(["evaluation"])):
        with pytest.raises(LeaseLost):
            attempt()
    assert store.jobs.claim_next(["evaluation"]) is not None
    # what it reads, and what others write, is not its lease's business
    also = write(store)
    assert holder.architectures.identifiers() == {kept, also}


def test_those_who_are_there_are_counted_until_they_leave_or_are_silent(
    store: Store, open_store: Callable[[], Store], put_clock: Callable[[float], None]
) -> None:
    other = open_store()
    taken(store, "first")
    assert store.leases.attend("serving", "first", 10.0) == 1
    assert [each.leases.attend("serving", "first", 10.0) for each in (store, other)] == [1, 1]
    assert other.leases.attend("serving", "second", 10.0) == 2
    assert other.leases.attend("another", "second", 10.0) == 1
    other.leases.leave("serving", "second")
    assert store.leases.attend("serving", "first", 10.0) == 1
    assert other.leases.attend("serving", "third", 10.0) == 2
    put_clock(11)
    assert store.leases.attend("serving", "first", 10.0) == 1
    assert store.leases.holder(NAME) == "first"
