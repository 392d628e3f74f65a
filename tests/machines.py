"""Machines that tests make up: what would have been measured of them."""

from __future__ import annotations

from typing import Any

from engine.machine.machine import Figures, Gather, Identity, Machine, Pass, Product

COLUMNS = (4, 16, 64)
INNER = (32, 144, 576)


def figures(*, gain: float = 1.0, narrow: float = 1.0, **changed: Any) -> Figures:
    """Return what is measured of a machine with AVX2, about.

    Args:
        gain: how much quicker products are in pieces.
        narrow: how much quicker than usual narrow products are.
        changed: other figures.
    """
    rates = {4: 20.0 * narrow, 16: 60.0 * narrow, 64: 75.0}
    products = tuple(
        Product(rows=960, inner=inner, columns=columns, whole=rates[columns], cut=rates[columns] * gain)
        for inner in INNER
        for columns in COLUMNS
    )
    made: dict[str, Any] = {
        "products": products,
        "transform": 25.0,
        "passes": (
            Pass(bytes=1 << 14, copy_rate=20.0, multiply_rate=20.0),
            Pass(bytes=1 << 22, copy_rate=20.0, multiply_rate=25.0),
            Pass(bytes=1 << 25, copy_rate=8.0, multiply_rate=10.0),
        ),
        "gathers": tuple(
            Gather(run=run, rate=rate) for run, rate in ((3, 1.6), (12, 6.7), (48, 18), (192, 36))
        ),
        "call": 0.65,
        "piece": 0.2,
    }
    return Figures(**made | changed)


def machine(identity: Identity | None = None, **changed: Any) -> Machine:
    """Return a machine, by default this one with other figures."""
    here = (identity or Identity.here()).model_dump()
    return Machine(**here, cores=2, together=0.9, hand_off=40.0, figures=figures(**changed))
