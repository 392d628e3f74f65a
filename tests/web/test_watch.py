"""The view Watch: jobs, models, evaluations and data sets, and everything that can be done about them."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import numpy as np
import pytest

from tests.http.drawn_pictures import png

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Open = Callable[..., "Page"]
HOSTILE = "<img src=x onerror=alert(1)>"
DONE_MS = 240_000
"""How long a job may take, on a machine that has better things to do."""
NETWORK = {"input_shape": [8, 8, 1], "layers": [{"type": "flatten"}, {"type": "dense", "units": 2}]}
TRAINING = {"architecture": NETWORK, "epochs": 2, "optimizer": {"type": "sgd", "learning_rate": 0.001}}


class Made(NamedTuple):
    """What the tests watch."""

    dataset: str
    jobs: tuple[str, str]
    models: tuple[str, str]
    evaluations: tuple[str, str]


def noise() -> bytes:
    """Two classes that nobody can tell apart, with names that a page must not run."""
    draw = np.random.default_rng(0)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(60):
            folder = ("plain", HOSTILE.replace("/", ""))[number % 2]
            pixels = draw.integers(0, 256, (8, 8), dtype=np.uint8)
            file.writestr(f"{folder}/{number}<b>.png", png(pixels))
    return archive.getvalue()


@pytest.fixture(scope="module")
def made(
    http: httpx.Client,
    ready: Callable[[httpx.Client, str], dict[str, Any]],
    finished: Callable[[httpx.Client, str], dict[str, Any]],
    wait_for: Callable[..., Any],
) -> Made:
    """A data set of noise, two networks that have learned from it, and an evaluation of each."""
    form = {"name": "noise", "image_size": "8x8", "channels": "1"}
    posted = http.post("/v1/datasets", data=form, files={"file": ("noise.zip", noise())})
    dataset = ready(http, posted.json()["id"])["id"]
    jobs = []
    for seed, name in enumerate(("watched-a", "watched-b")):
        body = TRAINING | {"dataset": dataset, "name": name, "seed": seed, "tags": ["watched"]}
        answer = http.post("/v1/training-jobs", json=body)
        assert answer.status_code == 202, answer.text
        jobs.append(answer.json()["id"])
    models = [finished(http, job)["model_id"] for job in jobs]
    evaluations = [
        http.post("/v1/evaluations", json={"model": model, "dataset": dataset, "split": "train"}).json()["id"]
        for model in models
    ]
    for each in evaluations:
        wait_for(lambda each=each: http.get(f"/v1/evaluations/{each}").json()["status"] == "succeeded")
    return Made(dataset, (jobs[0], jobs[1]), (models[0], models[1]), (evaluations[0], evaluations[1]))


def watch(open_page: Open, server: str, place: str = "", **options: Any) -> Page:
    page = open_page(f"{server}/#/watch{place}", **options)
    page.get_by_role("tablist", name="What to see").wait_for()
    return page


def button(part: Page | Locator, name: str) -> Locator:
    return part.get_by_role("button", name=name, exact=True)


def region(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def test_a_run_is_followed_to_its_end_and_continued(
    server: str, open_page: Open, made: Made, http: httpx.Client
) -> None:
    page = watch(open_page, server, "?name=followed")
    page.get_by_text("No job is like that.").wait_for()
    body = TRAINING | {"dataset": made.dataset, "name": "followed", "epochs": 3}
    first = http.post("/v1/training-jobs", json=body).json()["id"]
    row = page.locator("tr", has_text="followed")
    row.get_by_text(re.compile("^Done in")).wait_for(timeout=DONE_MS)
    row.get_by_role("link", name="followed").click()
    region(page, "Curves").get_by_role("img", name=re.compile("after 3 epochs")).first.wait_for()
    page.get_by_role("log").filter(has_text="INFO done").wait_for()
    region(page, "Is it enough?").locator(".say p").first.wait_for()
    button(page, "Continue").click()
    page.get_by_role("spinbutton", name="Epochs more").fill("2")
    button(page, "Go on").click()
    page.get_by_role("link", name="The run that it continues").wait_for()
    assert f"job={first}" not in page.url
    page.get_by_text(re.compile("^Done in")).wait_for(timeout=DONE_MS)
    # the question is asked, and only then it is gone
    button(page, "Delete").click()
    button(page, "Keep it").click()
    button(page, "Delete").click()
    button(page, "Delete it").click()
    page.get_by_role("searchbox", name="Tag").wait_for()
    assert page.url.endswith("#/watch?tab=jobs")
    assert [one["id"] for one in http.get("/v1/training-jobs?name=followed").json()["data"]] == [first]


def test_runs_are_laid_over_each_other(server: str, open_page: Open, made: Made) -> None:
    page = watch(open_page, server)
    page.get_by_role("searchbox", name="Tag").fill("watched")
    page.get_by_role("searchbox", name="Tag").press("Enter")
    page.get_by_role("checkbox", name="Curves of watched-a").check()
    page.get_by_role("checkbox", name="Curves of watched-b").check()
    curves = region(page, "Curves of several runs")
    curves.get_by_role("img", name=re.compile("watched-[ab] .*, watched-[ab]")).wait_for()
    curves.get_by_role("combobox", name="Figure").select_option(label="Loss on train")
    curves.get_by_role("img", name=re.compile("^Loss on train after the last epoch")).wait_for()
    # what is shown is in the address
    page.reload()
    curves.get_by_role("img", name=re.compile("^Loss on train after the last epoch")).wait_for()
    assert page.get_by_role("checkbox", checked=True).count() == 2


def test_a_cell_of_the_matrix_opens_its_pictures_and_they_are_corrected(
    server: str, open_page: Open, made: Made, http: httpx.Client
) -> None:
    page = watch(open_page, server, f"?evaluation={made.evaluations[0]}")
    matrix = page.get_by_role("table", name="Confusion matrix")
    counts = http.get(
        f"/v1/evaluations/{made.evaluations[0]}/confusion-matrix", headers={"Accept": "application/json"}
    ).json()
    at = max(((0, 1), (1, 0)), key=lambda place: counts["matrix"][place[0]][place[1]])
    number = counts["matrix"][at[0]][at[1]]
    matrix.locator("button").first.focus()
    page.keyboard.press("ArrowRight" if at == (0, 1) else "ArrowDown")
    page.keyboard.press("Enter")
    pictures = page.get_by_role("list", name="Pictures")
    page.get_by_role(
        "heading", name=f"{counts['classes'][at[0]]}, taken for {counts['classes'][at[1]]}"
    ).wait_for()
    pictures.locator("li").nth(number - 1).wait_for()
    assert pictures.locator("li").count() == min(number, 24)
    pictures.get_by_role("button").first.click()
    dialog = page.get_by_role("dialog")
    assert "<b>.png" in dialog.inner_text()
    button(dialog, "Leave it out").click()
    button(dialog, "Put it back").wait_for()
    assert http.get(f"/v1/datasets/{made.dataset}").json()["excluded"] == 1
    button(dialog, "Put it back").click()
    button(dialog, "Leave it out").wait_for()
    assert http.get(f"/v1/datasets/{made.dataset}").json()["excluded"] == 0
    button(dialog, "Close").click()
    page.get_by_role("button", name="All mistakes").click()
    page.get_by_role("heading", name="The worst mistakes").wait_for()


def test_what_is_not_there_is_said_in_the_words_of_the_service(server: str, open_page: Open) -> None:
    page = watch(open_page, server, "?job=job_nothing", expected=("404",))
    assert "job_nothing" in page.get_by_role("alert").inner_text()


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1280, False)])
def test_axe_finds_nothing(
    server: str, open_page: Open, axe: Callable[[Page], list[str]], made: Made, width: int, dark: bool
) -> None:
    page = watch(open_page, server, "?tag=watched", width=width, dark=dark)
    places = {
        f"?tag=watched&runs={made.jobs[0]}": "Curves of several runs",
        f"?job={made.jobs[0]}": "Curves",
        "?tab=models": "Models",
        f"?model={made.models[0]}": "How it was made",
        "?tab=evaluations": "Evaluations",
        f"?evaluation={made.evaluations[0]}": "Each class",
        f"?compare={','.join(made.evaluations)}": "Which is better?",
        "?tab=datasets": "Data sets",
        f"?dataset={made.dataset}": "Samples",
    }
    for place, shows in places.items():
        page.evaluate("place => location.hash = place", f"#/watch{place}")
        region(page, shows).wait_for()
        assert axe(page) == [], place
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place
