"""Run all tests and write the page; return how many fail."""

from __future__ import annotations

import sys

from tests.onnx_nodes.cases import listed
from tests.onnx_nodes.table import PAGE, page, tallies


def main() -> int:
    """Run the tests, say which fail, and write the page."""
    found = listed()
    counted = tallies(found)
    PAGE.write_text(page(found, counted), encoding="utf-8")
    failed = [wrong for tally in counted.values() for wrong in tally.failed]
    passed = sum(tally.passed for tally in counted.values())
    sys.stdout.write("\n".join([*failed, f"{PAGE.name}: {passed} passed, {len(failed)} failed", ""]))
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
