"""Structured logs that carry the request id, health probes, and the metrics endpoint."""

from tongban_common.observability.health import HealthServer
from tongban_common.observability.logs import configure_logging, request_context

__all__ = ["HealthServer", "configure_logging", "request_context"]
