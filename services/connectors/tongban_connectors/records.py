"""Read the call of a record on a province's topic, and open its envelope.

Errors of both become a retry or a dead letter.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from tongban_common.domain.status import CallKind
from tongban_common.envelope import KeyRing, opening_envelope
from tongban_common.events import Event, MalformedEventError, decode
from tongban_common.events.models import ProvinceCall
from tongban_connectors.domain.gateway import form_part
from tongban_kafka import Poison, Record

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}")
"""Ids of requests and calls; they become part of a signed path. Intake issues narrower ones."""

envelope_errors = partial(opening_envelope, cause="the envelope cannot be opened")
"""`opening_envelope` with the cause that the connector publishes with the outcome of the call. The
text names no part of the envelope."""


def call_in(record: Record, province: str) -> Event[ProvinceCall]:
    """Return the call of a record.

    Raises:
        Poison: the record holds no call that this province's connector may carry out. The text
            quotes nothing of the record.
    """
    try:
        event = decode(record.value, record.headers)
    except MalformedEventError as error:
        raise Poison(str(error)) from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise Poison(f"it cannot be read: {type(error).__name__}") from error
    body = event.body
    if not isinstance(body, ProvinceCall):
        raise Poison(f"{event.type} does not belong on a province's topic")
    if body.item.province != province:
        raise Poison(f"a call for another province on the topic of {province}")
    if not (_ID.fullmatch(body.request_id) and _ID.fullmatch(body.call_id)):
        raise Poison("the id of its request or call is malformed")
    return Event(event.id, event.source, body, event.time, event.repeat)


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
