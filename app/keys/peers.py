"""How many processes serve one database, on however many machines: what is for all of them is divided among them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from app.errors import StorageFault
from app.log import Log
from app.metrics.faults import report
from app.metrics.metrics import Metrics
from app.store import Store

log = Log(__name__)

_GROUP = "serving"
_SECONDS = 10.0
"""For how long a process counts that has not said again that it is there."""
_AGAIN = 2.5


class Peers:
    """Counts the processes that serve, this one among them, in a thread of its own.

    Args:
        store: that all of them have.
        owner: the name of this one; see `Member.owner`.
        tell: is told how many there are, whenever they were counted.
        metrics: where is counted that it failed.
    """

    def __init__(self, store: Store, owner: str, tell: Callable[[int], None], metrics: Metrics) -> None:
        self._store, self._owner, self._tell = store, owner, tell
        self._metrics = metrics
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="peers", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Be there no more; who cannot say so is found missing later."""
        self._stopping.set()
        self._thread.join()
        try:
            self._store.leases.leave(_GROUP, self._owner)
        except StorageFault as error:
            report(self._metrics, log, "peers_not_told", error)

    def _run(self) -> None:
        faulted = False
        while True:
            try:
                self._tell(self._store.leases.attend(_GROUP, self._owner, _SECONDS))
                faulted = False
            except Exception as error:
                # it may pass; until then there are as many as there were
                faulted = report(self._metrics, log, "peers_not_counted", error, again=faulted) is not None
            if self._stopping.wait(_AGAIN):
                return
