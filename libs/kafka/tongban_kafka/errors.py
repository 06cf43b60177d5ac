"""What handlers may raise, and what the Kafka layer raises itself."""

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
    """Raised by a handler: not now. The record is tried again and never given up for this reason,
    while its key waits and all other keys go on.

    Args:
        reason: for logs and operators; must hold no personal data.
        after: seconds until the next attempt; None leaves it to the backoff of the worker.
        when: instead of `after`, a future of this record's own: the next attempt comes when it
            resolves, or when another record of the key arrives. It costs nothing until then, for
            however long. The worker cancels it when the partition is given up.
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
    """Raised by a handler: never. The record goes to the dead-letter topic at once.

    Args:
        cause: goes into a header of the dead letter; must hold no personal data.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class KafkaUnavailableError(Exception):
    """Kafka did not acknowledge in time. Whether the record is on the topic is not known, so a
    repeat needs an id by which its reader knows it."""


class DeadLetterLimitError(Exception):
    """More records fail than may be put aside: something else is wrong, and the topic would drain
    into the dead-letter topic. The worker has stopped before the record that was too many."""


class HandlerTypeError(TypeError):
    """A handler returned what is neither None nor a future: a fault of the program, not of the
    record, so the worker stops."""


class ConsumerFailedError(Exception):
    """A background task of the Kafka client died, which the client itself would not tell. The
    process has to start again."""


_PERMANENT = (
    InvalidTopicError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)


def is_transient(error: Exception, more: tuple[type[Exception], ...] = ()) -> bool:
    """Return True if time alone may mend it, so that a record must not be given up for it."""
    if is_process_trouble(error):
        return True
    if isinstance(error, KafkaError):
        return not isinstance(error, _PERMANENT)
    return isinstance(error, (Retry, KafkaUnavailableError, *more))
