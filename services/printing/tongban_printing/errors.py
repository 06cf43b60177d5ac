"""The root of printing's errors."""

from __future__ import annotations

from tongban_common.errors import TongbanError


class PrintingError(TongbanError):
    """The root of the errors of tongban_printing."""
