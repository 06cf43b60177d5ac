"""The root of the connectors' errors."""

from __future__ import annotations

from tongban_common.errors import TongbanError


class ConnectorsError(TongbanError):
    """The root of the errors of tongban_connectors."""
