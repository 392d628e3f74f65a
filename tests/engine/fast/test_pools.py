"""Max-pools of any window in a plan, against the plain executor."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.fast.test_plan import CONV, compare, network


@pytest.mark.parametrize("size", [(9, 12), (7, 7), (10, 5)])
@pytest.mark.parametrize(
    "pool",
    [
        {"pool_size": 3, "stride": 2, "padding": [[1, 1], [1, 1]]},
        {"pool_size": 3, "stride": 2, "ceil_mode": True},
        {"pool_size": [2, 3], "stride": 1, "padding": "same"},
        {"pool_size": [1, 4], "stride": [2, 3]},
        {"pool_size": 2, "stride": 3, "padding": [[1, 0], [0, 1]]},
        {"pool_size": 2, "stride": 1, "padding": 1},  # wider than its input
        {"pool_size": [3, 2], "stride": 2, "padding": 1, "dilation": [2, 3], "ceil_mode": True},
        {"pool_size": 2, "dilation": 2},
    ],
)
def test_max_pools_of_any_window(pool: dict[str, Any], size: tuple[int, int]) -> None:
    net = network([{**CONV, "filters": 5}, {"type": "max_pool2d", **pool}, CONV], (*size, 2))
    plan = compare(net, batch=3)
    assert "max_pool" in plan.choices.values()
