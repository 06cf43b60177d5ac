"""Prometheus metrics of the printing service."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REPORTED = Counter("tongban_printing_orders_total", "Changes of orders, by new status", ["status"])
SPOOLED = Gauge(
    "tongban_printing_spooled_orders",
    "Orders in the spool by status, over all replicas",
    ["status"],
)
WAITING = Gauge(
    "tongban_printing_waiting_orders",
    "Orders without a sheet over all replicas, by what they wait for: queue, a trouble of the "
    "printer (offline, paper, jam, toner, cover, output, paused, refuses, attention), key, person",
    ["reason"],
)
SHEETS = Counter("tongban_printing_sheets_total", "Pages of orders that were printed")
PRINT_SECONDS = Histogram(
    "tongban_printing_seconds",
    "Seconds from spooling an order to its last sheet, wall clock",
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600 * 4),
)
PAPER_SECONDS = Histogram(
    "tongban_printing_paper_seconds",
    "Business seconds from submission at the kiosk to the last sheet of the first copy, by what "
    "the request had to wait for that no time limit covers: no, closed, paused, applicant",
    ["waited_for"],
    buckets=(1, 5, 10, 20, 60, 120, 180, 240, 300, 600, 1800, 3600, 14400, 86400, 604800),
)
PAPER_SECONDS.labels("no")  # so that a rate sees the first sheet of a process
RENDER_SECONDS = Histogram(
    "tongban_printing_render_seconds",
    "Seconds to render one document, including the wait for a process",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
UNMAKEABLE = Counter(
    "tongban_printing_unmakeable_total", "Results from which no document can be made", ["why"]
)
TROUBLES = Counter("tongban_printing_printer_troubles_total", "Printer operations that failed")
FAULTS = Counter("tongban_printing_faults_total", "Faults of this program, see the log")
