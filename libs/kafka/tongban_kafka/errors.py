"""Defines the errors that handlers may raise, and those that this package raises."""

from __future__ import annotations

import asyncio

from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from tongban_kafka.trouble import is_process_trouble


class Retry(Exception):
    """Raised by a handler to have the record tried again later. The record is never given up for
    this reason. Its key waits; all other keys go on.

    Args:
        reason: for logs and operators; must hold no personal data.
        after: seconds until the next attempt; None uses the worker's `RetryPolicy`.
        when: instead of `after`, a future of this record alone: the next attempt begins when it
            resolves, or when another record of the key arrives. Waiting costs nothing, even for
            days. The worker cancels the future when the partition is given up.
    """

    def __init__(
        self,
        reason: str = "",
        *,
        after: float | None = None,
        when: asyncio.Future[None] | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after
        self.when = when


class Poison(Exception):
    """Raised by a handler to have the record written to the dead-letter topic at once.

    Args:
        cause: becomes a header of the dead letter; must hold no personal data.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class KafkaUnavailableError(Exception):
    """Raised when Kafka did not acknowledge in time. The record may be on the topic all the same,
    so a repeat needs an id by which readers recognise it."""


class DeadLetterLimitError(Exception):
    """Raised when more records fail than `DeadLetterLimit` allows: the whole topic would drain into
    the dead-letter topic. The worker has stopped before the record that exceeded the limit."""


class HandlerTypeError(TypeError):
    """Raised when a handler returns neither None nor a future. The worker stops: the handler is at
    fault, not the record."""


class ConsumerFailedError(Exception):
    """Raised when a background task of the Kafka client has died, which the client itself does not
    report. The process has to be restarted."""


_PERMANENT = (
    InvalidTopicError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)


def is_transient(error: Exception, more: tuple[type[Exception], ...] = ()) -> bool:
    """Return True if the error may pass with time, so that no record may be given up for it."""
    if is_process_trouble(error):
        return True
    if isinstance(error, KafkaError):
        return not isinstance(error, _PERMANENT)
    return isinstance(error, (Retry, KafkaUnavailableError, *more))
