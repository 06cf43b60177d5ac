"""The root of the errors of tongban_intake."""

from __future__ import annotations

from tongban_common.errors import TongbanError


class IntakeError(TongbanError):
    """The root of the errors of tongban_intake."""
