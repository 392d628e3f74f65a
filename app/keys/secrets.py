"""The secrets of the settings: as they were at the start, or as the files say that hold them."""

from __future__ import annotations

import threading
from hashlib import sha256
from pathlib import Path

from app.log import Log
from app.settings import Settings, SettingsError, reread_secret

log = Log(__name__)

_INTERVAL = 1.0
"""Seconds between two looks at the files."""

_Seen = tuple[int, int, int, int]


class Secrets:
    """What the API key, the key of webhooks and the token of Ray are now.

    A secret whose file has changed is read again, by a thread of its own: the server need not start again, and needs no
    signal, which platforms that replace files cannot send. What is looked at is the file that a name leads to at last:
    Kubernetes swaps a symbolic link. A file that is gone, empty or holds what cannot be used leaves the secret as it
    was, and the log says so.
    """

    def __init__(self, settings: Settings, interval: float = _INTERVAL) -> None:
        self._settings = settings
        self._interval = interval
        # nothing yet: a file may have changed since the settings were read
        self._seen: dict[str, _Seen | None] = {}
        self._stopping = threading.Event()
        self._take()

    @property
    def api_key_digest(self) -> str | None:
        """SHA-256 of the API key, in hexadecimal digits; None where there is none."""
        return self._api_key_digest

    @property
    def webhook_key(self) -> bytes | None:
        """The bytes that webhooks are signed with."""
        return self._settings.webhook_key

    @property
    def ray_token(self) -> str | None:
        """What Ray's REST interface is asked with."""
        token = self._settings.ray_token
        return None if token is None else token.get_secret_value()

    def start(self) -> None:
        """Begin to look at the files; does nothing where there are none."""
        if self._settings.secret_files():
            threading.Thread(target=self._run, name="secrets", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    def _take(self) -> None:
        key = self._settings.api_key
        self._api_key_digest = None if key is None else sha256(key.get_secret_value().encode()).hexdigest()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval):
            for name, file in self._settings.secret_files().items():
                seen = _look(file)
                if name not in self._seen or seen != self._seen[name]:
                    self._seen[name] = seen
                    self._reread(name)

    def _reread(self, name: str) -> None:
        before = self._settings
        try:
            self._settings = reread_secret(before, name)
        except SettingsError as error:
            log.error("secret_not_replaced", setting=name, error=str(error))
            return
        if self._settings != before:
            self._take()
            log.info("secret_replaced", setting=name)


def _look(file: Path) -> _Seen | None:
    """Return what tells a file from the one that was there before; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
