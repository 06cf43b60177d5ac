"""Choose the class that writes the messages of a protocol."""

from __future__ import annotations

from tongban_ops.conformance.messages import Dialect
from tongban_ops.conformance.options import Options
from tongban_ops.conformance.rest_dialect import RestDialect
from tongban_ops.conformance.soap_dialect import SoapDialect


def make_dialect(options: Options, callback_url: str | None) -> Dialect:
    """Return the dialect of `options.protocol`; the gateway calls back at `callback_url`."""
    where, whose = options.url, {"province": options.province, "secret": options.secret}
    match options.protocol:
        case "soap":
            return SoapDialect(where, **whose)
        case "rest_callback":
            return RestDialect(where, **whose, callback_url=callback_url)
        case _:
            return RestDialect(where, **whose)
