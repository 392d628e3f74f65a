"""Which artifacts an installation has: in its data directory, or where its settings say."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from app.files.artifacts import Artifacts, LocalArtifacts
from app.settings import Settings, SettingsError

Transfer = Callable[[], AbstractContextManager[object]]

SERVER_PIN_SECONDS = 600.0
"""For how long a server holds a copy after it was last asked for."""


def open_artifacts(
    settings: Settings, pin_seconds: float = math.inf, transfer: Transfer = nullcontext
) -> Artifacts:
    """Return the artifacts of an installation; nothing is asked of an object store before they are used.

    Args:
        settings: of the installation.
        pin_seconds: for how long what was read stays on this machine for certain; by default while this process lives.
        transfer: entered while bytes come from a store or go there, which may take long.

    Raises:
        SettingsError: they are in an object store, and what is needed for that is not installed.
    """
    if settings.artifacts_url is None:
        return LocalArtifacts(settings.data_dir)
    try:
        # with an object store only: most installations have none, nor the library
        from app.files.bucket.artifacts import BucketArtifacts  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            "CONVSERVE_ARTIFACTS_URL needs the library obstore: install convserve[cluster]"
        ) from error
    return BucketArtifacts(settings, pin_seconds, transfer)
