"""Who takes the connections of a socket that several processes have."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path

from app.processes.board import Board
from app.web.connections.accepting import InTurn


class Pauses(asyncio.SelectorEventLoop):
    """An event loop that counts how often somebody waits for a while."""

    count = 0

    def call_later(self, delay, callback, *args, context=None):  # type: ignore[no-untyped-def]
        self.count += 1
        return super().call_later(delay, callback, *args, context=context)


class Brief(asyncio.Protocol):
    """Ends each connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def test_a_crowd_that_busy_processes_leave_waiting_is_taken_in_few_moments(tmp_path: Path) -> None:
    board = Board.make(tmp_path, 2)
    mine, busy = board.place(0), board.place(1)
    busy.take(True)
    busy.beat()
    # it has two fewer, and takes none of those that are left to it
    mine.count(2)
    loop = Pauses()

    async def all_taken(listener: socket.socket, crowd: int) -> None:
        taking = InTurn(loop, listener, Brief, crowd, mine)
        with ExitStack() as stack:
            for _ in range(crowd):
                stack.enter_context(socket.create_connection(listener.getsockname()))
            before = loop.count
            async with asyncio.timeout(30):
                while taken() < crowd:
                    await asyncio.sleep(0)
            assert loop.count - before < crowd // 8
            taking.close()
            await taking.wait_closed()
            # what was closed is let go of in the next turn
            await asyncio.sleep(0)

    def taken() -> int:
        return mine.lead() - 2

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        try:
            loop.run_until_complete(all_taken(listener, 256))
        finally:
            loop.close()
            board.close()
