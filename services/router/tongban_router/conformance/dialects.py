"""Which class writes the messages of a protocol."""

from __future__ import annotations

from collections.abc import Callable

from tongban_router.conformance.messages import Dialect
from tongban_router.conformance.options import Options
from tongban_router.conformance.rest_dialect import RestDialect


def _rest(options: Options) -> Dialect:
    return RestDialect(
        options.url,
        province=options.province,
        secret=options.secret,
        connect_timeout_s=options.connect_timeout_s,
    )


DIALECTS: dict[str, Callable[[Options], Dialect]] = {"rest": _rest}


def make_dialect(options: Options) -> Dialect:
    """The dialect of `options.protocol`."""
    return DIALECTS[options.protocol](options)
