"""A server looks for garbage among what is young, and seldom among all that it holds."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import gc
from app.web.quick_imports import quick_imports

quick_imports()()
before = [generation["collections"] for generation in gc.get_stats()]
held = [[number] for number in range(400_000)]  # what thousands bring who connect
after = [generation["collections"] for generation in gc.get_stats()]
print(*(later - earlier for earlier, later in zip(before, after)))
"""


def test_thousands_who_connect_do_not_have_all_looked_at_again_and_again() -> None:
    command = [sys.executable, "-P", "-c", _PROGRAM]
    young, _, all_of_it = map(int, subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split())
    assert young > 100
    # Python's own limits give four
    assert all_of_it <= 1
