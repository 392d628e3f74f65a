"""Which pieces become one batch, with a network that takes as long as a test wants."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.errors import Invalid
from app.serving.asked import Asked, Piece
from app.serving.queue import Queue


class SlowNetwork:
    """Computes a batch when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[str, int, int]]] = []
        self.may_go_on = asyncio.Event()

    async def __call__(self, pieces: Sequence[Piece]) -> None:
        self.batches.append([(piece.asked.pictures[0], piece.first, piece.last) for piece in pieces])  # type: ignore[misc]
        await self.may_go_on.wait()
        for piece in pieces:
            for number in range(piece.first, piece.last):
                piece.asked.outcomes[number] = np.zeros(1)
            piece.asked.end(piece)


def asked(queue: Queue, name: str, count: int) -> Asked:
    one = Asked(None, None, [name] * count, lambda _: name, stops=True)  # type: ignore[arg-type, list-item]
    one.future = asyncio.get_running_loop().create_future()
    queue.put(one)
    return one


def queue_of(network: SlowNetwork, **options: Any) -> Queue:
    options = {"ways": 1, "batch_size": 4, "wait": 0.0} | options
    return Queue(network, asyncio.Semaphore(options["ways"]), **options)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_what_waits_while_a_batch_is_computed_becomes_the_next_ones() -> None:
    async def run() -> None:
        network = SlowNetwork()
        emptied: list[bool] = []
        queue = queue_of(network, emptied=lambda: emptied.append(True))
        all_asked = [asked(queue, "a", 1)]
        await turns()
        all_asked += [asked(queue, name, count) for name, count in (("b", 1), ("c", 2), ("d", 6), ("e", 1))]
        await turns()
        assert network.batches == [[("a", 0, 1)]]
        network.may_go_on.set()
        answers = await asyncio.gather(*(one.future for one in all_asked))  # type: ignore[arg-type]
        assert answers == ["a", "b", "c", "d", "e"]
        # a request of more pictures than a batch is always cut in the same way
        # and one picture does not wait for all of such a request
        assert network.batches[1:] == [
            [("b", 0, 1), ("e", 0, 1), ("c", 0, 2)],
            [("d", 0, 4)],
            [("d", 4, 6)],
        ]
        await turns()
        assert queue.is_idle
        assert emptied == [True]

    asyncio.run(run())


def test_idle_cores_share_what_waits() -> None:
    async def run() -> None:
        network = SlowNetwork()
        queue = queue_of(network, ways=2, batch_size=32)
        for number in range(8):
            asked(queue, str(number), 1)
        await turns()
        assert [len(batch) for batch in network.batches] == [4, 4]
        network.may_go_on.set()
        await turns()

    asyncio.run(run())


def test_requests_share_a_batch_only_as_far_as_that_is_worth_it() -> None:
    async def run() -> None:
        network = SlowNetwork()
        network.may_go_on.set()
        queue = queue_of(network, most=lambda: 2)
        await asyncio.gather(*(asked(queue, name, 1).future for name in "abc"), asked(queue, "d", 4).future)  # type: ignore[arg-type]
        assert [sum(last - first for _, first, last in batch) for batch in network.batches] == [2, 1, 4]

    asyncio.run(run())


def test_nothing_is_computed_for_who_has_gone() -> None:
    async def run() -> None:
        network = SlowNetwork()
        queue = queue_of(network)
        first, second, third = (asked(queue, name, 4) for name in "abc")
        await turns()
        assert second.future is not None
        assert third.future is not None
        second.future.cancel()
        third.future.cancel()
        queue.drop(third)
        network.may_go_on.set()
        assert await first.future == "a"  # type: ignore[misc]
        await turns()
        assert [batch[0][0] for batch in network.batches] == ["a"]
        assert queue.is_idle

    asyncio.run(run())


def test_a_batch_that_is_not_full_waits_where_that_is_wanted_and_a_full_one_does_not() -> None:
    async def run() -> None:
        network = SlowNetwork()
        network.may_go_on.set()
        queue = queue_of(network, wait=1000.0)
        some = [asked(queue, name, 1) for name in "abc"]
        await turns()
        assert network.batches == []
        some.append(asked(queue, "d", 1))
        await asyncio.gather(*(one.future for one in some))  # type: ignore[arg-type]
        assert [len(batch) for batch in network.batches] == [4]

    asyncio.run(run())


def test_a_picture_that_fails_its_request_saves_the_work_for_the_others_of_it() -> None:
    async def run() -> None:
        network = SlowNetwork()
        one = Asked(None, None, ["a"] * 12, lambda outcomes: outcomes, stops=True)  # type: ignore[arg-type, list-item]
        one.future = asyncio.get_running_loop().create_future()
        fault = Invalid("no picture")

        async def failing(pieces: Sequence[Piece]) -> None:
            network.batches.append([])
            for piece in pieces:
                piece.asked.outcomes[piece.first] = fault
                piece.asked.end(piece)

        queue = Queue(failing, asyncio.Semaphore(1), ways=1, batch_size=4, wait=0.0)
        queue.put(one)
        outcomes = await one.future
        assert outcomes[0] is fault
        assert len(network.batches) == 1

    asyncio.run(run())
