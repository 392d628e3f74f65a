"""The settings of a server and of its workers, of all groups together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import ConfigDict

from app.settings.callers import Callers
from app.settings.fields import variable
from app.settings.jobs import Jobs
from app.settings.limits import Limits
from app.settings.listening import Listening
from app.settings.logs import Logs
from app.settings.object_store import ObjectStore
from app.settings.proxies import Proxies
from app.settings.serving import Serving
from app.settings.storage import Storage


class Settings(Listening, Proxies, Callers, Limits, Serving, Jobs, Storage, ObjectStore, Logs):
    """The settings of a server and of its workers.

    Each field can be given as an environment variable: ``CONVSERVE_`` and its name in capitals.
    An empty variable counts as absent.
    """

    model_config = ConfigDict(defer_build=False)

    def part(self, whole: int) -> int:
        """Return what one serving process has of what is for all of them: an even part, and at least 1 of what is."""
        return max(min(whole, 1), whole // self.workers)

    def share(self) -> Self:
        """Return the settings of one serving process: what is for all of them together is divided."""
        wholes = {name: getattr(self, name) for name in self.divided()}
        return self.model_copy(
            update={name: self.part(whole) for name, whole in wholes.items() if whole is not None}
        )

    def secret_files(self) -> Mapping[str, Path]:
        """Return the secrets that may be replaced while the server runs, and the files that they are in."""
        replaced = set(self.secrets()) - set(self.secrets_for_workers())
        files = {name: getattr(self, self.file_of(name)) for name in replaced}
        return {name: file for name, file in files.items() if file is not None}

    def environment(self, *, secrets: bool = False) -> dict[str, str]:
        """Return these settings as variables for a process.

        They are the whole of what a worker should see under ``CONVSERVE_``. Secrets, and the names of their files, are
        not among them, unless they are asked for, or no worker can do without: what handles other people's files
        should hold none that it has no use for.
        """
        shown = set(self.secrets() if secrets else self.secrets_for_workers())
        without = {name for secret in self.secrets() for name in (secret, self.file_of(secret))}
        values = self.model_dump(mode="json", exclude=without, exclude_none=True)
        for name in shown:
            value, file = getattr(self, name), getattr(self, self.file_of(name))
            if file is not None:
                values[self.file_of(name)] = file
            elif value is not None:
                values[name] = value.get_secret_value()
        return {variable(name): str(value) for name, value in values.items()}
