"""Defines the errors that this package raises, the verdicts that a handler may raise, and which
errors are no record's fault."""

from __future__ import annotations

import asyncio
import errno
import socket

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

_RESOURCES = frozenset(
    {
        errno.EACCES, errno.EAGAIN, errno.EDQUOT, errno.EHOSTUNREACH, errno.EIO, errno.EMFILE,
        errno.ENETDOWN, errno.ENETUNREACH, errno.ENFILE, errno.ENOBUFS, errno.ENODEV,
        errno.ENOMEM, errno.ENOSPC, errno.EPERM, errno.EROFS, errno.ESTALE,
    }
)  # fmt: skip
"""Errors of the operating system that no record can cause. ENOENT, EINVAL and ENAMETOOLONG are not
among them, because a name from a record can cause them; nor is an OSError without a number, which
libraries raise for broken input."""
_PERMANENT = (InvalidTopicError, MessageSizeTooLargeError, RecordListTooLargeError)
_DENIALS = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


class MessagingError(Exception):
    """The root of the errors that this package raises."""


class Retry(Exception):
    """Raised by a handler to have the record tried again later. The record is never given up for
    this reason. Its key waits; all other keys go on.

    It is a verdict of the handler and reports no error, so its name does not end in Error. It does
    not derive from `MessagingError`, so that a handler which catches the errors of this package
    lets it pass.

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
    """Raised by a handler to have the record written to the dead-letter topic at once. A verdict
    like `Retry`.

    Args:
        cause: becomes a header of the dead letter; must hold no personal data.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class KafkaUnavailableError(MessagingError):
    """Raised when Kafka did not acknowledge in time. The record may be on the topic all the same,
    so a repeat needs an id by which readers recognise it."""


class DeadLetterLimitError(MessagingError):
    """Raised when more records fail than `DeadLetterLimit` allows: the whole topic would drain into
    the dead-letter topic. The worker has stopped before the record that exceeded the limit."""


class HandlerTypeError(MessagingError, TypeError):
    """Raised when a handler returns neither None nor a future. The worker stops: the handler is at
    fault, not the record."""


class ConsumerFailedError(MessagingError):
    """Raised when a background task of the Kafka client has died, which the client itself does not
    report. The process has to be restarted."""


class ConsumerDeniedError(ConsumerFailedError):
    """Raised when the broker does not permit what a member of a group does. Another consumer may
    succeed once the permission has been granted."""


class ProcessTroubleError(MessagingError):
    """Raised when the process or one of its dependencies cannot work and no record is at fault.

    Workers retry with exponential back-off and log it; they never write a dead letter for it. Base
    class for errors such as a store that is full, or a key that has not been distributed.
    """


def is_denial(error: BaseException) -> bool:
    """Return True if the broker does not permit the operation to the account of this client."""
    return isinstance(error, _DENIALS)


def is_process_trouble(error: BaseException) -> bool:
    """Return True if the error or one of its causes (`__cause__`) is trouble of the process:
    exhausted memory, descriptors, threads or disk, an unreachable peer, or a permission that is
    missing at the broker. Without the distinction a worker with a full disk would drain its topic
    into the dead-letter topic.

    A time-out and a `RecursionError` are not: a record may take too long or be nested too deeply.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        if isinstance(link, (ProcessTroubleError, MemoryError, ConnectionError, socket.gaierror)):
            return True
        if is_denial(link):
            return True
        if isinstance(link, OSError) and link.errno in _RESOURCES:
            return True
        if isinstance(link, RuntimeError) and str(link) == "can't start new thread":
            return True
        seen.add(id(link))
        link = link.__cause__
    return False


def is_transient(error: Exception, more: tuple[type[Exception], ...] = ()) -> bool:
    """Return True if the error may pass with time, so that no record may be given up for it."""
    if is_process_trouble(error):
        return True
    if isinstance(error, KafkaError):
        return not isinstance(error, _PERMANENT)
    return isinstance(error, (Retry, KafkaUnavailableError, *more))
