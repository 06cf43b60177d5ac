"""Define the root of this distribution's errors."""

from __future__ import annotations

from tongban_common.errors import TongbanError


class ReportError(TongbanError):
    """Root of the errors of tongban_report."""


class FactsNotFoundError(ReportError):
    """Raised when a directory contains none of the fact tables; the text names it."""


class FactsUnreadableError(ReportError):
    """Raised when a parquet file is damaged, or lacks a column of its table."""


class ChartError(ReportError):
    """Raised when the chart library returns no usable chart."""
