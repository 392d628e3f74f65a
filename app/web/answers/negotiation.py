"""Which of several forms of an answer a client would rather have."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request


def preferred(request: Request, offered: Sequence[str]) -> str:
    """Return the media type that the header Accept prefers; of equals the first offered.

    What accepts none of them gets the first: an answer in another form is of more use than none
    (RFC 9110, section 12.4.1).
    """
    ranges = [_range(entry) for entry in request.headers.get("accept", "*/*").split(",")]

    def quality(kind: str) -> float:
        # The most specific range that fits decides.
        fitting = [(len(pattern.replace("*", "")), q) for pattern, q in ranges if _fits(kind, pattern)]
        return max(fitting, default=(0, 0.0))[1]

    return max(offered, key=quality)


def _range(entry: str) -> tuple[str, float]:
    pattern, *parameters = (part.strip().lower() for part in entry.split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                quality = 0.0
    return pattern, quality


def _fits(kind: str, pattern: str) -> bool:
    return pattern in ("*/*", kind) or (pattern.endswith("/*") and kind.startswith(pattern[:-1]))
