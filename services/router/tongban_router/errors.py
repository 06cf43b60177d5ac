"""The root of the router's errors."""

from __future__ import annotations

from tongban_common.errors import TongbanError


class RouterError(TongbanError):
    """The root of the errors of tongban_router."""


class PermissionLostError(RouterError):
    """The broker no longer permits something that the router does."""
