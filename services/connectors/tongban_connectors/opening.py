"""The envelope of a request, as far as a call needs it."""

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
"""Until the key ring is looked at again for a key that has not come yet."""


def opened(keys: KeyRing, call: ProvinceCall) -> tuple[Any, Any]:
    """Applicant and form. Taking back needs neither, and so no key.

    Raises:
        As `keyed`.
    """
    if call.call is CallKind.WITHDRAW:
        return None, None
    with keyed():
        return (
            keys.open(call.request_id, call.sealed, "applicant"),
            keys.open(call.request_id, call.sealed, form_part(call)),
        )


@contextmanager
def keyed() -> Iterator[None]:
    """What becomes of an envelope that cannot be opened.

    Raises:
        KeyDestroyedError: its key is no more; the call has to do without.
        Retry: its key has not come yet.
        Poison: it is not what was sealed.
    """
    try:
        yield
    except KeyDestroyedError:
        raise
    except KeyMissingError as error:
        raise Retry("the key has not come yet", after=_KEY_PAUSE_S) from error
    except UnreadableEnvelopeError as error:
        raise Poison("the envelope cannot be opened") from error
