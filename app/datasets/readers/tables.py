"""Tables as people save them: comma, semicolon or tab between cells, in UTF-8, -16, -32 or a Western code page."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.errors import Invalid

DELIMITERS = (",", ";", "\t")
_MARKS = (
    # Before those of UTF-16, with which they begin.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ENCODING_NAMES = {"utf-8-sig": "UTF-8"}
_LINE_END = re.compile(r"\r\n|\r|\n")
_SAID = re.compile(r"sep=(.)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """A text that was decoded, its first line not yet looked at.

    Attributes:
        encoding: what it was taken for, as people call it.
        delimiter: what its first line says is between the cells (`sep=;`, as Excel writes it), if it does.
        first_line: the number of the line that `text` begins with.
    """

    text: str
    encoding: str
    delimiter: str | None
    first_line: int

    def header(self, delimiter: str) -> list[str]:
        """Return the cells of the first line, taken apart at a delimiter; none where they cannot be."""
        return next(iter(self.sample(delimiter, 1)), [])

    def sample(self, delimiter: str, lines: int) -> list[list[str]]:
        """Return the cells of the first lines."""
        found = []
        try:
            for cells in csv.reader(self._lines(), delimiter=delimiter):
                found.append([cell.strip() for cell in cells])
                if len(found) == lines:
                    break
        except csv.Error:
            pass
        return found

    def _lines(self) -> Iterator[str]:
        """Yield the lines with their ends; a stream of all of them would hold four bytes for each character."""
        start = 0
        for end in _LINE_END.finditer(self.text):
            yield self.text[start : end.end()]
            start = end.end()
        if start < len(self.text):
            yield self.text[start:]

    def rows(self, delimiter: str) -> Iterator[tuple[int, Sequence[str]]]:
        """Yield the lines below the first one that are not empty, with their numbers.

        Raises:
            csv.Error: a line is no CSV; it names the line.
        """
        reader = csv.reader(self._lines(), delimiter=delimiter, strict=True)
        try:
            for number, cells in enumerate(reader):
                if number and any(cell.strip() for cell in cells):
                    yield self.first_line - 1 + reader.line_num, cells
        except csv.Error as error:
            raise csv.Error(f"line {self.first_line - 1 + reader.line_num} is no CSV: {error}") from None


def read_table(content: bytes, *, whole: bool = True) -> Table:
    """Decode a table.

    Text with a byte order mark is what that says, text with zeros in two bytes of four is UTF-32 and with zeros
    in every other byte UTF-16, and what is no UTF-8 is Windows-1252, of which Latin-1 is a part (but for control
    characters).

    Args:
        content: the bytes of the file, or of its beginning.
        whole: whether it is all of the file; else the last character may be cut.

    Raises:
        Invalid: it is no text.
    """
    text, encoding = _decode(content, whole)
    said = _SAID.fullmatch(_LINE_END.split(text, maxsplit=1)[0])
    if said is None or said[1] not in DELIMITERS:
        return Table(text, encoding, None, 1)
    rest = _LINE_END.split(text, maxsplit=1)
    return Table(rest[1] if len(rest) > 1 else "", encoding, said[1], 2)


def _decode(content: bytes, whole: bool) -> tuple[str, str]:
    named = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    for encoding in (named,) if named else (*_wide(content), "utf-8"):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(content, final=whole)
        except UnicodeDecodeError as error:
            if named:
                raise Invalid(f"it says that it is {_shown(encoding)}, and is not: {error.reason}") from None
            continue
        return text, _shown(encoding)
    if b"\0" in content:
        raise Invalid("it is no text")
    try:
        return content.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:
        return content.decode("latin-1"), "Latin-1"


def _wide(content: bytes) -> tuple[str, ...]:
    """Return the UTF-32 or UTF-16 that a text without a mark is in, by the bytes that are zero in its first lines."""
    start = content[:200]
    # No character is beyond 0x10FFFF, and few are beyond 0xFFFF.
    for zeros, high, encoding in ((3, 2, "utf-32-le"), (0, 1, "utf-32-be")):
        if start and not any(start[zeros::4]) and start[high::4].count(0) * 8 > len(start):
            return (encoding,)
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if max(even, odd) * 4 <= len(start):
        return ()
    return ("utf-16-le",) if odd > even else ("utf-16-be",)


def _shown(encoding: str) -> str:
    return _ENCODING_NAMES.get(encoding, encoding.removesuffix("-le").removesuffix("-be").upper())
