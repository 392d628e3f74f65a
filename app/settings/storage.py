"""Where everything is kept, how much of it, and for how long."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from app.settings.fields import FOR_WORKERS, GIB, Days, Group, Place


class Storage(Group):
    """Storage."""

    data_dir: Place = Field(
        Path("convserve-data"),
        description="Directory that holds the database, data sets, models, logs and checkpoints, where PostgreSQL or "
        "an object store does not.",
    )
    database_url: Annotated[SecretStr | None, FOR_WORKERS] = Field(
        None,
        description="PostgreSQL database that holds the rows in place of the SQLite file of the data directory: "
        "postgresql+psycopg://user:password@host:port/database. See docs/cluster.md.",
    )
    database_url_file: Place | None = Field(
        None,
        description="File that holds that address, in place of CONVSERVE_DATABASE_URL; read when the server starts.",
    )
    max_data_bytes: int | None = Field(
        None,
        ge=1,
        description="Size of the data directory, or of the object store with the rest of the data directory but "
        "copies, beyond which calls that add to it are refused; by default none.",
    )
    min_free_bytes: int = Field(
        256 * 1024**2,
        ge=0,
        description="Bytes that are to stay free on the disk of the data directory, for checkpoints of running jobs "
        "and the database. Below it uploads and new jobs are refused with 507, and queued jobs wait.",
    )
    retention_days: Days | None = Field(
        None,
        description="Days after which finished jobs are deleted with their files; models and data sets stay. "
        "By default never.",
    )
    checkpoint_retention_days: Days = Field(
        30.0,
        description="Days after its end for which a training job keeps its last checkpoint, so that another can "
        "continue from it; models stay.",
    )
    max_feature_bytes: int = Field(
        2 * GIB,
        ge=0,
        description="Size of what is kept of frozen networks' features of pictures for later training jobs; those "
        "unused for longest go first. A job whose features alone would be larger computes them in every epoch.",
    )
    dataset_mirror: str | None = Field(
        None,
        description="Directory or URL that data sets are fetched from by name, instead of from where they are "
        "published: a folder for each (mnist, fashion-mnist, cifar-10) with its files and perhaps SHA256SUMS.",
    )

    @field_validator("database_url", mode="after")
    @classmethod
    def _usable_database(cls, value: SecretStr | None) -> SecretStr | None:
        address = value.get_secret_value().strip() if value else ""
        if not address:
            return None
        scheme, separator, rest = address.partition("://")
        if scheme not in ("postgresql", "postgresql+psycopg") or not separator:
            raise ValueError("begin it with postgresql+psycopg://; without it an SQLite file is the database")
        if not rest.partition("?")[0].partition("/")[2]:
            raise ValueError(
                "end it with the name of a database: postgresql+psycopg://user:password@host:port/name"
            )
        return SecretStr(address)

    @field_validator("dataset_mirror", mode="after")
    @classmethod
    def _usable_mirror(cls, value: str | None) -> str | None:
        if value is None or value.startswith(("http://", "https://")):
            return value
        if "://" in value:
            raise ValueError("use a directory, or an address that begins with http:// or https://")
        return str(Path(value).expanduser().absolute())

    @property
    def database(self) -> str | None:
        """The address of the database, with its password; None where it is a file of the data directory."""
        return None if self.database_url is None else self.database_url.get_secret_value()

    @property
    def checkpoint_retention(self) -> timedelta:
        """How long the last checkpoint of a finished job is kept."""
        return timedelta(days=self.checkpoint_retention_days)
