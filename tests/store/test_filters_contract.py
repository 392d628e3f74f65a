"""Jobs, models and data sets are found by name, tag and status; pages of what is found are full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.ids import DATASET, JOB, MODEL, new_id
from app.states import JobStatus
from app.store import Store
from app.store.records import DatasetRecord, JobRecord, ModelRecord, Page

NAMES = ("cats", "dogs", "cats", "birds", "cats", "dogs")
TAGS: tuple[list[str] | None, ...] = (["a"], ["a", "b"], None, [], ["b", "a'"], ["ab"])


def job(store: Store, name: str, tags: list[str] | None) -> str:
    request: dict[str, Any] = {"name": name} | ({} if tags is None else {"tags": tags})
    return store.jobs.create(JobRecord(new_id(JOB), "training", request)).id


def model(store: Store, name: str, tags: list[str] | None) -> str:
    record = ModelRecord(new_id(MODEL), name, "models/m", "0", 1, ["a"], [1, 1, 1], {}, {}, tags=tags)
    return store.models.create(record).id


def dataset(store: Store, name: str, tags: list[str] | None) -> str:
    return store.datasets.create(DatasetRecord(new_id(DATASET), name, tags=tags)).id


Pages = Callable[..., Page[Any]]
KINDS: dict[str, tuple[Callable[[Store, str, list[str] | None], str], Callable[[Store], Pages]]] = {
    "jobs": (job, lambda store: store.jobs.page),
    "models": (model, lambda store: store.models.page),
    "datasets": (dataset, lambda store: store.datasets.page),
}


@pytest.fixture(params=KINDS)
def stored(request: pytest.FixtureRequest, store: Store) -> tuple[list[str], Pages]:
    """Store six of a kind; return their ids, the newest first, and what lists them."""
    make, pages = KINDS[request.param]
    ids = [make(store, name, tags) for name, tags in zip(NAMES, TAGS, strict=True)]
    return ids[::-1], pages(store)


def all_pages(pages: Pages, limit: int, **conditions: Any) -> list[list[str]]:
    found, after = [], None
    while True:
        page = pages(limit, after, **conditions)
        found.append([record.id for record in page.data])
        if page.next is None:
            return found
        after = page.next


@pytest.mark.parametrize(
    ("conditions", "places"),
    [
        ({"name": "cats"}, [1, 3, 5]),
        ({"name": "cat"}, []),
        ({"contains": "at"}, [1, 3, 5]),
        ({"contains": "S"}, [0, 1, 2, 3, 4, 5]),
        ({"contains": "do", "tag": "b"}, [4]),
        ({"contains": "%"}, []),
        ({"contains": "c_ts"}, []),
        ({"tag": "a"}, [4, 5]),
        ({"tag": "a'"}, [1]),
        ({"tag": "b"}, [1, 4]),
        ({"tag": "%"}, []),
        ({"name": "cats", "tag": "a"}, [5]),
        ({}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_what_is_asked_for_comes_in_full_pages(
    stored: tuple[list[str], Pages], conditions: dict[str, str], places: list[int]
) -> None:
    ids, pages = stored
    wanted = [ids[place] for place in places]
    assert all_pages(pages, 10, **conditions) == [wanted]
    for limit in (1, 2):
        expected = [wanted[first : first + limit] for first in range(0, len(wanted), limit)] or [[]]
        assert all_pages(pages, limit, **conditions) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["äpf", "ÄPF", "Äpf", "ЁЖ", "ёж"])
def test_capitals_are_those_of_every_alphabet(store: Store, kind: str, part: str) -> None:
    make, pages = KINDS[kind]
    names = {name: make(store, name, None) for name in ("Äpfel", "ÄPFEL", "äpfel", "Ёж", "apfel")}
    wanted = [made for name, made in names.items() if part.lower() in name.lower()]
    assert all_pages(pages(store), 10, contains=part) == [wanted[::-1]]


def test_status_goes_with_name_and_tag(store: Store) -> None:
    waiting, over = (job(store, "cats", ["a"]) for _ in range(2))
    store.jobs.request_cancel(over)
    for status, found in ((JobStatus.QUEUED, waiting), (JobStatus.CANCELLED, over)):
        page = store.jobs.page(10, kind="training", status=status, name="cats", tag="a")
        assert [record.id for record in page.data] == [found]
    failed, _ = (dataset(store, "cats", ["a"]) for _ in range(2))
    store.datasets.fail(failed, {"code": "x", "message": "y"})
    assert [record.id for record in store.datasets.page(10, status="failed", tag="a").data] == [failed]
