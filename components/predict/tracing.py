"""Traces of requests by OpenTelemetry, where its environment variables name a collector; nothing is imported or done otherwise.

Spans hold no ids and nothing that a client wrote. They are made when a request has ended, from the moments that were noted anyway.
The provider is our own, not the process's: FastAPI would add addresses and paths to that.
"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from longtail.components.predict.batching import Moments
from longtail.contracts.errors import UserError
from longtail.scoring.asked import Asked
from longtail.scoring.recommender import DEFAULT_K

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
FAULTS = ("failed", "turned_away")  # the server's; a refused request is the client's


class Traces:
    """Makes a span of each request, with a child for each phase that it came through."""

    def __init__(self, provider: "TracerProvider", model_name: str) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer, self._model_name = provider.get_tracer(__name__), model_name
        self._parent_of = TraceContextTextMapPropagator().extract

    def record(
        self,
        headers: Any,
        outcome: str,
        moments: Moments,
        asked: Sequence[Asked],
        predictions: Sequence[Mapping[str, Any]],
    ) -> None:
        """headers: the client's, whose W3C ``traceparent`` is the span's parent. asked, predictions: empty where it did not come so far."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

        since_1970 = time.time_ns() - time.perf_counter_ns()
        phases = {
            name: tuple(int(moment * 1e9) + since_1970 for moment in span) for name, span in moments.phases().items()
        }
        begin, end = phases.pop("whole")
        attributes: dict[str, Any] = {"longtail.model": self._model_name, "longtail.outcome": outcome}
        if asked:
            attributes |= {"longtail.users": len(asked), "longtail.k": max(one.k or DEFAULT_K for one in asked)}
        if predictions:
            attributes["longtail.segments"] = sorted({one["segment"] for one in predictions})
            attributes["longtail.bundle_version"] = predictions[0]["bundle_version"]
        parent = self._parent_of(headers if isinstance(headers, Mapping) else {}, Context())
        span = self._tracer.start_span("recommend", parent, SpanKind.SERVER, attributes, start_time=begin)
        if span.is_recording():
            for name, (begin_of_phase, end_of_phase) in phases.items():
                child = self._tracer.start_span(name, set_span_in_context(span, parent), start_time=begin_of_phase)
                child.end(end_of_phase)
        if outcome in FAULTS:
            span.set_status(StatusCode.ERROR)
        span.end(end)


def traces_from_environment(model_name: str) -> Traces | None:
    """Traces where ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or that of traces) is set; the service's name is the model's where ``OTEL_SERVICE_NAME``
    is not. Sampling, headers and batches are OpenTelemetry's own variables.

    Raises:
        UserError: an endpoint is named, but the packages are missing, or another protocol is asked for.
    """
    named = next((name for name in ENDPOINTS if os.environ.get(name)), None)
    if named is None or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    protocol = next((os.environ[name] for name in PROTOCOLS if os.environ.get(name)), PROTOCOL)
    if protocol != PROTOCOL:
        raise UserError(
            f"{PROTOCOLS[1]} is {protocol}, but traces are sent by {PROTOCOL} alone; set that, or unset {named}"
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise UserError(
            f"{named} is set, but traces need packages that are not installed ({error}); "
            f"pip install 'longtail[tracing]', or unset it"
        ) from None
    has_name = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if has_name else {"service.name": model_name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider, model_name)
