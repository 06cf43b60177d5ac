"""Open the envelope of a request for a call, and map its errors to retry or dead letter."""

from __future__ import annotations

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
from tongban_common.events.models import ProvinceCall
from tongban_connectors.answers import form_part
from tongban_kafka import Poison, Retry

_KEY_PAUSE_S = 2.0
"""Before the next attempt with a key that this process has not received yet."""


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
