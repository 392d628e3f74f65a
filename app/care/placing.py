"""Files put where an installation has its own, unless they are there already."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import IO

from app.care.checksums import noted
from app.care.errors import CareError
from app.care.holdings import Listing
from app.files.artifacts import Artifacts, Written
from app.files.paths import is_lock

_NAMED = 3
"""Files that a refusal names."""


def put(artifacts: Artifacts, file: Written, fill: Callable[[IO[bytes]], None]) -> bool:
    """Store a file unless what is there of it is the same, and tell whether it was stored.

    Args:
        artifacts: where.
        file: its name, and what is to be in it.
        fill: writes that, or raises.
    """
    there = artifacts.find(file.name)
    if there is not None and there.bytes == file.bytes and noted(artifacts, file.name) == file.sha256:
        return False
    artifacts.write(file.name, fill)
    return True


def refuse_strange_files(artifacts: Artifacts, where: str, names: Collection[str]) -> None:
    """Refuse a place that has files other than those that are to come: they would belong to nothing there.

    Args:
        artifacts: the files that are there.
        where: they are, for people.
        names: those that are to come, some of which an earlier attempt may have left.

    Raises:
        CareError: it has.
    """
    there = {file.name for file in Listing.of(artifacts) if not is_lock(file.name)}
    others = sorted(there - set(names))
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        raise CareError(
            f"{where} has files of something else ({', '.join(others[:_NAMED])}{more}): name a place where nothing is, "
            "or remove them if they are nobody's"
        )
