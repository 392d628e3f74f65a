"""Files within JSON: the one decoder of base64."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode

HINT = "send the bytes of the file in base64; line ends and a data: URL are fine"

_DATA_URL = re.compile(r"\s*data:[^,;]*(?P<options>(?:;[^,;]*)*),", re.IGNORECASE | re.ASCII)
_STRANGE = re.compile("[^A-Za-z0-9+/]")
_SPACE = re.compile(r"[ \t\r\n]+")
_URL_SAFE = str.maketrans("-_", "+/")


def decode_base64(text: str) -> bytes:
    """Return the bytes that a text stands for.

    Taken are the alphabet of RFC 4648, section 4, that for URLs of section 5, line ends and spaces as MIME and PEM
    write them, a `data:` URL (RFC 2397), and text without its padding.

    Raises:
        ValueError: it is something else; the message says what.
    """
    url = _DATA_URL.match(text)
    if url is not None:
        if not url["options"].lower().rstrip().endswith(";base64"):
            raise ValueError("this data: URL is not in base64: it does not say ;base64")
        text = text[url.end() :]
    plain = _SPACE.sub("", text).translate(_URL_SAFE)
    if not plain:
        raise ValueError("it is empty")
    body = plain.rstrip("=")
    if len(plain) - len(body) > 2:
        raise ValueError("it ends in more than two signs of padding")
    if len(body) % 4 == 1:
        raise ValueError("it is cut short: its length is none that base64 has")
    try:
        return b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        strange = _STRANGE.search(body)
        raise ValueError(f"it holds {strange[0]!a}" if strange else "it is damaged") from None
