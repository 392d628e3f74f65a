"""Archives as systems and people make them, after public reports of users: names, layouts, manifests."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from app.datasets.ingestion import archive_limits
from app.datasets.readers import Reader, open_upload
from app.datasets.readers.splits import TEST, TRAIN
from app.datasets.readers.zip_file import SafeZip
from app.errors import DomainError
from app.jobs.accept.batch_prediction import pictures
from app.settings import Settings
from app.text import natural
from engine.recipe.losses import Target

PICTURES = {f"{kind}/{number}.png": b"x" for kind in ("cat", "dog") for number in range(2)}


class Unflagged(zipfile.ZipInfo):
    """An entry as macOS writes it: the name in some encoding, without the flag that says so."""

    encoding = "utf-8"

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.filename.encode(self.encoding), self.flag_bits & ~0x800


class Western(Unflagged):
    encoding = "cp437"


def pack(
    entries: dict[str, bytes], kind: type[zipfile.ZipInfo] = zipfile.ZipInfo, extra: bytes = b""
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            info = kind(name)
            info.filename = info.orig_filename = name  # the constructor would repair backslashes
            info.extra = extra
            archive.writestr(info, content)
    return buffer.getvalue()


@pytest.fixture
def opened(tmp_path: Path):
    readers: list[Reader] = []

    def open_one(content: bytes, target: Target = "class") -> Reader:
        path = tmp_path / str(len(readers))
        path.write_bytes(content)
        readers.append(open_upload(path, None, archive_limits(Settings()), target))
        return readers[-1]

    yield open_one
    for reader in readers:
        reader.close()


def refusal(opened, content: bytes, target: Target = "class") -> str:
    with pytest.raises(DomainError) as caught:
        opened(content, target)
    return caught.value.message


# Names


@pytest.mark.parametrize(
    "names", [("Hund", "猫"), ("chien", "Éléphant"), ("собака", "кошка"), ("ascii", "only")]
)
def test_names_in_utf_8_need_no_flag(opened, names: tuple[str, str]) -> None:
    entries = {f"{name}/{number}.png": b"x" for name in names for number in range(2)}
    assert opened(pack(entries, Unflagged)).classes == tuple(sorted(names, key=natural))
    assert opened(pack(entries)).classes == tuple(sorted(names, key=natural))


def test_names_that_are_no_utf_8_are_in_the_code_page_of_dos(opened) -> None:
    entries = {f"{name}/{number}.png": b"x" for name in ("über", "ñandú") for number in range(2)}
    assert opened(pack(entries, Western)).classes == ("ñandú", "über")


def unicode_path(raw: bytes, name: str) -> bytes:
    content = struct.pack("<BI", 1, zlib.crc32(raw)) + name.encode()
    return struct.pack("<HH", 0x7075, len(content)) + content


def test_the_unicode_path_field_counts_when_it_belongs_to_the_name(tmp_path: Path) -> None:
    (tmp_path / "zip").write_bytes(pack({"?/1.png": b"x"}, Unflagged, unicode_path(b"?/1.png", "猫/1.png")))
    archive = SafeZip(tmp_path / "zip", archive_limits(Settings()))
    assert [member.name for member in archive.members] == ["猫/1.png"]
    assert archive.read(archive.members[0]) == b"x"
    archive.close()
    (tmp_path / "zip").write_bytes(
        pack({"old/1.png": b"x"}, Unflagged, unicode_path(b"other.png", "../1.png"))
    )
    archive = SafeZip(tmp_path / "zip", archive_limits(Settings()))
    assert [member.name for member in archive.members] == ["old/1.png"]
    archive.close()


def test_a_unicode_path_is_checked_like_any_name(opened) -> None:
    evil = pack({"a/1.png": b"x"}, Unflagged, unicode_path(b"a/1.png", "../1.png"))
    assert "leaves its folder" in refusal(opened, evil)


def test_backslashes_separate_folders(opened) -> None:
    reader = opened(
        pack({name.replace("/", "\\"): content for name, content in PICTURES.items()} | {"cat\\": b""})
    )
    assert reader.classes == ("cat", "dog")
    assert [item.name for item in reader.items()] == list(PICTURES)


def test_names_in_manifests_and_batches_are_read_alike(opened, tmp_path: Path) -> None:
    entries = {"p/猫.png": b"x", "p/犬.png": b"x"}
    table = "file,label\np/猫.png,猫\np/犬.png,犬\n".encode()
    assert opened(pack({"manifest.csv": table, **entries}, Unflagged)).classes == ("犬", "猫")
    (tmp_path / "batch").write_bytes(pack(entries, Unflagged))
    archive = SafeZip(tmp_path / "batch", archive_limits(Settings()))
    assert sorted(member.name for member in pictures(archive)) == sorted(entries)
    archive.close()


LEFTOVERS = [
    "Icon\r",
    ".DS_Store",
    "._1.png",
    "Thumbs.db",
    "desktop.ini",
    "__MACOSX/x/._1.png",
    ".git/objects/0/1",
    ".ipynb_checkpoints/1-checkpoint.png",
    "@eaDir/1.png/THUMB.jpg",
    "$RECYCLE.BIN/1.png",
    "System Volume Information/x",
    "~$labels.xlsx",
]


@pytest.mark.parametrize("leftover", LEFTOVERS)
@pytest.mark.parametrize("folder", ["", "pets/", "pets/cat/"])
def test_what_systems_leave_behind_is_ignored_at_any_depth(opened, folder: str, leftover: str) -> None:
    info = zipfile.ZipInfo(folder + leftover)
    info.external_attr = 0o120777 << 16  # a link, as Icon files and git objects may be
    buffer = io.BytesIO(pack({f"pets/{name}": content for name, content in PICTURES.items()}))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(info, b"")
    reader = opened(buffer.getvalue())
    assert (reader.classes, list(reader.skipped), len(reader)) == (("cat", "dog"), [], 4)


@pytest.mark.parametrize("name", ["../.DS_Store", "cat/../.git/1", "/.DS_Store", "..\\Thumbs.db"])
def test_a_leftover_that_leads_elsewhere_is_refused_all_the_same(opened, name: str) -> None:
    assert "archive's entry" in refusal(opened, pack({**PICTURES, name: b"x"}))


# Layouts


def test_splits_are_no_classes(opened) -> None:
    flat = {f"{split}/cat.{number}.png": b"x" for split in ("Train", "val", "test") for number in range(3)}
    detail = refusal(opened, pack(flat))
    assert "Train" in detail
    assert "splits" in detail
    assert "splits" in refusal(opened, pack({f"pets/{name}": content for name, content in flat.items()}))


def test_a_picture_in_a_split_without_a_class_is_left_out_and_named(opened) -> None:
    entries = {f"train/{name}": content for name, content in PICTURES.items()}
    reader = opened(pack({**entries, "test/1.png": b"x", "extra/2.png": b"x"}))
    assert reader.classes == ("cat", "dog")
    assert {item.split for item in reader.items()} == {TRAIN}
    assert {file.name: file.kind for file in reader.skipped} == {
        "test/1.png": "misplaced",
        "extra/2.png": "misplaced",
    }


def test_a_layout_that_is_refused_names_the_guilty_file(opened) -> None:
    assert "'cat/small/1.png'" in refusal(opened, pack({**PICTURES, "cat/small/1.png": b"x"}))
    upside_down = {f"{kind}/{split}/1.png": b"x" for kind in ("cat", "dog") for split in ("train", "test")}
    assert "splits come above classes: test/cat/1.png" in refusal(opened, pack(upside_down))


def test_numbers_in_class_names_sort_as_numbers(opened) -> None:
    names = ["class 1", "class 2", "class 10", "class 100"]
    entries = {f"{name}/1.png": b"x" for name in names}
    assert list(opened(pack(entries)).classes) == names
    lines = "\n".join(f"{name}/1.png,{name}" for name in names)
    assert list(opened(pack({"labels.csv": f"file,label\n{lines}".encode(), **entries})).classes) == names
    several = opened(pack({"labels.csv": f"file,label\n{lines}".encode(), **entries}), "labels")
    assert list(several.classes) == names
    assert sorted(["b10", "B9", "a", "b9"], key=natural) == ["a", "B9", "b9", "b10"]


# Manifests

BATCHES = {f"batch{number % 2}/{number}.png": b"x" for number in range(4)}


def table(header: str, delimiter: str = ",") -> bytes:
    rows = [f"{name},{'cat' if number < 2 else 'dog'},train" for number, name in enumerate(BATCHES)]
    return "\n".join([header, *rows]).replace(",", delimiter).encode()


@pytest.mark.parametrize("name", ["manifest.csv", "train.csv", "Labels.CSV", "list.txt", "pairs.tsv"])
@pytest.mark.parametrize(
    "header", ["file,label,split", "filename,label,split", "Image Path,Class Name,Subset", "path,category,x"]
)
def test_a_table_with_other_words_for_its_columns_is_used(opened, header: str, name: str) -> None:
    reader = opened(pack({name: table(header), **BATCHES}))
    assert reader.classes == ("cat", "dog")
    assert {item.split for item in reader.items()} == ({None} if header.endswith("x") else {TRAIN})
    assert header.split(",", maxsplit=1)[0] in reader.notes[0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["name,kind,x", "file,what,x", "a,b,c", "batch0/0.png,cat,train"])
def test_a_table_whose_columns_are_unclear_is_refused_with_them_named(
    opened, header: str, delimiter: str
) -> None:
    detail = refusal(opened, pack({"list.csv": table(header, delimiter), **BATCHES}))
    assert "list.csv" in detail
    assert header.split(",")[1] in detail


def test_a_table_for_excel_says_its_delimiter(opened) -> None:
    reader = opened(pack({"manifest.csv": b"sep=;\r\n" + table("file,label,split", ";"), **BATCHES}))
    assert reader.classes == ("cat", "dog")


def test_a_list_with_spaces_is_used_or_refused(opened) -> None:
    lines = [f"{name} {number % 2}" for number, name in enumerate(BATCHES)]
    assert "list.txt" in refusal(opened, pack({"list.txt": "\n".join(lines).encode(), **BATCHES}))
    reader = opened(pack({"list.txt": "\n".join(["file label", *lines]).encode(), **BATCHES}))
    assert reader.classes == ("0", "1")


def test_several_tables_are_refused_by_name(opened) -> None:
    content = pack({"train.csv": table("file,label,split"), "test.csv": table("file,label,split"), **BATCHES})
    assert "test.csv, train.csv" in refusal(opened, content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("annotations.json", b'{"images": [{"file_name": "0.png"}]}'),
        ("coco.json", b'{"images": [{"file_name": "0.png"}]}'),
        ("metadata.jsonl", b'{"file_name": "batch0/0.png", "label": 1}'),
        ("labels.xlsx", b"PK\x03\x04"),
    ],
)
def test_labels_in_a_format_that_is_not_read_are_refused(opened, name: str, content: bytes) -> None:
    assert name in refusal(opened, pack({name: content, **BATCHES}))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("README.txt", b"Pictures of cats, dogs and one of 1.png, see above"),
        ("notes.csv", b"name,age\n"),
        ("package.json", b'{"name": "pets"}'),
        ("cat/list.csv", b"file,width\n0.png,7\n"),
    ],
)
def test_a_file_that_is_no_manifest_is_only_reported(opened, name: str, content: bytes) -> None:
    reader = opened(pack({**PICTURES, name: content}))
    assert reader.classes == ("cat", "dog")
    assert name in [file.name for file in reader.skipped] + [item.name for item in reader.items()]


def test_lines_that_contradict_each_other_are_reported_as_that(opened) -> None:
    lines = table("file,label,split") + b"\nbatch0/0.png,dog,\nbatch1/1.png,cat,\n"
    reader = opened(pack({"manifest.csv": lines, **BATCHES}))
    assert {file.name: file.kind for file in reader.skipped} == {
        "batch0/0.png": "contradiction",
        "batch1/1.png": "duplicate",
    }


@pytest.mark.parametrize("label", ["a\x07b", "x" * 300, "\x85"])
def test_a_label_that_no_answer_can_hold_is_refused_by_its_line(opened, label: str) -> None:
    lines = table("file,label,split") + f"\nbatch0/0.png,{label},".encode()
    assert "line 6" in refusal(opened, pack({"manifest.csv": lines, **BATCHES}))


def test_names_may_be_relative_to_the_manifest_or_to_the_archive(opened) -> None:
    entries = {f"data/{name}": content for name, content in BATCHES.items()}
    for prefix in ("", "data/"):
        lines = [f"{prefix}{name},{number % 2},test" for number, name in enumerate(BATCHES)]
        content = "\n".join(["file,label,split", *lines]).encode()
        reader = opened(pack({"data/manifest.csv": content, **entries}))
        assert len(reader) == 4
        assert reader.splits == {TEST}


def test_columns_of_ones_and_zeros_are_called_one_hot(opened) -> None:
    lines = [f"{name},{number % 2},{1 - number % 2}" for number, name in enumerate(BATCHES)]
    content = pack({"train.csv": "\n".join(["file,cat,dog", *lines]).encode(), **BATCHES})
    detail = refusal(opened, content)
    assert "one-hot" in detail
    assert "'cat', 'dog'" in detail
    values = "\n".join(["file,cat,dog", *(line.replace(",1", ",0.7") for line in lines)]).encode()
    assert "target=values" in refusal(opened, pack({"train.csv": values, **BATCHES}))


@pytest.mark.parametrize(
    ("entries", "word"),
    [
        ({"pets.zip": b"PK"}, "send 'pets.zip' itself"),
        ({"data/train.npz": b"x"}, "one class only"),
        ({"1.png": b"x", "2.png": b"x"}, "only '1.png', '2.png'"),
        ({f"{'a/' * 600}1.png": b"x"}, "1024 characters"),
    ],
)
def test_what_an_archive_holds_instead_is_said(opened, entries: dict[str, bytes], word: str) -> None:
    assert word in refusal(opened, pack(entries))


def test_what_is_no_zip_archive_is_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    with pytest.raises(DomainError, match="this is a single picture and no zip archive"):
        SafeZip(tmp_path / "x", archive_limits(Settings()))


def npz(save=np.savez, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def test_honest_files_that_compress_well_are_bounded_by_their_size(opened, tmp_path: Path) -> None:
    labels = np.repeat(np.arange(10), 14_000)
    images = np.zeros((140_000, 3, 3), np.uint8)
    images[::2] = 255
    path = tmp_path / "drawings"
    path.write_bytes(npz(np.savez_compressed, images=images, labels=labels))
    assert images.nbytes > 100 * path.stat().st_size
    small = archive_limits(Settings(max_upload_bytes=4 << 20))
    with open_upload(path, None, small) as reader:
        assert len(reader) == 140_000
    tiny = archive_limits(Settings(max_upload_bytes=1 << 20))
    with pytest.raises(DomainError) as caught:
        open_upload(path, None, tiny)
    assert caught.value.code == "suspicious-compression"
