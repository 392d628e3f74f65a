"""A line between a server and what it shares with others. When it is cut nothing comes through, and nobody says so."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).parents[2]


class Line:
    """A process that passes on what is said on a port of the loopback address; it is frozen while it is cut."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.port = port

    def cut(self) -> None:
        """Let nothing through; connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def mend(self) -> None:
        """Let everything through again, what was said meanwhile first."""
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def line_to(port: int) -> Iterator[Line]:
    """Lay a line to a port of the loopback address."""
    command = [sys.executable, "-m", "tests.cluster.line", str(port)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Line(process, int(process.stdout.readline()))
        finally:
            process.kill()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass  # one of the two sides has gone
    finally:
        writer.close()


async def _serve(port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
