"""Where the server listens, and who may call it."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from app.hosts import is_loopback
from app.settings.fields import DIVIDED, Group, Place, SettingsError, variable


class Listening(Group):
    """Listening and keys."""

    host: str = Field("127.0.0.1", min_length=1, description="Address that the server listens on.")
    port: int = Field(
        8000, ge=0, le=65535, description="Port that the server listens on; 0 picks a free one."
    )
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that answer requests, all on one port. Several of them share what the server has: each "
        "takes its part of CONVSERVE_CORES for predictions, of the memory for models and of the room for what waits. "
        "Models that are in use take their memory once for each process.",
    )
    api_key: SecretStr | None = Field(
        None,
        description="Key that allows everything. All requests must carry it, or a key that was made with it, but for "
        "probes (GET of /livez, /readyz, /v2/health/live and /v2/health/ready), the page's own files (/ and below "
        "/page/) and addresses that were signed. Required when the address is not a loopback one.",
    )
    api_key_file: Place | None = Field(
        None,
        description="File that holds the API key, in place of CONVSERVE_API_KEY. When it changes the new key counts "
        "within two seconds, and the old one no longer.",
    )
    max_requests_per_key: Annotated[int | None, DIVIDED] = Field(
        None,
        ge=1,
        description="Most requests with one key that are answered at once; those beyond get 429. Open event streams do "
        "not count. By default any number.",
    )

    @field_validator("api_key", mode="after")
    @classmethod
    def _usable_key(cls, value: SecretStr | None) -> SecretStr | None:
        key = value.get_secret_value().strip() if value else ""
        if not key:
            return None
        # It travels in a header, where nothing else is safe.
        if not all("!" <= character <= "~" for character in key):
            raise ValueError("use printable ASCII characters without spaces")
        return SecretStr(key)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the address that the server listens on."""
        return is_loopback(self.host)

    def check_exposure(self) -> None:
        """Refuse to listen where strangers can connect without a key.

        Raises:
            SettingsError: the address is not a loopback one and there is no API key.
        """
        if self.loopback or self.api_key is not None:
            return
        key = variable("api_key")
        raise SettingsError(
            f"refusing to listen on {self.host} without an API key: anybody who can reach this address could "
            f"train models, read data and fill the disk. Set {key} to a long random value, like "
            f"{key}=\"$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')\", "
            f"or listen on 127.0.0.1."
        )
