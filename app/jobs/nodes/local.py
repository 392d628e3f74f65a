"""The other nodes of a training job as processes of this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

from app.jobs.exits import pause_of
from app.jobs.nodes.member import MODULE

_END_SECONDS = 1.0


class LocalNodes:
    """Processes that end with this one, or when it says so."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, job_id: str, count: int, port: int, token: bytes) -> None:
        """Start them; what they print goes where what this one prints goes.

        Raises:
            OSError: no process can be started.
        """
        for number in range(1, count + 1):
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                [sys.executable, "-P", "-m", MODULE, job_id, str(number), self.host, str(port)],
                stdin=subprocess.PIPE,
                env=os.environ,
            )
            self._processes.append(process)
            hand_over(process, token)

    def placed(self) -> bool:
        """Tell that there is room for all of them: a process starts at once."""
        return True

    def fault(self) -> str | None:
        """Return what became of one that has ended, if one has.

        Raises:
            StorageFault: it could not read or write what it needs, and may later.
        """
        ended = [
            (f"node {number}", status)
            for number, process in enumerate(self._processes, 2)
            if (status := process.poll()) is not None
        ]
        for name, status in ended:
            pause = pause_of(status, name)
            if pause is not None:
                raise pause
        return f"{ended[0][0]} has ended with status {ended[0][1]} before it came" if ended else None

    def close(self) -> None:
        """End them: their connections are closed by now, so that only those that hang are killed."""
        for process in self._processes:
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):  # of one that has died before it read its token
                    process.stdin.close()
        for process in self._processes:
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def hand_over(process: subprocess.Popen[bytes], token: bytes) -> None:
    """Give a process the token, by the pipe that is its input: neither its arguments nor its variables are secret."""
    if process.stdin is None:
        raise AssertionError("it was started with a pipe")
    try:
        process.stdin.write(token.hex().encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return  # it has died, and is found dead
