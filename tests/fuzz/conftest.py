"""How many calls by chance are made."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--calls", type=int, default=1, help="calls of each operation in tests/fuzz/test_calls.py"
    )
