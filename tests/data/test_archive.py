"""Archives that are built to harm, damaged, or not what they should be are refused; others are read."""

import contextlib
import io
import stat
import struct
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.pictures import PictureSpec
from app.datasets.ingestion import check_upload
from app.datasets.readers.pictures import PictureArchive
from app.datasets.readers.zip_file import ArchiveLimits
from app.errors import DomainError, Invalid, TooLarge

LIMITS = ArchiveLimits(entries=100, ratio=100, member_bytes=4_000_000, unpacked_bytes=1 << 20)
GOOD = {"cat/1.png": b"first", "cat/2.png": b"second", "dog/1.png": b"third"}


def pack(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            info.filename = info.orig_filename = name  # the constructor would repair bad names
            info.compress_type = method
            archive.writestr(info, content)
    return buffer.getvalue()


@pytest.fixture
def saved(tmp_path: Path):
    def save(content: bytes) -> Path:
        path = tmp_path / "upload"
        path.write_bytes(content)
        return path

    return save


def refused(path: Path, limits: ArchiveLimits = LIMITS) -> DomainError:
    with pytest.raises(DomainError) as caught:
        PictureArchive(path, limits)
    return caught.value


def test_class_folders(saved) -> None:
    with PictureArchive(saved(pack(GOOD)), LIMITS) as archive:
        assert archive.classes == ("cat", "dog")
        assert [(p.name, p.label) for p in archive.pictures] == [
            ("cat/1.png", 0),
            ("cat/2.png", 0),
            ("dog/1.png", 1),
        ]
        assert [archive.read(picture) for picture in archive.pictures] == list(GOOD.values())
        assert not archive.skipped


def test_one_common_top_folder_and_what_systems_leave_behind(saved) -> None:
    entries = {
        "pets/": b"",
        "pets/cat/": b"",
        "pets/dog/": b"",
        "pets/.DS_Store": b"x",
        "pets/README.txt": b"x",
        "about.txt": b"x",
        "pets/cat/Thumbs.db": b"x",
        "pets/cat/.hidden.png": b"x",
        "__MACOSX/pets/cat/._1.png": b"x",
        ".git/config": b"x",
        **{f"pets/{name}": content for name, content in GOOD.items()},
    }
    with PictureArchive(saved(pack(entries)), LIMITS) as archive:
        assert archive.classes == ("cat", "dog")
        assert [picture.name for picture in archive.pictures] == [f"pets/{name}" for name in GOOD]
        assert [file.name for file in archive.skipped] == ["about.txt", "pets/README.txt"]


def test_names_of_other_scripts_are_one_class_however_they_are_written(saved) -> None:
    composed, taken_apart = unicodedata.normalize("NFC", "été"), unicodedata.normalize("NFD", "été")
    entries = {f"{composed}/1.png": b"a", f"{taken_apart}/2.png": b"b", "hiver/1.png": b"c", "冬/1.png": b"d"}
    with PictureArchive(saved(pack(entries)), LIMITS) as archive:
        assert archive.classes == ("hiver", composed, "冬")


@pytest.mark.parametrize(
    "name",
    [
        "../cat/1.png",
        "cat/../../1.png",
        "cat/..",
        "./cat/1.png",
        "cat//1.png",
        "/cat/1.png",
        "C:/cat/1.png",
        "cat\\1.png",
        "..\\1.png",
        "cat/1\n.png",
        "cat/1\x00.png",
    ],
)
def test_names_that_lead_elsewhere(saved, name: str) -> None:
    assert refused(saved(pack({**GOOD, name: b"x"}))).code == "unsafe-archive"


def test_a_name_given_twice(saved) -> None:
    content = pack({**GOOD, "cat/9.png": b"other"}).replace(b"cat/9.png", b"cat/1.png")
    assert refused(saved(content)).code == "unsafe-archive"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_special_files(saved, kind: int) -> None:
    buffer = io.BytesIO(pack(GOOD))
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo("cat/3.png")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, b"/etc/passwd")
    assert "link" in refused(saved(buffer.getvalue())).detail


def test_encrypted_entries(saved) -> None:
    content = bytearray(pack(GOOD))
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1
    assert "encrypted" in refused(saved(bytes(content))).detail


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_whose_output_cannot_be_bounded(saved, method: int) -> None:
    assert "deflate" in refused(saved(pack(GOOD, method))).detail


def test_a_hundredfold_compression_ratio(saved) -> None:
    bomb = pack({**GOOD, "cat/bomb.png": bytes(3_000_000)})
    error = refused(saved(bomb))
    assert isinstance(error, TooLarge)
    assert error.code == "suspicious-compression"


def test_many_entries_that_are_a_bomb_together(saved) -> None:
    entries = {f"cat/{number}.png": bytes(900_000) for number in range(10)}
    assert refused(saved(pack({**GOOD, **entries}))).code == "suspicious-compression"


def test_small_files_that_compress_well_are_fine(saved) -> None:
    with PictureArchive(saved(pack({**GOOD, "cat/flat.bmp": bytes(500_000)})), LIMITS) as archive:
        assert len(archive.pictures) == 4


def test_too_many_entries(saved) -> None:
    entries = {f"cat/{number}.png": b"x" for number in range(100)}
    assert refused(saved(pack({**entries, "dog/1.png": b"x"}))).code == "too-many-entries"
    with PictureArchive(
        saved(pack({**entries, "dog/1.png": b"x"})), ArchiveLimits(101, 100, 1000, 1 << 20)
    ) as archive:
        assert len(archive.pictures) == 101


def test_the_directory_is_bounded_whatever_its_end_record_says(saved) -> None:
    # The count of entries is one thing, the size of the directory that is read into memory another.
    entries = {f"cat/{number:04}.png": b"x" for number in range(2000)}
    content = bytearray(pack(entries))
    end = content.rindex(b"PK\x05\x06")
    struct.pack_into("<HH", content, end + 8, 3, 3)
    assert refused(saved(bytes(content))).code == "too-many-entries"


def test_overlapping_entries(saved) -> None:
    """The construction of David Fifield: many entries of the directory share one packed body."""
    content = bytearray(pack({"cat/1.png": b"x" * 50, "dog/1.png": b"y" * 50}, zipfile.ZIP_STORED))
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
    struct.pack_into("<I", content, second + 42, 0)  # its local header is the first one's
    assert "overlaps" in refused(saved(bytes(content))).detail


def lie_about_size(content: bytes, claimed: int) -> bytes:
    """Change the unpacked size in the directory and the local header of the first entry."""
    changed = bytearray(content)
    struct.pack_into("<I", changed, content.index(b"PK\x01\x02") + 24, claimed)
    struct.pack_into("<I", changed, 22, claimed)
    return bytes(changed)


def test_a_size_that_is_a_lie_is_found_when_the_member_is_read(saved) -> None:
    honest = pack({"cat/1.png": bytes(range(256)) * 800, "dog/1.png": b"x"})
    for claimed in (10, 1_000_000):
        with PictureArchive(saved(lie_about_size(honest, claimed)), LIMITS) as archive:
            with pytest.raises(Invalid):
                archive.read(archive.pictures[0])
            assert archive.read(archive.pictures[1]) == b"x"


def test_a_member_is_unpacked_only_up_to_the_limit(saved) -> None:
    noise = bytes(range(256)) * 8000
    path = saved(pack({"cat/1.png": noise, "dog/1.png": b"x"}, zipfile.ZIP_STORED))
    with (
        PictureArchive(path, ArchiveLimits(100, 100, 1_000_000, 1 << 24)) as archive,
        pytest.raises(TooLarge),
    ):
        archive.read(archive.pictures[0])


def test_zip64_sizes_that_cannot_be(saved) -> None:
    content = bytearray(pack(GOOD))
    entry = content.index(b"PK\x01\x02")
    # Both sizes are said to be in the zip64 field, which promises eight exabytes.
    struct.pack_into("<II", content, entry + 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", content, entry + 30, 20)
    name = entry + 46 + struct.unpack_from("<H", content, entry + 28)[0]
    content[name:name] = struct.pack("<HHQQ", 1, 16, 1 << 63, 1 << 63)
    end = content.rindex(b"PK\x05\x06")
    size = struct.unpack_from("<I", content, end + 12)[0]
    struct.pack_into("<I", content, end + 12, size + 20)
    assert refused(saved(bytes(content))).code in ("unsafe-archive", "suspicious-compression")


@pytest.mark.parametrize(
    ("entries", "word"),
    [
        ({}, "no class folder"),
        ({"1.png": b"x", "2.png": b"x"}, "no class folder"),
        ({"cat/1.png": b"x", "cat/2.png": b"x"}, "one class only"),
        ({"pets/cat/1.png": b"x"}, "one class only"),
        ({"cat/1.png": b"x", "dog/": b""}, "'dog' holds no file"),
        ({"cat/1.png": b"x", "dog/small/1.png": b"x"}, "deeper"),
        ({"a/b/cat/1.png": b"x", "a/b/dog/1.png": b"x"}, "deeper"),
        ({f"{'x' * 300}/1.png": b"x", "dog/1.png": b"x"}, "255 characters"),
        ({"__MACOSX/cat/1.png": b"x", "__MACOSX/dog/1.png": b"x"}, "no class folder"),
    ],
)
def test_a_layout_that_is_none(saved, entries: dict[str, bytes], word: str) -> None:
    assert word in refused(saved(pack(entries))).detail


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"PK\x03\x04" + bytes(5000), b"PK\x05\x06" + bytes(3)]
)
def test_what_is_no_archive(saved, content: bytes) -> None:
    assert refused(saved(content)).code == "damaged-archive"


def test_an_archive_cut_short(saved) -> None:
    whole = pack(GOOD)
    for length in range(len(whole)):
        assert refused(saved(whole[:length])).code == "damaged-archive"


@given(position=st.integers(0, 500), value=st.integers(0, 255))
def test_damage_anywhere_raises_nothing_but_our_errors(tmp_path_factory, position: int, value: int) -> None:
    content = bytearray(pack(GOOD))
    content[position % len(content)] = value
    path = tmp_path_factory.mktemp("damaged") / "upload"
    path.write_bytes(content)
    with contextlib.suppress(DomainError), PictureArchive(path, LIMITS) as archive:
        assert sum(len(archive.read(picture)) for picture in archive.pictures) <= 100


def test_small_files_that_would_fill_the_disk(saved) -> None:
    picture = PictureSpec(image_shape=(1000, 1000, 3))
    entries = {f"{name}/{number}.png": b"" for name in "ab" for number in range(5)}
    with PictureArchive(saved(pack(entries)), LIMITS) as archive:
        check_upload(archive, picture, free=30_000_000)
        with pytest.raises(TooLarge) as caught:
            check_upload(archive, picture, free=29_999_999)
    assert caught.value.code == "no-space"
