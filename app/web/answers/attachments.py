"""Under which name a file is saved."""

from __future__ import annotations

import re
from urllib.parse import quote


def attachment(name: str) -> dict[str, str]:
    """Return the header that names a file (RFC 6266).

    `filename*` has the whole name; `filename`, which is all that `curl -OJ` reads, has it with a `_` for each
    character beyond ASCII, and for those that cannot stand between quotes or in the name of a file.
    """
    plain = re.sub(r"[^ -~]|[\"%/\\]", "_", name)
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    }
