"""Makes spans and sends them by OTLP over HTTP; the only one that knows the library."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app import version
from app.log import Log
from app.store.records import JobRecord

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

log = Log(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Variables of OpenTelemetry's own that say where spans go; others of its variables are heeded, too."""
_EXPORT_SECONDS = 5.0
_STATUS_OF_FAULTS = 500


def tracing_if_wanted() -> Tracing | None:
    """Return what makes spans; None unless the environment says where they go."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    try:
        return Tracing()
    except ImportError:
        log.warning("traces_not_sent", reason="OpenTelemetry is not installed; install convserve[otel]")
        return None


class Tracing:
    """Makes spans. Safe to use from several threads.

    Raises:
        ImportError: OpenTelemetry is not installed.
    """

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        name = os.environ.get("OTEL_SERVICE_NAME") or "convserve"
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": name, "service.version": version()}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=_EXPORT_SECONDS)))
        self._tracer = self._provider.get_tracer("convserve", version())
        # the clock of spans is that of the day, and what is measured here is not
        self._offset = time.time_ns() - time.perf_counter_ns()

    @contextmanager
    def request(self, method: str, headers: Mapping[str, str]) -> Iterator[Span]:
        """Make a span for a request, of the trace that its headers name, and the one of what is done meanwhile."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        around = TraceContextTextMapPropagator().extract(headers)
        attributes = {"http.request.method": method}
        with self._tracer.start_as_current_span(
            f"HTTP {method}", around, SpanKind.SERVER, attributes, set_status_on_exception=True
        ) as span:
            yield span

    @contextmanager
    def attempt(self, job: JobRecord) -> Iterator[Span]:
        """Make a span for an attempt of a job: a trace of its own, with a link to the request that asked for it."""
        from opentelemetry.context import Context  # noqa: PLC0415
        from opentelemetry.trace import Link, SpanKind, get_current_span  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        origin = {name: str(value) for name, value in (job.origin or {}).items()}
        asked = get_current_span(
            TraceContextTextMapPropagator().extract(origin, Context())
        ).get_span_context()
        attributes: dict[str, str | int] = {
            "convserve.job.id": job.id,
            "convserve.job.kind": job.kind,
            "convserve.job.attempt": job.attempt,
        }
        with self._tracer.start_as_current_span(
            f"job {job.kind}",
            Context(),
            SpanKind.CONSUMER,
            attributes,
            links=[Link(asked)] if asked.is_valid else [],
        ) as span:
            yield span

    def here(self) -> Context:
        """Return where in a trace the caller is, for `add`."""
        from opentelemetry.context import get_current  # noqa: PLC0415

        return get_current()

    def add(self, name: str, where: Context, start: float, end: float, **attributes: str | int) -> None:
        """Add what has been done already.

        Args:
            name: of the span.
            where: in which trace, below which span.
            start: by `time.perf_counter`.
            end: likewise.
            attributes: of the span.
        """
        begun = self._offset + int(start * 1e9)
        span = self._tracer.start_span(name, where, attributes=attributes, start_time=begun)
        span.end(self._offset + int(end * 1e9))

    def close(self) -> None:
        """Send what is left; where nobody receives it, for some seconds at most."""
        self._provider.shutdown()


def traceparent_of(span: Span) -> str:
    """Return the header by which others continue a trace (W3C Trace Context)."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def end_request(span: Span, method: str, route: str | None, status: int | None) -> None:
    """Say of the span of a request how that ended."""
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

    if route is not None:
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
    if status is not None:
        span.set_attribute("http.response.status_code", status)
    if status is None or status >= _STATUS_OF_FAULTS:
        span.set_status(Status(StatusCode.ERROR))
