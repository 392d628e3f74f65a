"""What chance makes of counts, held against exact sums."""

import math

import pytest

from engine.training.chance import mcnemar


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0), (5, 15), (15, 5), (0, 12), (7, 8), (480, 560)])
def test_the_p_value_is_the_exact_sum(first: int, second: int) -> None:
    n, k = first + second, min(first, second)
    exact = min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
    assert mcnemar(first, second) == pytest.approx(exact, rel=1e-9)


def test_no_difference_is_surely_chance() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(400_000, 400_000) == 1


def test_very_many_pictures_have_a_p_value() -> None:
    # of a normal distribution with continuity correction: z = (10000 - 1) / 1000
    assert mcnemar(495_000, 505_000) == pytest.approx(math.erfc(9.999 / math.sqrt(2)), rel=0.01)
    assert mcnemar(0, 1_000_000) == 0
