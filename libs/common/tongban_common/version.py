"""The version of the project, which is that of every distribution, and where a process shows it."""

from __future__ import annotations

import platform
from importlib.metadata import version

import structlog
from prometheus_client import Gauge

VERSION = version("tongban-common")
_BUILD = Gauge(
    "tongban_build_info",
    "Always 1; the labels say which version of which service runs",
    ["version", "service"],
)
log = structlog.get_logger(__name__)


def show_version(service: str) -> None:
    """Log the version of the process that starts, and export it as a metric."""
    _BUILD.labels(VERSION, service).set(1)
    log.info("process_starts", version=VERSION, python=platform.python_version())
