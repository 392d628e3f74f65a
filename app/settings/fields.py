"""What the groups of settings are made of: units, kinds of values, and the marks that a field can carry."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

PREFIX = "CONVSERVE_"

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, le=36500, allow_inf_nan=False)]


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


Place = Annotated[Path, AfterValidator(_absolute)]
"""A path that is the same wherever another process of the server is started."""


def _lower_case(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


AnyCase = BeforeValidator(_lower_case)
"""Marks a choice that may be written in capitals too."""


class _Divided:
    """See `DIVIDED`."""


DIVIDED = _Divided()
"""Marks what is set for all serving processes together, and divided among them."""


class _ForWorkers:
    """See `FOR_WORKERS`."""


FOR_WORKERS = _ForWorkers()
"""Marks a secret that workers cannot do without."""


class SettingsError(Exception):
    """A setting cannot be used; the message names the variable and says what would do."""


class Group(BaseModel):
    """Settings that an operator looks for together; the docstring of each group is its title in docs/operations.md."""

    # nothing is ever checked by a group alone, so none builds what checks it
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, defer_build=True)

    @classmethod
    def secrets(cls) -> Iterator[str]:
        """Name the settings that are secret."""
        for name, field in cls.model_fields.items():
            if field.annotation == SecretStr | None:
                yield name

    @classmethod
    def secrets_for_workers(cls) -> Iterator[str]:
        """Name the secrets that workers cannot do without."""
        for name in cls.secrets():
            if FOR_WORKERS in cls.model_fields[name].metadata:
                yield name

    @classmethod
    def file_of(cls, secret: str) -> str:
        """Return the setting that names the file of a secret."""
        return f"{secret}_file"

    @classmethod
    def divided(cls) -> Iterator[str]:
        """Name the settings that are divided among the serving processes."""
        for name, field in cls.model_fields.items():
            if DIVIDED in field.metadata:
                yield name


def variable(name: str) -> str:
    """Return the variable of the environment that gives a setting."""
    return PREFIX + name.upper()


def available_cores() -> int:
    """Count the processor cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
