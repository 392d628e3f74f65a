"""Under which name a file is saved."""

from __future__ import annotations

import re
from urllib.parse import quote

from app.text import has_controls

_UNSAFE = re.compile(r'[<>:"/\\|?*]')
"""On one system or another."""


def attachment(name: str) -> dict[str, str]:
    """Return the header of a file that is to be saved; see `_disposition`."""
    return _disposition("attachment", name)


def inline(name: str) -> dict[str, str]:
    """Return the header of what is to be looked at, and is called so by those who save it; see `_disposition`."""
    return _disposition("inline", name)


def _disposition(kind: str, name: str) -> dict[str, str]:
    """Return the header that names a file (RFC 6266).

    `filename*` has the whole name, with a `_` for each character that cannot stand in the name of a file or shows it
    as another, such as those that change the direction of writing, and for a dot at its beginning, which would hide it;
    `filename`, which is all that `curl -OJ` reads, has it with a `_` for each character beyond ASCII, too.
    """
    safe = "".join("_" if _UNSAFE.match(each) or has_controls(each) else each for each in name)
    safe = re.sub(r"\A[.]", "_", safe)
    plain = re.sub(r"[^ -~]|%", "_", safe)
    return {"Content-Disposition": f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"}
