"""How many files a process may have open; a connection is one of them."""

from __future__ import annotations

import sys

_MOST = 10_240 if sys.platform == "darwin" else 65_536
"""More is asked for by nobody here, and macOS gives no more, whatever it says."""


def open_files() -> int:
    """Return how many files this process may have open, once it has asked for as many as it may."""
    import resource  # noqa: PLC0415 - Windows, where only the client runs, has none

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = _MOST
    return soft if soft != resource.RLIM_INFINITY and soft > hard else max(min(hard, _MOST), min(soft, _MOST))


def raise_open_files() -> None:
    """Ask for as many as `open_files` says: systems give few by default, for programs that use `select`."""
    import resource  # noqa: PLC0415 - Windows, where only the client runs, has none

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = open_files()
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
