"""Define the root of this distribution's errors."""

from __future__ import annotations

from tongban_common.errors import TongbanError


class DevstackError(TongbanError):
    """Root of the errors of tongban_devstack."""
