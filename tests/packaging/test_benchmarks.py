"""Our side of each benchmark runs; the other sides need what only `make bench` installs."""

from __future__ import annotations

import pytest

from benchmarks import sides

CASE = [2, 8, 3, 16, 3, 1, 1]
"""Pictures, size, channels, filters, kernel, stride, padding."""


@pytest.mark.parametrize("backward", [False, True])
def test_one_layer(backward: bool) -> None:
    run = sides.layer(CASE, backward=backward)
    run()
    run()


def test_predictions() -> None:
    assert sides.inference("lenet-5", 2)().shape == (2, 10)
