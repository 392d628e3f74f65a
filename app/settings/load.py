"""Read the settings from the environment, and say in plain words what is wrong with them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.settings.fields import SettingsError, variable
from app.settings.settings import Settings

_FAULTS: Mapping[str, str] = {
    "bool_parsing": "write true or false",
    "finite_number": "write a finite number",
    "float_parsing": "write a number",
    "greater_than": "use more than {gt:g}",
    "greater_than_equal": "use {ge:g} or more",
    "int_parsing": "write a whole number",
    "less_than_equal": "use {le:g} or less",
    "literal_error": "use {expected}",
}
"""What would do, by the fault that was found."""


_MOST_BYTES = 4096
"""Of a file that holds a secret."""


def load_settings(given_as: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings from the environment; what is passed and not None goes first.

    Args:
        given_as: by what name somebody gave those that are passed, such as `{"port": "--port"}`; errors name that.
        overrides: settings.

    Raises:
        SettingsError: some value cannot be used; one line for each.
    """
    values: dict[str, Any] = {
        name: value for name in Settings.model_fields if (value := os.environ.get(variable(name)))
    }
    values |= {name: value for name, value in overrides.items() if value is not None}
    for name in Settings.secrets():
        setting = Settings.file_of(name)
        if setting in values:
            if name in values:
                raise SettingsError(
                    f"{variable(name)} and {variable(setting)} are both set; unset one of them"
                )
            values[name] = _read_secret(setting, Path(values[setting]))
    try:
        return Settings(**values)
    except ValidationError as error:
        lines = []
        # a default that is computed from others says no more than that those are wrong
        faults = [fault for fault in error.errors() if fault["type"] != "default_factory_not_called"]
        for fault in faults:
            name = str(fault["loc"][0]) if fault["loc"] else "?"
            called = (given_as or {}).get(name) if overrides.get(name) is not None else None
            lines.append(f"{called or variable(name)}: {_in_words(name, fault)}")
        raise SettingsError("\n".join(lines)) from None


def reread_secret(settings: Settings, name: str) -> Settings:
    """Return settings with the secret of this name as its file has it now.

    Raises:
        SettingsError: the file cannot be read, or holds nothing that can be used.
    """
    file, setting = settings.secret_files()[name], Settings.file_of(name)
    return change_settings(settings, f"{variable(setting)}: {file}", **{name: _read_secret(setting, file)})


def change_settings(settings: Settings, given_as: str, **changes: Any) -> Settings:
    """Return settings with other values for some of them.

    Args:
        settings: for the rest.
        given_as: by what name somebody gave those that are changed; errors begin with it.
        changes: the settings that are changed.

    Raises:
        SettingsError: one of them cannot be used.
    """
    given = {each: getattr(settings, each) for each in Settings.model_fields}
    try:
        return Settings(**given | changes)
    except ValidationError as error:
        words = "; ".join(_in_words(str(next(iter(fault["loc"]), "?")), fault) for fault in error.errors())
        raise SettingsError(f"{given_as}: {words}") from None


def _read_secret(setting: str, file: Path) -> str:
    """Read a file that holds a secret and nothing else but space around it."""
    try:
        if not file.is_file():
            raise SettingsError(f"{variable(setting)}: {file} is no file, or cannot be reached")
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
        text = content.decode().strip()
    except OSError as error:
        raise SettingsError(f"{variable(setting)}: {file} cannot be read: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"{variable(setting)}: {file} holds no text") from None
    if not text or len(content) > _MOST_BYTES:
        what = "is empty" if not text else f"is longer than {_MOST_BYTES} bytes"
        raise SettingsError(f"{variable(setting)}: {file} {what}; put the secret there, and nothing else")
    return text


def _in_words(name: str, fault: Mapping[str, Any]) -> str:
    """Say what is wrong with a value, without the value where it is a secret."""
    template = _FAULTS.get(fault["type"])
    if template is None:
        return str(fault["msg"]).removeprefix("Value error, ")
    text = template.format(**fault.get("ctx", {}))
    return text if name in Settings.secrets() else f"{text}, not {fault['input']}"
