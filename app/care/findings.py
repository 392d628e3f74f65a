"""What is wrong with an installation, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["database", "row", "missing", "damaged", "debris"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong.

    Attributes:
        kind: what it is about.
        name: of the file, directory or row.
        fault: what is wrong with it.
        advice: what would mend it; empty where a repair does.
        repaired: what a repair has done about it; None where it did nothing.
    """

    kind: Kind
    name: str
    fault: str
    advice: str = ""
    repaired: str | None = None


@dataclass
class Report:
    """What was found.

    Attributes:
        findings: what is wrong.
        files: how many files were looked at.
        bytes: how many bytes of them were read.
        recorded: how many checksums were recorded that were not before.
        in_use: whether a server or a job was at work meanwhile.
    """

    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    recorded: int = 0
    in_use: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, or not any more."""
        return all(finding.repaired is not None for finding in self.findings)
