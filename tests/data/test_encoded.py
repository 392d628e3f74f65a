"""The one decoder of base64: what it takes, and what it says about what it does not."""

import base64
import re

import pytest

from app.files.encoded import decode_base64


@pytest.mark.parametrize("size", [1, 2, 3, 47, 48, 49, 1000])
def test_every_way_of_writing_base64_is_taken(size: int) -> None:
    content = bytes(number * 97 % 256 for number in range(251, 251 + size))
    plain = base64.b64encode(content).decode()
    for text in (
        plain,
        plain.rstrip("="),
        base64.urlsafe_b64encode(content).decode(),
        base64.encodebytes(content).decode().replace("\n", "\r\n"),
        f" \n data:image/png;name=x;BASE64,{plain}\n",
    ):
        assert decode_base64(text) == content


REFUSED = {
    "": "it is empty",
    " \n": "it is empty",
    "a": "it is cut short",
    "ab===": "more than two signs of padding",
    "a?bc": "it holds '?'",
    "ab=c": "it holds '='",
    "QUJD\x00": r"it holds '\x00'",
    "QUé=": r"it holds '\xe9'",
    "QUJD\ud800": r"it holds '\ud800'",
    "\xa0QUJD": r"it holds '\xa0'",
    "data:,QUJD": "it does not say ;base64",
    "data:" + "x" * 5000 + ";base64,QUJD": "it holds ':'",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:12]))
def test_what_is_no_base64_is_refused_with_what_it_holds(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(REFUSED[text])):
        decode_base64(text)
