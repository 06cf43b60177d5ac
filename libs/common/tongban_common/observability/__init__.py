"""Logs that carry the request, health that tells the truth, metrics in one place."""

from tongban_common.observability.health import HealthServer
from tongban_common.observability.logs import configure_logging, request_context

__all__ = ["HealthServer", "configure_logging", "request_context"]
