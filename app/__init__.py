"""The service: HTTP on top of the store, the artifacts, the jobs and the engine."""


def version() -> str:
    """Return the version of this program; `0+source` where it runs from a source tree that is not installed."""
    # costs as much as all else that commands import
    from importlib import metadata  # noqa: PLC0415

    try:
        return metadata.version("convserve")
    except metadata.PackageNotFoundError:
        return "0+source"
