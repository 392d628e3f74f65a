"""What the scripts of all clients share: what they are given, and how they say what has worked."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLIENTS = 64
MODEL = "lenet-5-digits"
TOLERANCE = 1e-5


class Given:
    """Where the server is, and what a model must answer.

    Attributes:
        address: host and port.
        headers: with the key of the server.
        pictures: files.
        pixels: of them, [N][H][W][C], from 0 to 255.
        numbers: what the first layer receives, [N][H][W][C].
        expected: what `predict` says of them, [N][K].
    """

    def __init__(self) -> None:
        given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        self.address: str = given["address"]
        self.headers = {"Authorization": f"Bearer {given['key']}"}
        self.pictures = [base64.b64decode(text) for text in given["pictures"]]
        self.pixels, self.numbers, self.expected = given["pixels"], given["numbers"], given["expected"]


def flat(values: Any) -> list[Any]:
    """Return what nested lists hold."""
    return [inner for value in values for inner in flat(value)] if isinstance(values, list) else [values]


def same(found: Any, expected: Any, tolerance: float = TOLERANCE) -> None:
    """Compare numbers, in arrays or lists.

    Raises:
        AssertionError: there are others.
    """
    ones, others = (
        flat(values.tolist() if hasattr(values, "tolist") else values) for values in (found, expected)
    )
    assert len(ones) == len(others), f"{len(ones)} numbers, not {len(others)}"
    furthest = max(abs(one - other) for one, other in zip(ones, others, strict=True))
    assert furthest <= tolerance, f"{furthest} apart"


def is_answered_in(encoding: str, said: str) -> None:
    """Look whether an answer was compressed, in what a client of Triton's says of it when it is told to.

    Raises:
        AssertionError: it was not.
    """
    _, answer = re.split(r"status=200|\[200 OK\]", said)
    assert f"'content-encoding': '{encoding}'" in answer.lower(), said


def report(checks: dict[str, Callable[[], Any]]) -> None:
    """Run checks one after the other, and write a line of JSON for each."""

    async def run() -> None:
        for name, check in checks.items():
            try:
                result = check()
                if inspect.isawaitable(result):
                    await result
                line = {"check": name, "fault": None}
            except Exception as error:
                traceback.print_exc()
                line = {"check": name, "fault": f"{type(error).__name__}: {error}"}
            sys.stdout.write(json.dumps(line) + "\n")

    asyncio.run(run())
