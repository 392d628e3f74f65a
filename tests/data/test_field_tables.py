"""Manifests, leftovers and names as systems write them: used, refused or ignored, and never taken for pictures."""

import io
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.datasets.ingestion import archive_limits
from app.datasets.readers import Reader, open_upload
from app.errors import DomainError
from app.settings import Settings
from engine.recipe.targets import Target
from tests.data.test_field_archives import BATCHES, PICTURES, pack, table

Open = Callable[..., Reader]
TABLE = table("file,label,split")
APART, TOGETHER = "cafe\u0301", "caf\u00e9"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    readers: list[Reader] = []

    def open_one(content: bytes, target: Target = "class") -> Reader:
        path = tmp_path / str(len(readers))
        path.write_bytes(content)
        readers.append(open_upload(path, None, archive_limits(Settings()), target))
        return readers[-1]

    yield open_one
    for reader in readers:
        reader.close()


def refusal(opened: Open, content: bytes) -> str:
    with pytest.raises(DomainError) as caught:
        opened(content)
    return caught.value.message


@pytest.mark.parametrize("name", ["manifest.csv ", "manifest.csv.", "Manifest", "labels.CSV ", " labels.csv"])
def test_a_manifest_whose_name_is_not_quite_right_is_used(opened: Open, name: str) -> None:
    reader = opened(pack({name: TABLE, **BATCHES}))
    assert reader.classes == ("cat", "dog")
    assert reader.notes[0].startswith(name)


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_manifest_of_wide_characters_is_used(opened: Open, encoding: str) -> None:
    text = TABLE.decode().replace("cat", "猫")
    reader = opened(pack({"manifest.csv": text.encode(encoding), **BATCHES}))
    assert reader.classes == ("dog", "猫")
    assert encoding.upper()[:6] in reader.notes[0]


@pytest.mark.parametrize("rows", [b"9.png,cat\n", b"name,kind\n9.png,cat\n", b"file,kind\n9.png,cat\n"])
@pytest.mark.parametrize("name", ["labels.csv", "manifest.csv", "manifest"])
def test_a_manifest_that_names_no_file_is_refused_with_its_columns(
    opened: Open, name: str, rows: bytes
) -> None:
    detail = refusal(opened, pack({name: rows, **PICTURES}))
    assert name in detail
    assert ("'kind'" if b"kind" in rows else "'cat'") in detail


def test_a_manifest_of_nothing_but_columns_is_refused(opened: Open) -> None:
    detail = refusal(opened, pack({"labels.csv": b"file,label\n", **PICTURES}))
    assert "no line below its columns" in detail


@pytest.mark.parametrize("folder", ["sub", "annotations", "data/annotations"])
def test_a_manifest_in_a_folder_of_its_own_is_used(opened: Open, folder: str) -> None:
    reader = opened(pack({f"{folder}/manifest.csv": TABLE, **BATCHES}))
    assert reader.classes == ("cat", "dog")
    assert len(reader) == len(BATCHES)


def test_a_manifest_in_a_folder_of_its_own_is_refused_where_it_is_unclear(opened: Open) -> None:
    detail = refusal(opened, pack({"sub/manifest.csv": b"file,width\n0.png,7\n", **PICTURES}))
    assert "'sub/manifest.csv'" in detail
    assert "'width'" in detail


LEFTOVERS = [
    "__pycache__/load.cpython-311.pyc",
    "1.png:Zone.Identifier",
    "Zone.Identifier",
    "1.pngZone.Identifier",
    "Picasa.ini",
    ".picasa.ini",
    "Thumbs.db:encryptable",
    "desktop.ini",
    "._x",
    ".DS_Store",
    "1.jpg:com.dropbox.attributes",
    "ZbThumbnail.info",
]


@pytest.mark.parametrize("leftover", LEFTOVERS)
@pytest.mark.parametrize("folder", ["", "pets/", "pets/cat/"])
def test_what_systems_leave_behind_is_no_class_and_no_picture(
    opened: Open, folder: str, leftover: str
) -> None:
    entries = {f"pets/{name}": content for name, content in PICTURES.items()}
    reader = opened(pack({folder + leftover: b"x", **entries}))
    assert (reader.classes, list(reader.skipped), len(reader)) == (("cat", "dog"), [], 4)


# Letters and accents, together or apart


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


IMAGES = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)


def test_one_name_in_two_forms_is_one_class(opened: Open) -> None:
    entries = {f"{APART}/1.png": b"1", f"{TOGETHER}/2.png": b"2", "b/1.png": b"3"}
    assert opened(pack(entries)).classes == ("b", TOGETHER)
    lines = f"file,label\nx/1.png,{APART}\nx/2.png,{TOGETHER}\nx/3.png,b\n".encode()
    pictures = {f"x/{number}.png": b"x" for number in (1, 2, 3)}
    assert opened(pack({"manifest.csv": lines, **pictures})).classes == ("b", TOGETHER)
    several = opened(pack({"manifest.csv": lines, **pictures}), "labels")
    assert several.classes == ("b", TOGETHER)
    reader = opened(npz(images=IMAGES, labels=np.array([APART, "b", TOGETHER, "b"])))
    assert reader.classes == ("b", TOGETHER)
    assert [item.label for item in reader.items()] == [1, 0, 1, 0]
    named = npz(images=IMAGES, labels=np.array([0, 1, 0, 1]), class_names=np.array([APART, "b"]))
    assert opened(named).classes == (TOGETHER, "b")
    detail = refusal(
        opened,
        npz(images=IMAGES, labels=np.array([0, 1, 2, 1]), class_names=np.array([APART, "b", TOGETHER])),
    )
    assert "not all different" in detail


def test_pictures_are_added_to_a_class_in_either_form(http: httpx.Client, wait_for) -> None:
    images = np.arange(8 * 8 * 8).reshape(8, 8, 8).astype(np.uint8) // np.arange(1, 9)[:, None, None]
    upload = npz(images=images.astype(np.uint8), labels=np.array([APART, "b"] * 4))
    created = http.post(
        "/v1/datasets",
        files={"file": ("a.npz", upload)},
        data={"name": "forms", "image_size": "8", "channels": "1"},
    )
    assert created.status_code == 202, created.text

    def settled() -> Any:
        found = http.get(created.headers["Location"]).json()
        return found if found["status"] != "ingesting" else None

    dataset = wait_for(settled)
    assert [entry["name"] for entry in dataset["classes"]] == ["b", unicodedata.normalize("NFC", APART)]
    picture = http.get(f"/v1/datasets/{dataset['id']}/images/0").content
    for label in (APART, TOGETHER):
        answer = http.post(
            f"/v1/datasets/{dataset['id']}/images",
            files={"files": ("1.png", picture)},
            data={"label": label, "dry_run": "true"},
        )
        assert answer.status_code < 300, answer.text
    assert http.delete(f"/v1/datasets/{dataset['id']}").status_code == 204


@pytest.mark.parametrize(
    ("labels", "help_"),
    [
        (np.array([0.0, 1, 1, 0]), "labels.astype(int)"),
        (np.array([0, 1, 1, 0], np.float16), "labels.astype(int)"),
        (np.array([False, True, True, False]), "labels.astype(int)"),
        (np.array([b"a", b"b", b"a", b"b"]), "labels.astype(str)"),
        (np.array([0, 1.5, 1, 0]), "target=values"),
        (np.array([0, np.nan, 1, 0]), "target=values"),
    ],
)
def test_labels_of_another_type_are_refused_with_the_conversion(
    opened: Open, labels: np.ndarray, help_: str
) -> None:
    detail = refusal(opened, npz(images=IMAGES, labels=labels))
    assert help_ in detail
    assert str(labels.dtype) in detail
