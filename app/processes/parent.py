"""How a process ends with its parent, which is the one who would start others, and stop this one."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(parent: int, channel: socket.socket) -> None:
    """End this process at once when its parent is gone, however that ends.

    On Linux the system kills it, even where it is stopped (prctl(2), PR_SET_PDEATHSIG). Elsewhere a thread sees the end
    of the socket to the parent, and a process that is stopped ends as soon as it is continued.

    Args:
        parent: its process id.
        channel: the socket to it.
    """
    if killed_with_parent():
        if os.getppid() != parent:  # it was gone before that
            os._exit(1)
    else:
        threading.Thread(target=_end_with, args=(channel,), daemon=True).start()


def killed_with_parent() -> bool:
    """Have the system kill this process when its parent dies, also one that is stopped; tell whether it will."""
    if sys.platform != "linux":
        return False
    import ctypes  # noqa: PLC0415 - only where there is something to call

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return True


def _end_with(channel: socket.socket) -> None:
    while channel.recv(1):
        pass
    os._exit(1)
