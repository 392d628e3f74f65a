"""Under which name a file is saved."""

from __future__ import annotations

import re
from urllib.parse import quote


def attachment(name: str) -> dict[str, str]:
    """Return the header of a file that is to be saved; see `_disposition`."""
    return _disposition("attachment", name)


def inline(name: str) -> dict[str, str]:
    """Return the header of what is to be looked at, and is called so by those who save it; see `_disposition`."""
    return _disposition("inline", name)


def _disposition(kind: str, name: str) -> dict[str, str]:
    """Return the header that names a file (RFC 6266).

    `filename*` has the whole name; `filename`, which is all that `curl -OJ` reads, has it with a `_` for each
    character beyond ASCII, and for those that cannot stand between quotes or in the name of a file.
    """
    plain = re.sub(r"[^ -~]|[\"%/\\]", "_", name)
    return {"Content-Disposition": f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"}
