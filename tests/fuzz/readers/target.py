"""What is fuzzed: a reader, whole files that it takes, and what it may do with any other bytes."""

from __future__ import annotations

import base64
import importlib
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.errors import Invalid, Malformed, TooLarge, Unsupported
from tests.fuzz.readers.scratch import folder

REFUSALS = (Invalid, Malformed, TooLarge, Unsupported)
"""What a reader of something from outside may raise; each is a 4xx with words."""
MOST_SECONDS = 2.0
"""Of the processor, for one input."""
MOST_BYTES = 64 << 20
"""More memory than before, for one input."""
SEPARATOR = b"\n--next--\n"
"""Between the files of an input that is several."""
KEPT = Path(__file__).parent / "kept"
"""Inputs that were finds once, in base64: a folder for each target."""
MOST_SAID = 4_000
"""Characters of a refusal."""
_LEAKS = ("object at 0x", "validation error for", "Traceback")
"""Words of Python in place of ours."""
_UNIT = 1 if sys.platform == "darwin" else 1024
_PEAK = Path("/proc/self/clear_refs")


class Find(AssertionError):
    """A reader did what it may not do.

    Args:
        kind: what that was; the same for many inputs.
        detail: what it was with this one.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Target:
    """A reader.

    Attributes:
        name: of the module here and of the reader in it.
        read: gives it an input; whatever it raises but `REFUSALS` is a find.
        seeds: makes small inputs that it takes, or would if they were not small.
        takes: whether it takes any of them.
    """

    name: str
    read: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    takes: bool = True

    def attempt(self, data: bytes) -> bool:
        """Give it an input, and return whether it was taken.

        Raises:
            Find: it raised something else than a refusal, or took too much time or memory.
        """
        with suppress(OSError):  # where the system does so, the peak of memory begins anew
            _PEAK.write_text("5")
        memory, began = _peak(), time.process_time()
        try:
            with warnings.catch_warnings():
                # of Pillow and NumPy; unclosed files still fail the tests
                warnings.simplefilter("ignore", UserWarning)
                warnings.simplefilter("ignore", RuntimeWarning)
                self.read(data)
            taken = True
        except REFUSALS as error:
            taken = False
            self._check_words(str(error))
        except Exception as error:
            raise Find(f"{self.name} raised {type(error).__name__}", str(error)[:500]) from error
        seconds, more = time.process_time() - began, _peak() - memory
        if seconds > MOST_SECONDS:
            raise Find(f"{self.name} took too long", f"{seconds:.1f} s of the processor")
        if more > MOST_BYTES:
            raise Find(f"{self.name} took too much memory", f"{more >> 20} MiB more")
        return taken

    def _check_words(self, said: str) -> None:
        """Refuse a refusal that says too much, or what no caller knows."""
        if len(said) > MOST_SAID:
            raise Find(f"{self.name} says too much", f"{len(said)} characters: {said[:200]}")
        leak = next((leak for leak in (*_LEAKS, str(folder())) if leak in said), None)
        if leak is not None:
            raise Find(f"{self.name} speaks of {leak!r}", said[:500])

    def kept(self) -> dict[str, bytes]:
        """Return the finds of before, by their names."""
        return {
            file.stem: base64.b64decode(file.read_text("ascii"))
            for file in sorted((KEPT / self.name).glob("*.b64"))
        }


def named(name: str) -> Target:
    """Return a target; only the module that it is in is imported."""
    module = importlib.import_module(f"{__package__}.{name.partition('.')[0]}")
    return next(target for target in module.TARGETS if target.name == name)


def all_targets() -> list[Target]:
    """Return all of them: each module here with `TARGETS` in it."""
    modules = sorted(
        file.stem for file in Path(__file__).parent.glob("*.py") if "\nTARGETS" in file.read_text()
    )
    return [
        target for module in modules for target in importlib.import_module(f"{__package__}.{module}").TARGETS
    ]


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
