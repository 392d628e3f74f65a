"""Spans reach a receiver of OTLP: of requests, of what is done for them, of attempts of jobs; and none without one."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from app.cli.launch import ServerProcess
from tests.http.receiver import SECRET, receiving
from tests.http.several import TRAINING, Connect, WaitFor, png, submit

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
PNG = {"Content-Type": "image/png"}


@dataclass
class Spans:
    """What a receiver has got."""

    got: list[Any] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    port: int = 0

    def named(self, name: str) -> list[Any]:
        return [span for span in self.got if span.name == name]


@contextmanager
def collecting() -> Iterator[Spans]:
    """Receive spans as a collector of OpenTelemetry does, over HTTP."""
    spans = Spans()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["content-length"]))
            request = ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                spans.services |= {
                    attribute.value.string_value
                    for attribute in resource.resource.attributes
                    if attribute.key == "service.name"
                }
                spans.got += [span for scope in resource.scope_spans for span in scope.spans]
            content = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        spans.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield spans
        finally:
            server.shutdown()
            thread.join()


def attributes(span: Any) -> dict[str, Any]:
    return {
        attribute.key: getattr(attribute.value, attribute.value.WhichOneof("value"))
        for attribute in span.attributes
    }


@pytest.mark.slow
def test_requests_and_jobs_are_spans_and_belong_together(
    start: Callable[..., ServerProcess],
    monkeypatch: pytest.MonkeyPatch,
    connect: Connect,
    wait_for: WaitFor,
) -> None:
    with collecting() as spans, receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{spans.port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        service = start(LOG_FORMAT="json", CORES="1", WEBHOOK_SECRET=SECRET, WEBHOOK_PRIVATE="true")
        with connect(service.start()) as http:
            predict = "/v1/models/model_example/predict"
            for _ in range(2):  # the first one loads the model, and waits for that in the queue
                http.post(predict, content=png(1, 28), headers=PNG | {"traceparent": TRACEPARENT})
            http.get("/v1/models/nothing")
            job = http.post(
                "/v1/training-jobs",
                json=TRAINING | {"webhook": receiver.url},
                headers={"traceparent": TRACEPARENT, "X-Request-Id": "mine"},
            ).json()["id"]
            wait_for(lambda: receiver.got, "the webhook")
            wait_for(lambda: spans.named("job training"), "the span of the job")
        service.stop()

        assert spans.services == {"convserve"}
        asked = spans.named("POST /v1/models/{model_id}/predict")
        assert [span.trace_id.hex() for span in asked] == [TRACE, TRACE]
        assert {span.parent_span_id.hex() for span in asked} == {"b7ad6b7169203331"}
        assert {attributes(span)["http.response.status_code"] for span in asked} == {200}
        computed = spans.named("prediction compute")
        assert {span.parent_span_id for span in computed} == {span.span_id for span in asked}
        waited = spans.named("prediction wait")
        assert len(waited) >= 1
        for child in (*computed, *waited):
            parent = next(span for span in asked if span.span_id == child.parent_span_id)
            assert parent.start_time_unix_nano <= child.start_time_unix_nano
            assert child.start_time_unix_nano <= child.end_time_unix_nano <= parent.end_time_unix_nano
        (missing,) = spans.named("GET /v1/models/{model_id}")
        assert attributes(missing)["http.response.status_code"] == 404
        assert missing.trace_id.hex() != TRACE

        (attempt,) = spans.named("job training")
        (request,) = spans.named("POST /v1/training-jobs")
        assert attributes(attempt) == {
            "convserve.job.id": job,
            "convserve.job.kind": "training",
            "convserve.job.attempt": 1,
        }
        (link,) = attempt.links
        assert (link.trace_id.hex(), link.span_id) == (TRACE, request.span_id)
        assert attempt.trace_id != request.trace_id
        ((_, headers, _),) = receiver.got
        assert headers["x-request-id"] == "mine"
        assert headers["traceparent"] == f"00-{TRACE}-{request.span_id.hex()}-01"


@pytest.mark.slow
def test_a_receiver_that_is_not_there_keeps_nobody(
    start: Callable[..., ServerProcess], monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    service = start(LOG_FORMAT="json")
    with connect(service.start()) as http:
        assert http.get("/v1/models").status_code == 200
    service.stop()
    for line in service.log.read_text(encoding="utf-8").splitlines():
        json.loads(line)


def test_what_makes_spans_is_not_imported_where_nobody_receives_them() -> None:
    """FastAPI imports the interface of the library by itself where it is installed."""
    program = (
        "import sys, app.main, app.tracing.tracing as tracing; assert tracing.tracing_if_wanted() is None; "
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.slow
def test_a_webhook_goes_on_with_the_trace_of_the_caller_also_where_there_are_no_spans(
    start: Callable[..., ServerProcess], connect: Connect, wait_for: WaitFor
) -> None:
    with receiving() as receiver:
        service = start(WEBHOOK_SECRET=SECRET, WEBHOOK_PRIVATE="true", CORES="1")
        with connect(service.start(), traceparent=TRACEPARENT) as http:
            submit(http, TRAINING | {"webhook": receiver.url})
            wait_for(lambda: receiver.got, "the webhook")
        ((_, headers, _),) = receiver.got
        assert headers["traceparent"] == TRACEPARENT
        assert len(headers["x-request-id"]) == 32
