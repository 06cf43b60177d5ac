"""The root of printing's errors."""

from __future__ import annotations

from tongban_common.errors import TongbanError


class PrintingError(TongbanError):
    """The root of the errors of tongban_printing."""


class SealError(PrintingError, ValueError):
    """Raised when a picture of a seal cannot be used; says which file and why."""
