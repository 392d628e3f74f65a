"""Everything that an operator can set: one frozen record, read from ``CONVSERVE_*`` when it is made.

A file is a group that an operator looks for together; a new setting is a field with a description in one of them.
"""

from app.settings.fields import PREFIX, Group, SettingsError, available_cores
from app.settings.load import change_settings, load_settings, reread_secret
from app.settings.settings import Settings

__all__ = [
    "PREFIX",
    "Group",
    "Settings",
    "SettingsError",
    "available_cores",
    "change_settings",
    "load_settings",
    "reread_secret",
]
