"""The root of notify's errors."""

from __future__ import annotations

from tongban_common.errors import TongbanError


class NotifyError(TongbanError):
    """The root of the errors of tongban_notify."""
