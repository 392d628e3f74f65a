"""Where files are kept that several servers share."""

import re
from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from app.settings.fields import FOR_WORKERS, GIB, Group, Place

_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_][A-Za-z0-9._-]*)*/?")


class ObjectStore(Group):
    """Object store."""

    artifacts_url: str | None = Field(
        None,
        description="Bucket that holds data sets, models, checkpoints and what jobs have found, with the prefix of "
        "their names: s3://bucket/prefix; see [Files in an object store](object-store.md). By default the data "
        "directory does.",
    )
    artifacts_allow_http: bool = Field(
        False, description="Whether the object store may be asked without TLS, by an endpoint of http://."
    )
    artifacts_endpoint: str | None = Field(
        None, description="Address of the object store, where it is not that of AWS: https://s3.example.org."
    )
    artifacts_region: str = Field("us-east-1", description="Region of the bucket.")
    artifacts_access_key_id: str | None = Field(
        None,
        description="Name of the key that the object store is asked with; by default what the machine's role gives.",
    )
    artifacts_secret_access_key: Annotated[SecretStr | None, FOR_WORKERS] = Field(
        None, description="The secret of that key."
    )
    artifacts_secret_access_key_file: Place | None = Field(
        None,
        description="File that holds the secret of that key, in place of the setting before; read when the server "
        "starts.",
    )
    max_cache_bytes: int = Field(
        10 * GIB,
        ge=0,
        description="Size of the copies of files of the object store that are kept in the data directory; those unused "
        "for longest go first. Those in use stay, also beyond it.",
    )

    @field_validator("artifacts_url", mode="after")
    @classmethod
    def _names_a_bucket(cls, value: str | None) -> str | None:
        if value is not None and not _URL.fullmatch(value):
            raise ValueError("write s3://, the name of a bucket and perhaps a prefix: s3://bucket/prefix")
        return None if value is None else value.rstrip("/")

    @field_validator("artifacts_endpoint", mode="after")
    @classmethod
    def _is_encrypted(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or value.startswith("https://"):
            return value
        if not value.startswith("http://"):
            raise ValueError("write an address that begins with https://")
        if not info.data.get("artifacts_allow_http"):
            raise ValueError(
                "this would send every file in the clear; use https://, or say CONVSERVE_ARTIFACTS_ALLOW_HTTP=true"
            )
        return value
