"""One look tells of all who were let in for long whether their keys still hold."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from app.errors import Unavailable
from app.keys.callers import Caller
from app.keys.standing import Standing

ANN, BEN = (Caller(name, name, frozenset()) for name in ("ann", "ben"))


class Ring:
    """A keyring that is asked nothing else."""

    def __init__(self) -> None:
        self.asked: Counter[Caller] = Counter()
        self.gone: set[Caller] = set()
        self.fault: Exception | None = None

    async def stands(self, caller: Caller) -> bool:
        self.asked[caller] += 1
        if self.fault is not None:
            raise self.fault
        return caller not in self.gone


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.keys.standing.LOOK_SECONDS", 0.01)


def test_those_of_a_key_that_is_gone_end_and_others_stay() -> None:
    async def run() -> None:
        ring = Ring()
        standing = Standing(ring)  # type: ignore[arg-type]
        ended: list[Caller] = []

        async def read(caller: Caller) -> None:
            try:
                async with asyncio.timeout(None) as allowed:
                    with standing.bound(caller, allowed):
                        await asyncio.sleep(600)
            except TimeoutError:
                ended.append(caller)

        readers = [asyncio.create_task(read(caller)) for caller in (ANN, BEN) for _ in range(50)]
        while ring.asked[BEN] < 3:
            await asyncio.sleep(0.01)
        # one question for all of the same key
        assert abs(ring.asked[ANN] - ring.asked[BEN]) <= 1
        assert not ended
        for fault in (Unavailable("away"), RuntimeError("broken")):
            ring.fault = fault
            before = ring.asked.total()
            while ring.asked.total() < before + 3:
                await asyncio.sleep(0.01)
            assert not ended
        ring.fault = None
        ring.gone.add(ANN)
        async with asyncio.timeout(60):
            await asyncio.gather(*readers[:50])
        assert ended == [ANN] * 50
        ring.gone.add(BEN)
        async with asyncio.timeout(60):
            await asyncio.gather(*readers)
        # nobody is left, and nobody is asked for
        await asyncio.sleep(0.05)
        asked = ring.asked.total()
        await asyncio.sleep(0.1)
        assert ring.asked.total() == asked

    asyncio.run(run())


def test_whoever_comes_without_a_key_that_was_looked_at_gets_nothing() -> None:
    async def read() -> None:
        standing = Standing(Ring())  # type: ignore[arg-type]
        async with asyncio.timeout(None) as allowed:
            with standing.bound(None, allowed):
                await asyncio.sleep(600)

    with pytest.raises(TimeoutError):
        asyncio.run(read())
