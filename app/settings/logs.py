"""What is logged, and how."""

from typing import Annotated, Literal

from pydantic import Field

from app.settings.fields import AnyCase, Group


class Logs(Group):
    """Logs."""

    log_level: Annotated[Literal["debug", "info", "warning", "error"], AnyCase] = Field(
        "info", description="Least severe message that is logged."
    )
    log_format: Annotated[Literal["auto", "json", "console"], AnyCase] = Field(
        "auto", description="How log lines look; auto is console on a terminal and JSON anywhere else."
    )
