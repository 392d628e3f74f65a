"""A line between a server and what it shares with others. When it is cut nothing comes through, and nobody says so."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).parents[2]


class Line:
    """A process that passes on what is said at one end; it is frozen while it is cut."""

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
def line(near: str, far: str, inside: Sequence[str] = ()) -> Iterator[Line]:
    """Lay a line.

    Args:
        near: where it listens, `HOST:PORT` or the path of a socket; of port 0 the system picks one.
        far: where it leads, likewise.
        inside: what the process is begun with, to be elsewhere.
    """
    command = [*inside, sys.executable, "-m", "tests.cluster.line", near, far]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Line(process, int(process.stdout.readline()))
        finally:
            process.kill()


@contextmanager
def line_to(port: int) -> Iterator[Line]:
    """Lay a line to a port of the loopback address."""
    with line("127.0.0.1:0", f"127.0.0.1:{port}") as laid:
        yield laid


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass  # one of the two sides has gone
    finally:
        writer.close()


async def _serve(near: str, far: str) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = far.rpartition(":")
        try:
            there, back = await (
                asyncio.open_connection(host, port) if host else asyncio.open_unix_connection(far)
            )
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    host, _, port = near.rpartition(":")
    server = await (
        asyncio.start_server(connected, host, int(port))
        if host
        else asyncio.start_unix_server(connected, near)
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1] if host else 0}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
