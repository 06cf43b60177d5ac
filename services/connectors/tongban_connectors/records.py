"""Read the call of a record on a province's topic, and open its envelope.

Errors of both become a retry or a dead letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tongban_common.domain.status import CallKind
from tongban_common.envelope import (
    KeyDestroyedError,
    KeyMissingError,
    KeyRing,
    UnreadableEnvelopeError,
)
from tongban_common.events import Event, MalformedEventError, decode
from tongban_common.events.models import ProvinceCall
from tongban_connectors.domain.gateway import form_part
from tongban_kafka import Poison, Record, Retry

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}")
"""Ids of requests and calls; they become part of a signed path. Intake issues narrower ones."""
_KEY_PAUSE_S = 2.0
"""Seconds before the next attempt with a key that this process has not received yet."""


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


@contextmanager
def envelope_errors() -> Iterator[None]:
    """Map the errors of an envelope within the context.

    Raises:
        KeyDestroyedError: its key was destroyed; passed through, as the caller has to do without.
        Retry: this process has not received its key yet.
        Poison: the envelope was altered, or was sealed otherwise.
    """
    try:
        yield
    except KeyDestroyedError:
        raise
    except KeyMissingError as error:
        raise Retry("the key has not come yet", after=_KEY_PAUSE_S) from error
    except UnreadableEnvelopeError as error:
        raise Poison("the envelope cannot be opened") from error
