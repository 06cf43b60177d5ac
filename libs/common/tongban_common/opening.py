"""Map the errors of opening an envelope to those that a worker's handler raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tongban_common.envelope import KeyDestroyedError, KeyMissingError, UnreadableEnvelopeError
from tongban_kafka import Poison, Retry

KEY_PAUSE_S = 2.0
"""Seconds until a handler looks again for a key that is not on the key ring yet."""


@contextmanager
def opening_envelope(cause: str | None = None) -> Iterator[None]:
    """Open envelopes of a record inside, and leave their errors to the worker.

    Args:
        cause: the cause of `Poison`; None is the error's text.

    Raises:
        KeyDestroyedError: passed on; the handler goes on without the contents.
        Retry: the key is not on this process's key ring yet.
        Poison: the envelope was altered, or has no such part.
    """
    try:
        yield
    except KeyDestroyedError:
        raise
    except KeyMissingError as error:
        raise Retry(str(error), after=KEY_PAUSE_S) from error
    except UnreadableEnvelopeError as error:
        raise Poison(cause or str(error)) from error
