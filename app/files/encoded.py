"""Files within JSON: the one decoder of base64."""

from __future__ import annotations

import re
from binascii import a2b_base64

HINT = "send the bytes of the file in base64; line ends and a data: URL are fine"

_DATA_URL = re.compile(r"data:[^,;]*(?P<options>(?:;[^,;]*)*),", re.IGNORECASE | re.ASCII)
_LONGEST_HEAD = 1000
"""Characters of a data: URL before its comma."""

_SPACE = b" \t\r\n"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def decode_base64(text: str) -> bytes:
    """Return the bytes that a text stands for.

    Taken are the alphabet of RFC 4648, section 4, that for URLs of section 5, line ends and spaces as MIME and PEM
    write them, a `data:` URL (RFC 2397), and text without its padding.

    Raises:
        ValueError: it is something else; the message says what.
    """
    text = text.lstrip(" \t\r\n")
    url = _DATA_URL.match(text[:_LONGEST_HEAD])
    if url is not None:
        if not url["options"].lower().rstrip().endswith(";base64"):
            raise ValueError("this data: URL is not in base64: it does not say ;base64")
        text = text[url.end() :]
    try:
        # Bytes: going over tens of megabytes sign by sign would keep every other thread waiting for seconds.
        plain = text.encode("ascii").translate(_URL_SAFE, _SPACE)
    except UnicodeEncodeError as error:
        raise ValueError(f"it holds {text[error.start]!a}") from None
    if not plain:
        raise ValueError("it is empty")
    body = plain.rstrip(b"=")
    if strange := body.translate(None, _ALPHABET):
        raise ValueError(f"it holds {chr(strange[0])!a}")
    if len(plain) - len(body) > 2:
        raise ValueError("it ends in more than two signs of padding")
    if len(body) % 4 == 1:
        raise ValueError("it is cut short: its length is none that base64 has")
    return a2b_base64(body + b"=" * (-len(body) % 4))
