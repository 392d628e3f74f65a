"""Uploads of pictures: archives, arrays and tables."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

from app.api.pictures import PictureSpec
from app.datasets.decoding import PictureDecoder
from app.datasets.options import DatasetOptions
from app.datasets.readers import ArchiveLimits, Reader, open_upload
from app.datasets.readers.cifar import CifarArchive
from app.datasets.readers.tables import DELIMITERS, read_table
from app.pictures.bounds import Bounds
from app.web.bodies.limits import ignore
from engine.recipe.targets import Target as Kind
from tests.fuzz.readers.scratch import saved
from tests.fuzz.readers.target import REFUSALS, SEPARATOR, Target

_LIMITS = ArchiveLimits(entries=500, ratio=100, member_bytes=4 << 20, unpacked_bytes=16 << 20)
_BOUNDS = Bounds(250_000)
_CLASSES = tuple("abcdefghij")


def _take(reader: Reader) -> None:
    """Do what becoming a data set does, but for writing it."""
    with reader:
        reader.shorter_side()
        options = DatasetOptions(picture=PictureSpec(image_shape=(4, 4, 3)), target=reader.target)
        decoder = PictureDecoder(reader, options, _BOUNDS, ignore)
        for _ in decoder.pictures():
            pass
        decoder.report.document()


def _take_each_way(path: Path) -> None:
    """Take an upload with a class, with labels and with values for each picture; refuse what none of them takes."""
    refused: list[Exception] = []
    for kind in get_args(Kind):
        try:
            _take(open_upload(path, None, _LIMITS, kind))
        except REFUSALS as error:
            refused.append(error)
    if len(refused) == len(get_args(Kind)):
        raise refused[0]


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive of some files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return packed.getvalue()


def picture(shade: int) -> bytes:
    """Return a small picture file."""
    packed = io.BytesIO()
    Image.new("RGB", (3, 2), (shade, 0, 9)).save(packed, "BMP")
    return packed.getvalue()


def npy(array: Any) -> bytes:
    """Return an array as NumPy writes it."""
    packed = io.BytesIO()
    np.save(packed, array, allow_pickle=False)
    return packed.getvalue()


def _of_folders() -> dict[str, bytes]:
    return {f"{name}/{shade}.bmp": picture(shade) for name in ("cat", "dog") for shade in range(3)}


def _zip(data: bytes) -> None:
    _take_each_way(saved(data, "upload.zip"))


def _zips() -> Iterator[bytes]:
    folders = _of_folders()
    yield zipped(folders)
    yield zipped(folders, zipfile.ZIP_DEFLATED)
    yield zipped(
        {f"set/train/{name}": content for name, content in folders.items()} | {"set/notes.txt": b"x"}
    )
    listed = "\n".join(f"{name},{name[:3]}" for name in folders)
    yield zipped(folders | {"manifest.csv": f"file,label\n{listed}".encode()})
    yield zipped({"images.npy": npy(np.zeros((4, 2, 2), np.uint8)), "labels.npy": npy(np.arange(4))})
    yield zipped({"\u00e4/a.bmp": picture(1), "__MACOSX/._a": b"", "b\\b.bmp": picture(2)})
    yield zipped({"inner.zip": zipped(folders)})


def _npz(data: bytes) -> None:
    names = ("images.npy", "labels.npy", "class_names.npy", "split.npy")
    _take_each_way(saved(zipped(dict(zip(names, data.split(SEPARATOR), strict=False))), "upload.npz"))


def _npzs() -> Iterator[bytes]:
    images = np.arange(4 * 2 * 2 * 3).reshape(4, 2, 2, 3)
    names, splits = npy(np.array(["one", "two"])), npy(np.array([0, 0, 1, 2], np.uint8))
    yield SEPARATOR.join([npy(images.astype(np.uint8)), npy(np.array([0, 1, 0, 1])), names, splits])
    yield SEPARATOR.join([npy(images / 50), npy(np.array(["a", "b", "a", "b"]))])
    yield SEPARATOR.join([npy(images[..., 0].astype(np.uint16)), npy(np.eye(4, 2, dtype=np.uint8)), names])
    yield SEPARATOR.join([npy(images[..., 0].astype(np.float16)), npy(np.ones((4, 2))), names])
    yield SEPARATOR.join([npy(images > 5), npy(np.array([0, 1, 0, 1])), names, npy(np.array(["train"] * 4))])


def _idx(data: bytes) -> None:
    images, found, labels = data.partition(SEPARATOR)
    path = saved(labels, "labels") if found else None
    _take(open_upload(saved(images, "images"), path, _LIMITS))


def _idxs() -> Iterator[bytes]:
    images = struct.pack(">I3I", 0x803, 4, 2, 2) + bytes(range(16))
    labels = struct.pack(">II", 0x801, 4) + bytes([0, 1, 2, 1])
    yield images + SEPARATOR + labels
    yield gzip.compress(images, mtime=0) + SEPARATOR + gzip.compress(labels, mtime=0)
    yield struct.pack(">I4I", 0x804, 4, 1, 1, 3) + bytes(range(12)) + SEPARATOR + labels


def _table(data: bytes) -> None:
    table = read_table(data)
    for delimiter in DELIMITERS:
        table.header(delimiter)
        table.sample(delimiter, 20)


def _tables() -> Iterator[bytes]:
    text = 'sep=;\nfile;label\n"a;b.png";"caf\u00e9\n"\n\nb.png;"x""y"\r\n'
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-32-le", "cp1252"):
        yield text.encode(encoding)


def _manifest(data: bytes) -> None:
    """Read a table that lies in an archive with pictures, under the name that says that it is the manifest."""
    _take_each_way(saved(zipped(_of_folders() | {"manifest.csv": data}), "upload.zip"))


def _manifests() -> Iterator[bytes]:
    files = list(_of_folders())
    yield b"file,label,split\n" + b"\n".join(f"{name},{name[:3]},train".encode() for name in files)
    yield b"file\tlabel\n" + b"\n".join(f"{name}\tred|{name[:3]}|".encode() for name in files)
    yield b"path;width;height\n" + b"\n".join(f"./{name};1.5;-2e3".encode() for name in files)
    yield "filename,class\n".encode("utf-16") + b"\n".join(
        f'"{name}","x"'.encode("utf-16-le") for name in files
    )


def _cifar(data: bytes) -> None:
    """Read an archive whose headers have their right sums: else hardly any but the seeds would be read."""
    blocks = bytearray(data)
    for place in range(0, len(blocks) - 511, 512):
        if blocks[place + 257 : place + 262] == b"ustar":
            blocks[place + 148 : place + 156] = b" " * 8
            blocks[place + 148 : place + 156] = b"%06o\0 " % sum(blocks[place : place + 512])
    _take(CifarArchive(saved(gzip.compress(blocks, 1, mtime=0), "cifar.tar.gz"), _CLASSES))


def _cifars() -> Iterator[bytes]:
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
            for name in ("cifar-10-batches-bin/data_batch_1.bin", f"{'long/' * 30}test_batch.bin"):
                member = tarfile.TarInfo(name)
                member.size = 3073
                archive.addfile(member, io.BytesIO(bytes([3]) + bytes(3072)))
        yield packed.getvalue()


TARGETS = (
    Target("archives.zip", _zip, _zips),
    Target("archives.npz", _npz, _npzs),
    Target("archives.idx", _idx, _idxs),
    Target("archives.table", _table, _tables),
    Target("archives.manifest", _manifest, _manifests),
    Target("archives.cifar", _cifar, _cifars),
)
