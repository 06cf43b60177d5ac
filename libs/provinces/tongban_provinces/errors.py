"""The root of this distribution's errors."""

from __future__ import annotations

from tongban_common.errors import TongbanError


class ProvincesError(TongbanError):
    """The root of the errors of tongban_provinces."""
