"""Which class writes the messages of a protocol."""

from __future__ import annotations

from collections.abc import Callable

from tongban_router.conformance.messages import Dialect
from tongban_router.conformance.options import Options
from tongban_router.conformance.rest_dialect import ReceiptDialect, RestDialect
from tongban_router.conformance.soap_dialect import SoapDialect


def _rest(options: Options, _: str | None) -> Dialect:
    return RestDialect(
        options.url,
        province=options.province,
        secret=options.secret,
        connect_timeout_s=options.connect_timeout_s,
    )


def _receipts(options: Options, callback_url: str | None) -> Dialect:
    return ReceiptDialect(
        options.url,
        province=options.province,
        secret=options.secret,
        connect_timeout_s=options.connect_timeout_s,
        callback_url=callback_url,
    )


def _soap(options: Options, _: str | None) -> Dialect:
    return SoapDialect(
        options.url,
        province=options.province,
        secret=options.secret,
        connect_timeout_s=options.connect_timeout_s,
    )


DIALECTS: dict[str, Callable[[Options, str | None], Dialect]] = {
    "rest": _rest,
    "rest_callback": _receipts,
    "soap": _soap,
}
"""By protocol, as `catalogue/provinces.yaml` names it."""


def make_dialect(options: Options, callback_url: str | None) -> Dialect:
    """The dialect of `options.protocol`; `callback_url` is where this gateway is to call back."""
    return DIALECTS[options.protocol](options, callback_url)
