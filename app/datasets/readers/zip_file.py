"""The one opener of uploaded zip archives; what they hold is for the modules beside this one to say.

An archive is refused as a whole when it is built to harm or cannot be what it should be: all of that is
seen in its directory, before anything is unpacked. Nothing is ever unpacked to disk; members are read one
by one into memory, and what they really hold is counted, whatever the directory says.
"""

from __future__ import annotations

import stat
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from struct import unpack_from
from typing import IO, BinaryIO

from app.datasets.readers.sniff import HEAD, describe
from app.datasets.readers.zip_names import decoded_name, split_path
from app.errors import Invalid, TooLarge
from app.files.budget import MemoryBudget

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_ENTRY_SIGNATURE = b"PK\x01\x02"
_ENTRY_BYTES = 46
_LENGTHS = 28
"""Where in an entry the lengths of its name, its extra fields and its comment are."""
_MEMORY_PER_ENTRY = 1250
_MEMORY_PER_LETTER, _MEMORY_PER_WIDE_LETTER, _MEMORY_PER_BYTE = 5, 20, 2
"""What an entry takes with all that is made of it, as measured; for each byte of its name, in ASCII or not, and of what
else is said of it."""
_LOCAL_HEADER_BYTES = 30
_DIRECTORY_BYTES_PER_ENTRY = 512
_ENCRYPTED = 0x1
_CHUNK = 1 << 16
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much an archive may hold.

    Attributes:
        entries: the most entries of its directory, folders included.
        ratio: the most that it may grow when unpacked, as a multiple of its packed size, if it unpacks to more than
            `unpacked_bytes`: so many could have been sent as they are, however well they compress.
        member_bytes: the most bytes of one unpacked member that is read into memory.
        memory: where what the entries take in memory is reserved, as long as the archive is open; a worker has none.
    """

    entries: int
    ratio: int
    member_bytes: int
    unpacked_bytes: int
    memory: MemoryBudget | None = None

    def check(self, what: str, packed: int, unpacked: int) -> None:
        """Refuse what grows too much when it is unpacked.

        Raises:
            TooLarge: it does.
        """
        if unpacked > max(self.unpacked_bytes, packed * self.ratio):
            raise TooLarge(
                f"{what} unpacks from {packed} to {unpacked} bytes, more than {self.ratio} times its size and more "
                f"than {self.unpacked_bytes} bytes. If it must, raise CONVSERVE_MAX_ARCHIVE_RATIO",
                code="suspicious-compression",
            )


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of an archive that counts, a file or a folder; `parts` is its name taken apart."""

    parts: tuple[str, ...]
    info: zipfile.ZipInfo
    is_folder: bool

    @property
    def name(self) -> str:
        """Its name as a whole."""
        return "/".join(self.parts)


class SafeZip:
    """A zip archive that was checked when it was opened.

    Attributes:
        members: its entries without what systems leave behind, in the order of their names.
    """

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        """Open and check an archive.

        Raises:
            Invalid: it is no zip archive, or holds a name or type that is not taken.
            TooLarge: more entries or more unpacked bytes than the limits allow.
        """
        self._limits = limits
        with ExitStack() as opened:
            file = opened.enter_context(path.open("rb"))
            self._archive = _read_directory(file, limits, opened)
            self.members = _check(self._archive, limits)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._archive.close()
        self._opened.close()

    def open(self, member: Member) -> IO[bytes]:
        """Open a member as a stream; its reader counts what it takes, and expects any error of zipfile's.

        Raises:
            Invalid: it is not what the directory says.
        """
        try:
            return self._archive.open(member.info)
        # It raises BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error and others.
        except Exception as error:
            raise _damaged(error) from error

    def read(self, member: Member, limit: int | None = None) -> bytes:
        """Unpack one member into memory.

        Raises:
            Invalid: it is damaged, or is not what the directory says.
            TooLarge: it holds more than the limit, by default that of any member; no more was unpacked.
        """
        most = self._limits.member_bytes if limit is None else limit
        content = bytearray()
        try:
            with self.open(member) as stream:
                while chunk := stream.read(_CHUNK):
                    content += chunk
                    if len(content) > most:
                        raise TooLarge(f"it unpacks to more than {most} bytes")
        # zipfile and zlib raise many kinds of error on damaged members, also NotImplementedError.
        except (TooLarge, Invalid, MemoryError):
            raise
        except Exception as error:
            raise _damaged(error) from error
        if len(content) != member.info.file_size:
            raise Invalid(
                f"it unpacks to {len(content)} bytes, the archive's directory says {member.info.file_size}",
                code="damaged-archive",
            )
        return bytes(content)


def _damaged(error: Exception) -> Invalid:
    return Invalid(f"the archive is damaged here: {error}", code="damaged-archive")


class _DirectoryGuard:
    """A file for `zipfile` to read a directory from, which bounds what it can be made to hold in memory."""

    def __init__(self, file: BinaryIO, limits: ArchiveLimits, opened: ExitStack) -> None:
        self._file = file
        self._limits, self._opened = limits, opened
        self.guarding = True
        self.seek = file.seek
        self.tell = file.tell
        self.close = file.close

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self.guarding:
            return self._file.read(size)
        entries, memory = self._limits.entries, self._limits.memory
        limit = entries * _DIRECTORY_BYTES_PER_ENTRY + _CHUNK
        if size > limit:
            raise _too_many_entries(entries)
        data = self._file.read(limit + 1 if size < 0 else size)
        if len(data) > limit or data.count(_ENTRY_SIGNATURE) > entries:
            raise _too_many_entries(entries)
        if memory is not None:
            self._opened.enter_context(memory.reserve(_memory(data)))
        return data


def _memory(directory: bytes) -> int:
    """Return how many bytes of memory the entries of a directory will take at most."""
    place = total = 0
    while directory.startswith(_ENTRY_SIGNATURE, place) and place + _ENTRY_BYTES <= len(directory):
        letters, fields, comment = unpack_from("<HHH", directory, place + _LENGTHS)
        place += _ENTRY_BYTES
        narrow = directory[place : place + letters].isascii()
        total += _MEMORY_PER_ENTRY + _MEMORY_PER_BYTE * (fields + comment)
        total += letters * (_MEMORY_PER_LETTER if narrow else _MEMORY_PER_WIDE_LETTER)
        place += letters + fields + comment
    return total


def _too_many_entries(limit: int) -> TooLarge:
    return TooLarge(
        f"the archive has more than {limit} entries or a directory too large for them; send it in parts, or "
        "raise CONVSERVE_MAX_ARCHIVE_ENTRIES",
        code="too-many-entries",
    )


def _read_directory(file: BinaryIO, limits: ArchiveLimits, opened: ExitStack) -> zipfile.ZipFile:
    guard = _DirectoryGuard(file, limits, opened)
    try:
        archive = zipfile.ZipFile(guard)
    except TooLarge:
        raise
    # zipfile raises struct.error, UnicodeDecodeError and others beside BadZipFile on damaged directories.
    except Exception as error:
        file.seek(0)
        head = file.read(HEAD)
        if not head.startswith(MAGIC):
            raise Invalid(
                f"this is {describe(head)} and no zip archive; pack the pictures into a zip",
                code="damaged-archive",
            ) from error
        raise Invalid(
            f"this is no readable zip archive: {error}. It may have been cut short; send it again",
            code="damaged-archive",
        ) from error
    guard.guarding = False
    if len(archive.filelist) > limits.entries:
        raise _too_many_entries(limits.entries)
    return archive


def _check(archive: zipfile.ZipFile, limits: ArchiveLimits) -> list[Member]:
    """Refuse what is dangerous; return the entries that count, in the order of names."""
    members = []
    seen: set[str] = set()
    packed = unpacked = 0
    for info in archive.filelist:
        parts = split_path(info)
        if parts is None:
            continue
        name = "/".join(parts)
        _check_entry(name, info)
        if name in seen:
            raise Invalid(f"the archive holds {name!r} twice", code="unsafe-archive")
        seen.add(name)
        packed += info.compress_size
        unpacked += info.file_size
        members.append(Member(parts, info, decoded_name(info).endswith(("/", "\\"))))
    limits.check("the archive", packed, unpacked)
    _check_overlap(archive)
    return sorted(members, key=lambda member: member.parts)


def _check_entry(name: str, info: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise Invalid(
            f"the archive's entry {name!r} is a link or a special file; only files and folders are taken",
            code="unsafe-archive",
        )
    if info.flag_bits & _ENCRYPTED:
        raise Invalid(f"the archive's entry {name!r} is encrypted; pack it without a password")
    if info.compress_type not in _METHODS:
        raise Invalid(
            f"the archive's entry {name!r} is packed by method {info.compress_type}; pack it with deflate, the "
            "method of every zip program"
        )


def _check_overlap(archive: zipfile.ZipFile) -> None:
    """Refuse entries that share packed bytes, the way to make a small archive unpack to petabytes."""
    entries = sorted(archive.filelist, key=lambda info: info.header_offset)
    ends = [*(info.header_offset for info in entries[1:]), archive.start_dir]
    for info, end in zip(entries, ends, strict=False):  # an empty archive has no entry, but an end
        if info.header_offset < 0 or info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size > end:
            raise Invalid(
                f"the archive's entry {decoded_name(info)!r} overlaps the next one or the directory",
                code="unsafe-archive",
            )
