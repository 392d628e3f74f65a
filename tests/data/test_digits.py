"""The packaged digits are what they claim to be, and are made again by their script."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from app.builtin import digits as builtin
from app.builtin import make_digits
from app.datasets.options import DatasetOptions
from app.datasets.storage import open_dataset
from app.errors import Conflict
from app.files.artifacts import LocalArtifacts
from app.store import Store
from tests.digits import PACKAGED, load_digits

MNIST = Path(os.environ.get("TEST_DATA", "absent")) / "mnist"


def test_ten_thousand_digits_stratified() -> None:
    images, labels, splits = load_digits()
    assert images.shape == (10_000, 28, 28, 1)
    assert images.dtype == np.uint8
    counts = np.zeros((10, 3), int)
    np.add.at(counts, (labels, splits), 1)
    assert counts.tolist() == [[800, 100, 100]] * 10
    assert images.max() == 255
    assert images[:, 0, 0].max() == 0, "white on black"
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == 10_000, "none is there twice"
    assert 1_000_000 < PACKAGED.stat().st_size < 2_500_000


def test_what_the_rows_say_is_what_a_segment_of_these_pictures_says() -> None:
    written = json.loads(PACKAGED.with_name("digits.json").read_text())
    assert written == make_digits.describe(*load_digits())


def test_licence_and_attribution_are_beside_the_file() -> None:
    text = PACKAGED.with_suffix(".md").read_text()
    for word in ("Yann LeCun", "Corinna Cortes", "Christopher J. C. Burges", "CC BY-SA 3.0"):
        assert word in text


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.is_dir(), reason="TEST_DATA names no folder with mnist/")
def test_the_script_makes_the_same_file_each_time(tmp_path: Path) -> None:
    chosen = make_digits.choose(MNIST)
    made = tmp_path / "digits.npz"
    made.write_bytes(make_digits.pack(*chosen))
    assert made.read_bytes() == make_digits.pack(*chosen)
    # Another zlib packs the same arrays into other bytes.
    with zipfile.ZipFile(made) as new, zipfile.ZipFile(PACKAGED) as packaged:
        assert new.namelist() == packaged.namelist()
        assert all(new.read(name) == packaged.read(name) for name in new.namelist())


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path)
    store.migrate()
    yield store
    store.close()


def test_installing_is_done_once_and_completes_what_was_begun(tmp_path: Path, store: Store) -> None:
    artifacts = LocalArtifacts(tmp_path)
    builtin.install(store, artifacts)
    record = store.datasets.get("digits")
    assert record.status == "ready"
    assert record.builtin
    assert record.splits == {"train": 8000, "dev": 1000, "test": 1000}
    assert record.classes == [{"name": str(digit), "images": 1000} for digit in range(10)]
    assert DatasetOptions.model_validate(record.options).picture.background == "#000000"
    images, labels, splits = load_digits()
    stored = open_dataset(store, artifacts, "digits")
    assert np.array_equal(stored.split().read(np.arange(10_000))[0], images)
    assert np.array_equal(stored.labels, labels)
    assert np.array_equal(stored.splits, splits)
    file = artifacts.local_path("datasets/digits/segment-0001/images.npy")
    before = file.stat().st_mtime_ns
    builtin.install(store, artifacts)
    assert file.stat().st_mtime_ns == before
    with pytest.raises(Conflict):
        store.datasets.delete("digits")


def test_an_installation_that_was_interrupted_is_completed(tmp_path: Path, store: Store) -> None:
    class DiskFull(LocalArtifacts):
        def write(self, name: str, content):
            if name.endswith("labels.npy"):
                raise OSError(28, "No space left on device")
            return super().write(name, content)

    with pytest.raises(OSError, match="No space"):
        builtin.install(store, DiskFull(tmp_path))
    assert store.datasets.get("digits").status == "ingesting"
    builtin.install(store, LocalArtifacts(tmp_path))
    assert store.datasets.get("digits").images == 10_000


def test_files_that_are_not_those_that_were_packaged_are_refused(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels, splits = load_digits()
    package = tmp_path / "package"
    package.mkdir()
    (package / "digits.npz").write_bytes(make_digits.pack(images[::-1], labels.astype(np.uint8), splits))
    (package / "digits.json").write_bytes(PACKAGED.with_name("digits.json").read_bytes())
    monkeypatch.setattr(builtin.resources, "files", lambda package_name: package)
    with pytest.raises(ValueError, match=r"images\.npy in digits\.npz is not what was packaged"):
        builtin.install(store, LocalArtifacts(tmp_path))
    assert not (tmp_path / "datasets/digits/segment-0001/images.npy").exists()
