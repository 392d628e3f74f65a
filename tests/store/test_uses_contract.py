"""Which models with an alias come first when a server has to choose which to load."""

from __future__ import annotations

from datetime import timedelta

from app.store import Store
from app.store.records import ModelRecord, now
from tests.store.databases import only_sqlite


def a_model(store: Store, name: str, *, builtin: bool = False, alias: str | None = "live") -> None:
    record = ModelRecord(f"model_{name}", name, "path", "00", 5, ["a"], [2, 2, 1], {}, {}, builtin=builtin)
    store.models.create(record)
    if alias is not None:
        store.models.set_alias(name, alias, record.id)


def order(store: Store) -> str:
    return "".join(record.name for record in store.models.aliased())


def test_the_one_used_last_comes_first_and_the_never_used_by_their_newest_alias(store: Store) -> None:
    for name in "abcd":
        a_model(store, name)
    a_model(store, "x", alias=None)
    assert order(store) == "dcba"
    store.models.set_alias("b", "other", "model_b")
    assert order(store) == "bdca"
    at = now()
    store.uses.note(["model_a", "model_x"], at - timedelta(minutes=2))
    store.uses.note(["model_c"], at - timedelta(minutes=1))
    assert order(store) == "cabd"
    store.uses.note(["model_a", "model_d"], at)
    assert order(store) in ("adcb", "dacb")


def test_a_model_that_is_built_in_counts_once_it_has_been_used(store: Store) -> None:
    a_model(store, "a")
    a_model(store, "b", builtin=True)
    assert order(store) == "a"
    store.uses.note(["model_b"], now())
    assert order(store) == "ba"


def test_what_is_noted_of_a_model_goes_with_it(store: Store) -> None:
    a_model(store, "a", alias=None)
    store.uses.note(["model_a", "model_gone"], now())
    store.models.delete("model_a")
    store.uses.note(["model_a"], now())
    a_model(store, "a")
    a_model(store, "b")
    assert order(store) == "ba"


@only_sqlite
def test_noting_uses_changes_no_row_that_is_kept_in_memory(store: Store) -> None:
    a_model(store, "a")
    before = store.cache.counters(store.models.find)
    store.uses.note(["model_a"], now())
    assert store.cache.counters(store.models.find) == before
