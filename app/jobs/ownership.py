"""Files belong to one database: none uses those of another installation, or removes them as if nobody had them.

Where others could have their files as well, in an object store, or in a data directory whose rows are elsewhere, they
are marked with what the database is marked with.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.files import paths
from app.files.artifacts import Artifacts, LocalArtifacts
from app.settings import SettingsError
from app.store import Store

MARK = "installation"
"""The file with that mark."""


def check_belongs(store: Store, artifacts: Artifacts) -> None:
    """Refuse files of another installation, and mark those that nobody has yet.

    Raises:
        SettingsError: they are another's.
        StorageFault, OSError: that cannot be told now.
    """
    for place in _places(store, artifacts):
        claim(store, *place)


def refuse_marks_of_others(store: Store, artifacts: Artifacts) -> None:
    """Refuse files of another installation, and write nothing.

    Raises:
        SettingsError: they are another's.
        StorageFault, OSError: that cannot be told now.
    """
    for place in _places(store, artifacts):
        _check(store, *place)


def _places(store: Store, artifacts: Artifacts) -> Iterator[tuple[Artifacts, str, str]]:
    """Yield the files in each place where others could have theirs, where that is, and what could be named instead."""
    if store.shared:
        where = f"the data directory {artifacts.root}"
        yield LocalArtifacts(artifacts.root), where, "name another directory in CONVSERVE_DATA_DIR"
    if artifacts.shared:
        where = "the place that CONVSERVE_ARTIFACTS_URL names"
        yield artifacts, where, "name a prefix where nothing is"


def claim(store: Store, files: Artifacts, where: str, otherwise: str) -> None:
    """Refuse files of another installation, and mark those that nobody has yet.

    Args:
        store: the rows.
        files: in one place.
        where: that is, for people.
        otherwise: what could be named in its stead.

    Raises:
        SettingsError: they are another's.
        StorageFault, OSError: that cannot be told now.
    """
    _check(store, files, where, otherwise)
    if not files.exists(MARK):
        files.write_new(MARK, store.mark().encode())
        # another may have been quicker
        _check(store, files, where, otherwise)


def _check(store: Store, files: Artifacts, where: str, otherwise: str) -> None:
    others = not bear_mark(store, files) if files.exists(MARK) else _are_strange(store, files)
    if others:
        raise _refusal(store, where, otherwise)


def bear_mark(store: Store, files: Artifacts) -> bool:
    """Tell whether files in one place are marked as those of an installation."""
    try:
        return b"".join(files.chunks(MARK)) == store.mark().encode()
    except FileNotFoundError:
        return False


def _are_strange(store: Store, files: Artifacts) -> bool:
    """Tell whether there are files that bear no mark, and none that the rows could mean.

    Before marks there were installations without one. What comes with each of them tells nothing.
    """
    present = {
        *(folder.name.rpartition("/")[2] for folder in files.folders(paths.DATASETS)),
        *(folder.name.rpartition("/")[2] for folder in files.folders(paths.DIRECTORY)),
        *(name.rpartition("/")[2].partition(".")[0] for name in files.names(paths.MODELS)),
    }
    tables = store.datasets, store.jobs, store.models
    ours = frozenset().union(*(table.identifiers(builtin=False) for table in tables))
    builtin = frozenset().union(*(table.identifiers(builtin=True) for table in tables))
    return not present <= builtin and not present & ours


def _refusal(store: Store, where: str, otherwise: str) -> SettingsError:
    return SettingsError(
        f"{where} holds the files of another database than {store.place}. Name the database that they belong to in "
        f"CONVSERVE_DATABASE_URL, or {otherwise}. None of these files was changed"
    )
