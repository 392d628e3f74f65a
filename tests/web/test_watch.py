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

from tests.digits import load_digits
from tests.http.drawn_pictures import archive_of_shades, archive_of_squares, ingested, png

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
    region(page, "Log").scroll_into_view_if_needed()
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


def test_a_list_finds_parts_of_names_and_needs_no_scrolling_on_a_phone(
    server: str, open_page: Open, made: Made, http: httpx.Client
) -> None:
    page = watch(open_page, server, width=375)
    name = page.get_by_role("searchbox", name="In the run's name")
    name.fill("ATCHED-")
    name.press("Enter")
    jobs = region(page, "Jobs")
    jobs.locator("tbody tr").nth(1).wait_for()
    jobs.locator("tbody tr").nth(2).wait_for(state="detached")
    for job in ("watched-a", "watched-b"):
        jobs.get_by_role("link", name=job, exact=True).wait_for()
    places = {
        "": "Jobs",
        "?tab=models": "Models",
        "?tab=evaluations": "Evaluations",
        "?tab=datasets": "Data sets",
    }
    for place, shows in places.items():
        page.evaluate("place => location.hash = place", f"#/watch{place}")
        rows = region(page, shows)
        rows.locator("tbody tr").first.wait_for()
        assert rows.evaluate("one => one.scrollWidth - one.clientWidth") <= 0, shows
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), shows


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
    shown = min(number, 24)
    pictures.locator("li").nth(shown - 1).wait_for()
    pictures.locator("li").nth(shown).wait_for(state="detached")
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


def test_a_model_is_described_named_tried_and_taken_along(
    server: str, open_page: Open, made: Made, http: httpx.Client
) -> None:
    # refused at first, for programs that ask for the alias would get other answers
    page = watch(open_page, server, f"?model={made.models[0]}", expected=("409",))
    page.get_by_text("Rename or describe it").click()
    page.get_by_role("textbox", name="Description").fill("says <b>nothing</b> of noise")
    page.get_by_role("textbox", name="Tags, with commas between").fill("noise, watched")
    button(page, "Save").click()
    region(page, "What it is").get_by_text("says <b>nothing</b> of noise").wait_for()
    assert http.get(f"/v1/models/{made.models[0]}").json()["tags"] == ["noise", "watched"]
    page.get_by_role("textbox", name="A new alias").fill("production")
    button(page, "Let it stand for this version").click()
    page.get_by_text("watched-a@production is this version now.").wait_for()
    with page.expect_download() as taken:
        page.get_by_role("button", name=re.compile("^Save the file")).click()
    assert taken.value.suggested_filename == "watched-a-1.safetensors"
    # the file of another model becomes the next version
    page.get_by_role("tab", name="Models").click()
    page.get_by_text("Import a model").click()
    page.get_by_role("textbox", name="Name, if not the file's own").fill("watched-a")
    content = http.get("/v1/models/model_example/weights").content
    page.locator(".import input[type=file]").set_input_files(
        {"name": "digits.safetensors", "mimeType": "application/octet-stream", "buffer": content}
    )
    page.get_by_role("heading", name="watched-a, version 2").wait_for()
    button(page, "Move to this version").click()
    button(page.get_by_role("dialog", name="Move production all the same?"), "Move it").click()
    page.get_by_text("watched-a@production is this version now.").wait_for()
    digit = png(load_digits().images[0, :, :, 0])
    region(page, "Try it").locator("input[type=file]").set_input_files(
        {"name": "digit.png", "mimeType": "image/png", "buffer": digit}
    )
    bars = region(page, "Try it").get_by_role("list", name="probabilities").get_by_role("listitem")
    bars.first.wait_for()
    predicted = http.post("/v1/models/model_example/predict", files={"files": digit}).json()["data"][0]
    assert bars.first.inner_text().startswith(predicted["label"])
    # an alias stands for it, and the service says so
    button(page, "Delete").click()
    button(page, "Delete it").click()
    page.get_by_role("dialog").get_by_role("alert").filter(has_text="watched-a@production").wait_for()
    button(page, "Keep it").click()
    button(page, "Remove the alias production").click()
    page.get_by_text("production is gone.").wait_for()
    button(page, "Delete").click()
    button(page, "Delete it").click()
    region(page, "Models").wait_for()
    versions = http.get("/v1/models?name=watched-a").json()["data"]
    assert [one["id"] for one in versions] == [made.models[0]]


def test_two_models_are_evaluated_and_compared(server: str, open_page: Open, made: Made) -> None:
    page = watch(open_page, server, f"?tab=evaluations&of={made.models[1]}")
    form = page.get_by_role("form", name="Evaluate a model")
    form.get_by_role("combobox", name="Data set of its size").select_option(made.dataset)
    form.get_by_role("combobox", name="Split").select_option("dev")
    button(form, "Evaluate").click()
    region(page, "What was found").get_by_text(re.compile("It is right about .* dev pictures")).wait_for(
        timeout=DONE_MS
    )
    page.get_by_role("link", name="← Evaluations").click()
    for name in ("watched-a", "watched-b"):
        page.get_by_role("checkbox", name=re.compile(f"Compare {name} . on noise, train")).check()
    page.get_by_role("link", name="Compare the two").click()
    region(page, "Which is better?").locator(".say p").first.wait_for()
    region(page, "Only watched-a 1 is right").wait_for()


@pytest.mark.parametrize("target", ["labels", "values"])
def test_models_of_labels_and_values_show_what_fits_them(
    server: str,
    open_page: Open,
    http: httpx.Client,
    wait_for: Callable[..., Any],
    finished: Callable[[httpx.Client, str], dict[str, Any]],
    target: str,
) -> None:
    pictures, loss = {
        "labels": (archive_of_squares(), "binary_cross_entropy"),
        "values": (archive_of_shades(), "mean_squared_error"),
    }[target]
    dataset = ingested(http, pictures, wait_for, name=f"watched {target}", image_size="8", target=target)
    first = dataset["classes"][0]["name"]
    layers = [{"type": "flatten"}, {"type": "dense", "units": len(dataset["classes"])}]
    body = {
        "architecture": {"input_shape": dataset["image_shape"], "layers": layers},
        "dataset": dataset["id"],
    }
    job = http.post("/v1/training-jobs", json=body | {"epochs": 1, "loss": {"type": loss}}).json()["id"]
    model = finished(http, job)["model_id"]
    asked = {"model": model, "dataset": dataset["id"], "split": "train"}
    page = watch(open_page, server, f"?evaluation={http.post('/v1/evaluations', json=asked).json()['id']}")
    if target == "labels":
        page.get_by_role("button", name=f"{first}: invented").click(timeout=DONE_MS)
        page.get_by_role("heading", name=f"Where {first} was invented").wait_for()
        said = re.compile(f"invented: .*{first}")
    else:
        page.get_by_role("button", name=f"{first}: furthest off").click(timeout=DONE_MS)
        page.get_by_role("heading", name=f"Where {first} is furthest off").wait_for()
        said = re.compile(f"{first} is .*, predicted ")
    picture = page.get_by_role("list", name="Pictures").get_by_role("button").filter(has_text=said).first
    picture.click()
    dialog = page.get_by_role("dialog")
    dialog.locator(".corrections button").first.click()
    button(dialog, "Put it back").click()
    button(dialog, "Leave it out").wait_for()
    corrections = http.get(f"/v1/datasets/{dataset['id']}/corrections").json()["data"]
    change, back = (corrections[at]["pictures"][0] for at in (1, 0))
    assert change[f"{target}_before"] == back[target]
    assert change[target] == back[f"{target}_before"]


def test_pictures_of_a_data_set_are_seen_and_corrected(
    server: str, open_page: Open, http: httpx.Client, ready: Callable[[httpx.Client, str], dict[str, Any]]
) -> None:
    form = {"name": "more noise", "image_size": "8x8", "channels": "1"}
    posted = http.post("/v1/datasets", data=form, files={"file": ("noise.zip", noise())})
    dataset = ready(http, posted.json()["id"])["id"]
    page = watch(open_page, server, "?tab=datasets")
    page.get_by_role("link", name="more noise").click()
    samples = region(page, "Samples")
    samples.get_by_role("img").first.wait_for()
    assert samples.get_by_role("img").count() == 16
    page.get_by_text("What the pictures are like").click()
    page.get_by_text("All have about as many pictures").wait_for()
    # the class whose name is a trap
    samples.get_by_role("link", name=HOSTILE).click()
    pictures = page.get_by_role("list", name="All pictures").get_by_role("button")
    pictures.nth(29).wait_for()
    pictures.nth(30).wait_for(state="detached")
    pictures.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Class").select_option("plain")
    dialog.get_by_text(f"it came as {HOSTILE}").wait_for()
    button(dialog, "Leave it out").click()
    button(dialog, "Put it back").wait_for()
    button(dialog, "Close").click()
    region(page, "Corrections").get_by_text(
        re.compile("is plain and not <img.*left out|left out.*is plain")
    ).wait_for()
    found = http.get(f"/v1/datasets/{dataset}").json()
    assert (found["excluded"], [one["images"] for one in found["classes"]]) == (1, [29, 30])
    button(page, "Delete").click()
    button(page, "Delete it").click()
    page.get_by_role("searchbox", name="Tag").wait_for()
    assert http.get(f"/v1/datasets/{dataset}").status_code == 404


def test_the_rail_says_what_the_server_is_doing(server: str, open_page: Open, http: httpx.Client) -> None:
    page = watch(open_page, server)
    rail = page.locator("#status")
    rail.get_by_text(re.compile(r"(No|\d+) jobs? running.*, \d+ cores?, \d+ .B$")).wait_for()
    body = {"architecture": {"preset": "lenet-5"}, "dataset": "digits", "name": "long", "epochs": 10_000}
    job = http.post("/v1/training-jobs", json=body).json()["id"]
    rail.get_by_text(re.compile(r"^\d+ jobs? running")).wait_for(timeout=DONE_MS)
    row = page.locator("tr", has_text="long")
    row.get_by_role("progressbar", name="How far long is").wait_for()
    row.get_by_text(re.compile("^Epoch [0-9]+ of 10,?000, ")).wait_for(timeout=DONE_MS)
    button(row, "Cancel").click()
    row.get_by_text(re.compile("^Stopped after")).wait_for(timeout=DONE_MS)
    assert http.get(f"/v1/training-jobs/{job}").json()["status"] == "cancelled"


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
