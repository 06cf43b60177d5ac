"""Define the root of this distribution's errors."""

from __future__ import annotations

from tongban_common.errors import TongbanError


class FactsError(TongbanError):
    """Root of the errors of tongban_facts. The text is one line for the operator."""


class SourceError(FactsError):
    """Raised when the broker does not answer, or denies what the export needs to read."""


class ExportInUseError(FactsError):
    """Raised when another export works in the same directory."""


class ExportStateError(FactsError):
    """Raised for a state directory or a key file that cannot be used."""


class WorkerError(FactsError):
    """Raised when a process of the export has died."""
