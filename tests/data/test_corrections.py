"""Pictures are relabelled, left out and put back in revisions; files, jobs and models stay as they were."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from app.cli.launch import ServerProcess
from app.datasets.corrections import Corrections
from app.store.records import CorrectionRecord
from tests.data.dark_and_light import PER_CLASS, correct, pack, picture, told, upload

SMALL = {
    "architecture": {
        "input_shape": [8, 8, 1],
        "layers": [{"type": "flatten"}, {"type": "dense", "units": 2}],
    },
    "epochs": 2,
    "batch_size": 4,
}


@pytest.fixture(scope="module")
def http(
    tmp_path_factory: pytest.TempPathFactory, connect: Callable[..., httpx.Client]
) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("own")
    with ServerProcess(folder / "data", folder / "log", {"CORES": "1"}) as url, connect(url) as client:
        yield client


@pytest.fixture
def own(http: httpx.Client, ready: Callable[..., dict[str, Any]]) -> str:
    return str(upload(http, ready)["id"])


@pytest.fixture(scope="module")
def shared(http: httpx.Client, ready: Callable[..., dict[str, Any]]) -> str:
    """A data set of which nothing is corrected."""
    return str(upload(http, ready)["id"])


def add(
    http: httpx.Client, dataset: str, wait_for: Callable[..., Any], files: Any, data: Any = None
) -> dict[str, Any]:
    answer = http.post(f"/v1/datasets/{dataset}/images", files=files, data=data)
    assert answer.status_code == 202, answer.text

    def ended() -> Any:
        addition = http.get(answer.headers["Location"]).json()
        return addition if addition["finished_at"] else None

    found: dict[str, Any] = wait_for(ended)
    assert found["status"] == "succeeded", found
    return found


def test_pictures_keep_the_names_of_their_files(http: httpx.Client, shared: str) -> None:
    listed = http.get(f"/v1/datasets/{shared}/images", params={"limit": 200}).json()["data"]
    assert [entry["number"] for entry in listed] == list(range(2 * PER_CLASS))
    names = {entry["name"] for entry in listed}
    assert names == {
        f"own/{name}/Bild {number} ä.png" for name in ("dark", "light") for number in range(PER_CLASS)
    }
    for entry in listed[::7]:
        assert entry["label"] in entry["name"]
        assert told(http, shared, entry["number"]) == entry
        shown = http.get(f"/v1/datasets/{shared}/images/{entry['number']}")
        assert httpx.URL(f"http://a/{shown.headers['Image-Name']}").path == f"/{entry['name']}"


def test_pictures_of_arrays_have_no_names(http: httpx.Client) -> None:
    assert told(http, "digits", 5)["name"] is None
    assert "Image-Name" not in http.get("/v1/datasets/digits/images/5").headers


def test_the_list_of_pictures_is_narrowed_and_paged(http: httpx.Client, shared: str) -> None:
    url = f"/v1/datasets/{shared}/images"
    light = http.get(url, params={"label": "light", "limit": 200}).json()["data"]
    assert len(light) == PER_CLASS
    assert {entry["label"] for entry in light} == {"light"}
    page = http.get(url, params={"label": "light", "limit": 5}).json()
    assert page["data"] == light[:5]
    following = http.get(url, params={"label": "light", "limit": 200, "after": page["next"]}).json()
    assert following == {"data": light[5:], "next": None}
    train = http.get(url, params={"split": "train", "limit": 200}).json()["data"]
    assert {entry["split"] for entry in train} == {"train"}
    (one,) = http.get(url, params={"name": light[3]["name"]}).json()["data"]
    assert one == light[3]
    assert http.get(url, params={"excluded": "true"}).json()["data"] == []
    refused = http.get(url, params={"label": "lihgt"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["hint"] == "did you mean 'light'?"


def test_a_correction_is_a_revision(http: httpx.Client, own: str) -> None:
    before = http.get(f"/v1/datasets/{own}").json()
    assert (before["revision"], before["excluded"]) == (0, 0)
    (dark,) = http.get(f"/v1/datasets/{own}/images", params={"label": "dark", "limit": 1}).json()["data"]
    pixels = http.get(f"/v1/datasets/{own}/images/{dark['number']}").content
    url = f"/v1/datasets/{own}/images/{dark['number']}"
    changed = http.patch(url, json={"label": "light"})
    assert changed.status_code == 200, changed.text
    assert changed.json()["revision"] == 1
    assert changed.json()["pictures"] == [
        {
            "number": dark["number"],
            "name": dark["name"],
            "label": "light",
            "label_before": "dark",
            "labels": None,
            "labels_before": None,
            "values": None,
            "values_before": None,
            "excluded": None,
        }
    ]
    now = told(http, own, dark["number"])
    assert now == dark | {"label": "light", "class_index": 1, "uploaded_label": "dark"}
    shown = http.get(url)
    assert shown.content == pixels
    assert shown.headers["Image-Label"] == "light"
    after = http.get(f"/v1/datasets/{own}").json()
    assert after["classes"] == [
        {"name": "dark", "images": PER_CLASS - 1},
        {"name": "light", "images": PER_CLASS + 1},
    ]
    assert after["revision"] == 1
    assert after["splits"] == before["splits"]
    assert after["fingerprint"] != before["fingerprint"]
    same = http.patch(url, json={"label": "light"}).json()
    assert (same["revision"], same["pictures"], same["created_at"]) == (1, [], None)
    # what was corrected and corrected back is what was uploaded
    assert http.patch(url, json={"label": "dark"}).json()["revision"] == 2
    back = http.get(f"/v1/datasets/{own}").json()
    assert back["fingerprint"] == before["fingerprint"]
    assert back["classes"] == before["classes"]


def test_what_is_left_out_is_in_no_split_and_can_be_put_back(http: httpx.Client, own: str) -> None:
    before = http.get(f"/v1/datasets/{own}").json()
    numbers = [
        entry["number"]
        for entry in http.get(f"/v1/datasets/{own}/images", params={"split": "train"}).json()["data"]
    ]
    made = correct(http, own, *({"number": number, "excluded": True} for number in numbers[:3]))
    assert [picture["excluded"] for picture in made["pictures"]] == [True] * 3
    now = http.get(f"/v1/datasets/{own}").json()
    assert (now["images"], now["excluded"]) == (before["images"], 3)
    assert now["splits"] == before["splits"] | {"train": before["splits"]["train"] - 3}
    statistics = http.get(f"/v1/datasets/{own}/statistics").json()
    assert statistics["images"] == before["images"] - 3
    assert statistics["splits"]["train"]["images"] == now["splits"]["train"]
    assert sum(entry["images"] for entry in statistics["classes"]) == before["images"] - 3
    first = http.get(f"/v1/datasets/{own}/images/0", params={"split": "train"})
    assert int(first.headers["Image-Number"]) == numbers[3]
    shown = http.get(f"/v1/datasets/{own}/images/{numbers[0]}")
    assert (shown.status_code, shown.headers["Image-Excluded"]) == (200, "true")
    listed = http.get(f"/v1/datasets/{own}/images", params={"excluded": "true"}).json()["data"]
    assert [entry["number"] for entry in listed] == numbers[:3]
    correct(http, own, {"number": numbers[1], "excluded": False, "label": "light"})
    assert http.get(f"/v1/datasets/{own}").json()["excluded"] == 2
    revisions = http.get(f"/v1/datasets/{own}/corrections", params={"limit": 1}).json()
    assert revisions["data"][0]["revision"] == 2
    older = http.get(f"/v1/datasets/{own}/corrections", params={"after": revisions["next"]}).json()
    assert [entry["pictures"] for entry in older["data"]] == [made["pictures"]]
    assert older["next"] is None


def test_jobs_are_refused_when_all_pictures_are_left_out(http: httpx.Client, own: str, finished: Any) -> None:
    job = http.post("/v1/training-jobs", json=SMALL | {"dataset": own}).json()["id"]
    model = finished(http, job)["model_id"]
    correct(http, own, *({"number": number, "excluded": True} for number in range(2 * PER_CLASS)))
    refused = http.post("/v1/training-jobs", json=SMALL | {"dataset": own})
    (fault,) = refused.json()["errors"]
    assert (refused.status_code, fault["pointer"]) == (422, "/dataset")
    assert "back" in fault["hint"]
    # an accuracy of 0 of 0 pictures would be none
    refused = http.post("/v1/evaluations", json={"model": model, "dataset": own})
    (fault,) = refused.json()["errors"]
    assert (refused.status_code, fault["pointer"]) == (422, "/split")
    assert "back" in fault["hint"]


def test_pictures_that_are_added_later_come_after_the_corrections(
    http: httpx.Client, own: str, wait_for: Callable[..., Any]
) -> None:
    correct(http, own, {"number": 0, "label": "light"}, {"number": 1, "excluded": True})
    before = http.get(f"/v1/datasets/{own}").json()

    report = add(http, own, wait_for, {"file": ("more.zip", pack(1, PER_CLASS + 3))})["report"]
    # what is left out is there all the same
    assert (report["added"], report["counts"]["duplicate"]) == (8, 2 * (PER_CLASS - 1))
    add(http, own, wait_for, {"files": ("a fox.png", picture(90, 1000))}, {"label": "dark"})
    after = http.get(f"/v1/datasets/{own}").json()
    assert (after["images"], after["excluded"], after["revision"]) == (before["images"] + 9, 1, 1)
    counts = {entry["name"]: entry["images"] for entry in after["classes"]}
    assert counts == {"dark": PER_CLASS - 2 + 5, "light": PER_CLASS + 1 + 4}
    assert sum(after["splits"].values()) == after["images"] - 1
    assert told(http, own, after["images"] - 1)["name"] == "a fox.png"
    assert told(http, own, 0)["label"] == "light"
    # the numbers go on through all segments
    assert correct(http, own, {"number": after["images"] - 1, "label": "light"})["revision"] == 2


@pytest.mark.slow
def test_jobs_go_by_the_revision_at_which_they_were_accepted(
    http: httpx.Client, own: str, wait_for: Callable[..., Any], finished: Callable[..., dict[str, Any]]
) -> None:
    def train(dataset: str = own, **more: Any) -> str:
        answer = http.post("/v1/training-jobs", json=SMALL | {"dataset": dataset} | more)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def model(job: str) -> bytes:
        identifier = finished(http, job)["model_id"]
        return http.get(f"/v1/models/{identifier}/weights").content

    first = train()
    untouched = model(first)
    blocking = train("digits", epochs=500, architecture={"preset": "lenet-5"})
    waiting = train()
    add(http, own, wait_for, {"files": ("one.png", picture(90, 1000))}, {"label": "dark"})
    numbers = [
        entry["number"]
        for entry in http.get(f"/v1/datasets/{own}/images", params={"split": "train"}).json()["data"]
    ]
    correct(http, own, *({"number": number, "label": "light"} for number in numbers[:4]))
    correct(http, own, {"number": numbers[4], "excluded": True})
    assert http.post(f"/v1/training-jobs/{blocking}/cancel").status_code == 202
    assert model(waiting) == untouched
    again = train()
    assert http.get(f"/v1/training-jobs/{again}").json()["dataset_revision"] == 2
    assert model(again) != untouched
    # going on goes on with what there was
    further = http.post("/v1/training-jobs", json={"continue_from": first, "epochs": 1}).json()
    assert further["dataset_revision"] == 0
    assert "revision 2" in further["warnings"][1]
    finished(http, further["id"])
    evaluated = http.post(
        "/v1/evaluations",
        json={"model": finished(http, again)["model_id"], "dataset": own, "split": "train"},
    ).json()
    assert evaluated["dataset_revision"] == 2


def test_a_mistake_names_the_calls_that_correct_it(
    http: httpx.Client, own: str, wait_for: Callable[..., Any], finished: Callable[..., dict[str, Any]]
) -> None:
    # what is trained on the contrary of what is true is wrong about most
    train = http.get(f"/v1/datasets/{own}/images", params={"limit": 200}).json()["data"]
    flipped = {"light": "dark", "dark": "light"}
    wishes = [{"number": entry["number"], "label": flipped[entry["label"]]} for entry in train]
    correct(http, own, *wishes)
    job = http.post("/v1/training-jobs", json=SMALL | {"dataset": own, "epochs": 20}).json()["id"]
    model = finished(http, job)["model_id"]
    correct(http, own, *({**wish, "label": flipped[wish["label"]]} for wish in wishes))
    address = http.post("/v1/evaluations", json={"model": model, "dataset": own, "split": "train"}).headers[
        "location"
    ]

    def done() -> Any:
        found = http.get(address).json()
        return found if found["finished_at"] else None

    mistakes = wait_for(done)["report"]["mistakes"]
    assert mistakes
    worst = mistakes[0]
    assert worst["name"] == told(http, own, worst["number"])["name"]
    relabel, leave_out = worst["corrections"]
    for call in (relabel, leave_out):
        answer = http.request(call["method"], call["url"], json=call["body"])
        assert answer.status_code == 200, answer.text
    now = told(http, own, worst["number"])
    assert (now["label"], now["excluded"]) == (worst["predicted"], True)
    # what was found stays what was found
    listed = http.get(f"{address}/predictions", params={"wrong": "true"}).json()["data"]
    (entry,) = [entry for entry in listed if entry["number"] == worst["number"]]
    assert (entry["label"], entry["name"]) == (worst["label"], worst["name"])


@pytest.mark.parametrize(
    ("corrections", "pointer"),
    [
        ([{"number": 0}], "/corrections/0"),
        ([{"number": 0, "label": "lihgt"}], "/corrections/0/label"),
        ([{"number": 0, "excluded": True}, {"number": 99, "excluded": True}], "/corrections/1/number"),
        ([{"number": 1, "excluded": True}, {"number": 1, "label": "dark"}], "/corrections/1/number"),
        ([{"number": -1, "excluded": True}], "/corrections/0/number"),
        ([{"number": 0, "excluded": "yes"}], "/corrections/0/excluded"),
        ([{"number": 0, "values": {"age": True}}], "/corrections/0/values/age"),
        ([{"number": 0, "values": {"age": "0.5"}}], "/corrections/0/values/age"),
        ([{"number": 0, "values": []}], "/corrections/0/values"),
        ([], "/corrections"),
    ],
)
def test_what_cannot_be_corrected_is_refused_as_a_whole(
    corrections: list[dict[str, Any]], pointer: str, http: httpx.Client, shared: str
) -> None:
    answer = http.post(f"/v1/datasets/{shared}/corrections", json={"corrections": corrections})
    assert answer.status_code == 422, answer.text
    fault = answer.json()["errors"][0]
    assert fault["pointer"] == pointer
    assert "dictionary" not in fault["detail"], "that is no word of JSON"
    assert fault.get("hint") or "give `label`" in fault["detail"]
    assert http.get(f"/v1/datasets/{shared}").json()["revision"] == 0


def test_one_picture_that_cannot_be_corrected(http: httpx.Client, shared: str) -> None:
    url = f"/v1/datasets/{shared}/images"
    wrong = http.patch(f"{url}/0", json={"label": "fox"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/label")
    assert http.patch(f"{url}/99", json={"excluded": True}).status_code == 404
    assert http.patch(f"{url}/0", json={}).status_code == 422
    unclear = http.patch(f"{url}/0", json={"excluded": True, "dry_run": "no"})
    assert (unclear.status_code, unclear.json()["errors"][0]["hint"]) == (422, "write true or false")
    tried = http.patch(f"{url}/0", json={"excluded": True, "dry_run": True}).json()
    assert (tried["revision"], tried["pictures"][0]["excluded"], tried["created_at"]) == (0, True, None)
    assert told(http, shared, 0)["excluded"] is False
    builtin = http.patch("/v1/datasets/digits/images/0", json={"excluded": True})
    assert (builtin.status_code, builtin.json()["type"]) == (409, "/problems/built-in")


def test_a_key_makes_one_revision_of_a_request_that_is_sent_again(http: httpx.Client, own: str) -> None:
    body = {"corrections": [{"number": 0, "excluded": True}]}
    answers = [
        http.post(f"/v1/datasets/{own}/corrections", json=body, headers={"Idempotency-Key": "k"})
        for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["revision"] == 1
    assert http.get(f"/v1/datasets/{own}").json()["revision"] == 1


def test_revisions_apply_in_their_order() -> None:
    records = [
        CorrectionRecord("d", 1, [{"number": 0, "label": 1}, {"number": 2, "excluded": True}]),
        CorrectionRecord("d", 2, [{"number": 0, "label": 2}, {"number": 2, "excluded": False}]),
    ]
    labels = np.zeros(3, np.int32)
    for order in (records, records[::-1]):
        corrections = Corrections.of(order)
        assert corrections.corrected(labels).tolist() == [2, 0, 0]
        assert corrections.used(3).all()
    earlier = Corrections.of(records[:1])
    assert earlier.corrected(labels).tolist() == [1, 0, 0]
    assert earlier.used(3).tolist() == [True, True, False]
    # a data set that was opened with fewer pictures
    assert earlier.used(2).all()
    assert labels.tolist() == [0, 0, 0]
