"""Open the envelope of a request for a call, and map its errors to retry or dead letter."""

from __future__ import annotations

from functools import partial
from typing import Any

from tongban_common.domain.status import CallKind
from tongban_common.envelope import KeyRing
from tongban_common.events.models import ProvinceCall
from tongban_common.opening import opening_envelope
from tongban_connectors.answers import form_part

envelope_errors = partial(opening_envelope, cause="the envelope cannot be opened")
"""`opening_envelope` with the cause that the connector publishes with the outcome of the call. The
text names no part of the envelope."""


def open_parts(keys: KeyRing, call: ProvinceCall) -> tuple[Any, Any]:
    """Return applicant and form. A withdrawal needs neither and so no key: both are None.

    Raises:
        KeyDestroyedError, Retry, Poison: see `envelope_errors`.
    """
    if call.call is CallKind.WITHDRAW:
        return None, None
    with envelope_errors():
        return (
            keys.open(call.request_id, call.sealed, "applicant"),
            keys.open(call.request_id, call.sealed, form_part(call)),
        )
