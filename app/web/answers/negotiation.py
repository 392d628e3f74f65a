"""Which of several forms of an answer a client would rather have."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

_MOST, _LONGEST = 64, 256
"""How many entries of a header are read, and how many characters of each: they are read on the event loop."""


def preferred(request: Request, offered: Sequence[str]) -> str:
    """Return the media type that the header Accept prefers; of equals the first offered.

    What accepts none of them gets the first: an answer in another form is of more use than none
    (RFC 9110, section 12.4.1).
    """
    ranges = _ranges(request.headers.get("accept", "*/*"))

    def quality(kind: str) -> float:
        # The most specific range that fits decides.
        fitting = [(len(pattern.replace("*", "")), q) for pattern, q in ranges if _fits(kind, pattern)]
        return max(fitting, default=(0, 0.0))[1]

    return max(offered, key=quality)


def preferred_encoding(request: Request, offered: Sequence[str]) -> str | None:
    """Return the encoding that the header Accept-Encoding prefers (RFC 9110, section 12.5.3), None for none of them.

    Of equals the first offered; and rather any of them than `identity`, which is the body as it is.
    """
    taken = dict(_ranges(request.headers.get("accept-encoding", "")))
    best = max(offered, key=lambda encoding: taken.get(encoding, taken.get("*", 0.0)))
    quality = taken.get(best, taken.get("*", 0.0))
    return best if quality > 0 and quality >= taken.get("identity", 0.0) else None


def _ranges(header: str) -> list[tuple[str, float]]:
    """Return what a header names, each with its quality; of a header that is longer than any that is meant, a part."""
    return [_range(entry[:_LONGEST]) for entry in header.split(",", _MOST)[:_MOST]]


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
