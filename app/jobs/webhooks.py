"""Webhooks: the ends of jobs, sent to whoever asked, signed, and sent again until they were received.

The form is that of Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks): the libraries for
it verify what is sent here. A message can arrive more than once, always under the same id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.errors import LeaseLost
from app.log import Log
from app.metrics.families import WEBHOOK_ATTEMPTS
from app.metrics.faults import report
from app.metrics.metrics import Metrics
from app.settings import Settings
from app.store import Store
from app.store.records import DeliveryRecord, now

if TYPE_CHECKING:
    from app.jobs.outgoing import NotSent

log = Log(__name__)

ATTEMPTS = 9
"""How often a message is sent before it is given up: with the pauses below for about six hours."""
SECONDS = 10.0
"""How long one attempt may take."""
_FIRST_PAUSE = 1.0
_GROWTH = 4
_INTERVAL = 1.0
_AT_ONCE = 20


def signed_headers(key: bytes, identifier: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that go with a message: id, time and HMAC-SHA256 of both and the body."""
    signed = f"{identifier}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


def _origin_headers(record: DeliveryRecord) -> dict[str, str]:
    """Return the headers by which a receiver knows of which request the job comes."""
    origin = record.origin or {}
    named = {"x-request-id": origin.get("request_id"), "traceparent": origin.get("traceparent")}
    return {name: str(value) for name, value in named.items() if value is not None}


class WebhookSender:
    """A thread that sends the messages that are due; what it has to do is in the database, not here.

    Args:
        store: the rows.
        settings: of the installation.
        key: returns what messages are signed with now; None where there are none.
        metrics: where is counted what became of messages.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        key: Callable[[], bytes | None],
        metrics: Metrics | None = None,
    ) -> None:
        self._store = store
        self._metrics = metrics or Metrics.alone()
        self._key = key
        self._allow_private = settings.webhook_private
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; without a key there is nothing that it could send."""
        if self._key() is not None:
            self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Send no more; what is on its way gets the time of one attempt."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL):
            try:
                for record in self._store.deliveries.due(_AT_ONCE):
                    if self._stopping.is_set():
                        break
                    self._attempt(record)
            except LeaseLost:
                return
            except Exception as error:
                # A locked database may pass; a thread that is gone does not come back.
                report(self._metrics, log, "webhooks_failed", error)

    def _attempt(self, record: DeliveryRecord) -> None:
        error = self._send(record)
        attempts = record.attempts + 1
        final = (error is not None and error.final) or attempts >= ATTEMPTS
        outcome = "delivered" if error is None else "failed" if final else "retried"
        if error is None:
            self._store.deliveries.attempted(record.id, "delivered")
        elif final:
            self._store.deliveries.attempted(record.id, "failed", error=str(error))
        else:
            pause = timedelta(seconds=_FIRST_PAUSE * _GROWTH ** (attempts - 1))
            self._store.deliveries.attempted(record.id, "pending", error=str(error), due_at=now() + pause)
        self._metrics.counter(WEBHOOK_ATTEMPTS, outcome).add()
        log.info(
            "webhook_sent", job=record.job_id, message=record.id, attempt=attempts, error=error and str(error)
        )

    def _send(self, record: DeliveryRecord) -> NotSent | None:
        """Send a message; return what kept it from being received."""
        # most servers never send one
        from app.jobs.outgoing import NotSent, post  # noqa: PLC0415

        body = record.body.encode()
        headers = {
            "content-type": "application/json",
            "user-agent": "convserve",
            **_origin_headers(record),
            **signed_headers(self._key() or b"", record.id, int(time.time()), body),
        }
        try:
            status = post(record.url, body, headers, seconds=SECONDS, allow_private=self._allow_private)
        except NotSent as error:
            return error
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return NotSent(f"the answer was {status}")
        return None
