"""The names of the entries of zip archives: their encoding, their folders, and what systems leave behind."""

from __future__ import annotations

import struct
import unicodedata
import zipfile
import zlib

from app.errors import Invalid
from app.text import MAX_NAME, has_controls

MAX_PATH = 1024
"""Characters of a name with its folders."""
_UTF_8 = 0x800
_UNICODE_PATH = 0x7075
_LEFTOVER_FOLDERS = {
    "__macosx",
    "__pycache__",
    "@eadir",
    "$recycle.bin",
    "system volume information",
    "lost+found",
}
_LEFTOVER_FILES = {
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "picasa.ini",
    "pspbrwse.jbf",
    "zbthumbnail.info",
    "icon\r",
    "icon\uf00d",
}
_STREAMS = (
    "zone.identifier",
    ":encryptable",
    ":afp_afpinfo",
    ":afp_resource",
    ":com.dropbox.attributes",
    ":$data",
)
"""Ends of the names of what Windows and others keep beside a file; copied to other systems they are files."""


def decoded_name(info: zipfile.ZipInfo) -> str:
    """Return the name of an entry as it was meant.

    The Unicode Path field (APPNOTE.TXT 4.6.9) counts most, if it belongs to the name. Then comes the flag for UTF-8
    (4.4.4, bit 11). Many programs write UTF-8 without it; names that are no UTF-8 are in CP437 (appendix D).
    """
    name = info.orig_filename
    if info.flag_bits & _UTF_8:
        return name
    raw = name.encode("cp437")
    path = _unicode_path(info.extra, raw)
    if path is not None:
        return path
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return name


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """Return the name in the Unicode Path field: version, CRC-32 of the name that it replaces, UTF-8."""
    place = 0
    while place + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, place)
        field = extra[place + 4 : place + 4 + size]
        place += 4 + size
        if kind != _UNICODE_PATH or len(field) != size or size < 6 or field[0] != 1:
            continue
        if struct.unpack_from("<I", field, 1)[0] == zlib.crc32(raw):
            try:
                return field[5:].decode("utf-8")
            except UnicodeDecodeError:
                return None
    return None


def split_path(info: zipfile.ZipInfo) -> tuple[str, ...] | None:
    """Return the folders and the name of an entry, or None where a system has left it behind.

    Raises:
        Invalid: it is no plain relative path.
    """
    name = decoded_name(info).replace("\\", "/")
    shown = repr(name[:MAX_NAME])
    if not name or name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        raise _unsafe(f"the archive's entry {shown} has an absolute name")
    # Archives made on macOS take letters and accents apart; the same name must be the same class.
    parts = tuple(unicodedata.normalize("NFC", name).removesuffix("/").split("/"))
    if any(part in ("", ".", "..") for part in parts):
        raise _unsafe(f"the archive's entry {shown} leaves its folder")
    if _is_leftover(parts):
        return None
    if has_controls(name):
        raise _unsafe(f"the archive's entry {shown} has control characters")
    if len(name) > MAX_PATH:
        raise Invalid(f"the archive's entry {shown}... has a path of more than {MAX_PATH} characters")
    if any(len(part) > MAX_NAME for part in parts):
        raise Invalid(f"the archive's entry {shown}... has a name of more than {MAX_NAME} characters")
    return parts


def _is_leftover(parts: tuple[str, ...]) -> bool:
    """Tell whether a system or a program made an entry for itself, at whatever depth.

    Hidden files and folders (.DS_Store, ._*, .git, .ipynb_checkpoints, .Trashes), what macOS, Windows, Synology, Python
    and viewers of pictures add to folders and files, and the lock files of office programs.
    """
    return (
        any(part.startswith(".") or part.lower() in _LEFTOVER_FOLDERS for part in parts)
        or parts[-1].lower() in _LEFTOVER_FILES
        or parts[-1].lower().endswith(_STREAMS)
        or parts[-1].startswith("~$")
    )


def _unsafe(detail: str) -> Invalid:
    return Invalid(detail, code="unsafe-archive")
