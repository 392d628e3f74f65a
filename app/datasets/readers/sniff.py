"""What a file is by its first bytes: for messages about files that are not read."""

from __future__ import annotations

import codecs
import zlib

HEAD = 512
"""Bytes that are looked at."""
_IDX = "an IDX file"
_IDX_INSIDE = "with an IDX file inside"
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"PK\x07\x08", "a part of a zip archive that was split"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ\x00", "an xz file"),
    (0, b"\x28\xb5\x2f\xfd", "a zstandard file"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x93NUMPY", "a single npy array; save images and labels in one npz file"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"MATLAB", "a MATLAB file"),
    (0, b"\x80\x02", "a Python pickle, which is never read"),
    (0, b"\x80\x03", "a Python pickle, which is never read"),
    (0, b"\x80\x04", "a Python pickle, which is never read"),
    (0, b"\x80\x05", "a Python pickle, which is never read"),
    (0, b"\x89PNG", "a single picture"),
    (0, b"\xff\xd8\xff", "a single picture"),
    (0, b"GIF8", "a single picture"),
    (8, b"WEBP", "a single picture"),
    (0, b"BM", "a single picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\xd0\xcf\x11\xe0", "an old Office document"),
    (0, b"version https://git-lfs", "a pointer of Git LFS and not the file itself"),
    (0, b"\x00\x00\x08", _IDX),
)


def describe(head: bytes) -> str:
    """Return in words what a file is that begins with these bytes."""
    if not head:
        return "an empty file"
    found = next((words for place, mark, words in _SIGNATURES if head.startswith(mark, place)), None)
    if found == "a gzip file":
        return f"a gzip file, {_inside(head)}"
    return found or _text(head[:HEAD])


def _text(head: bytes) -> str:
    start = head.lstrip()
    if start[:1] == b"<":
        return "an HTML or XML page"
    if start[:1] in (b"{", b"["):
        return "JSON"
    try:
        # The last character may be cut.
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return "a file of an unknown format"
    return "a file of an unknown format" if b"\0" in start else "text"


def holds_idx(head: bytes) -> bool:
    """Tell whether a file that begins with these bytes is an IDX file, gzipped or not."""
    return describe(head) in (_IDX, f"a gzip file, {_IDX_INSIDE}")


def _inside(head: bytes) -> str:
    try:
        unpacked = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, HEAD)
    except zlib.error:
        unpacked = b""
    if not unpacked:
        return "with no IDX file inside, nor anything else that can be read"
    found = "another gzip file" if unpacked.startswith(b"\x1f\x8b") else describe(unpacked)
    return _IDX_INSIDE if found == _IDX else f"with {found} and no IDX file inside"
