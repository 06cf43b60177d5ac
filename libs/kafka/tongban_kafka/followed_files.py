"""Follows the files of a client's credentials, so that they can be replaced while it runs.

aiokafka keeps the password and the SSLContext that a client was made with. Both classes here are
what it expects, and read their files again at the next connection after a change. A file that
cannot be used, such as a certificate whose new key is not there yet, leaves the credentials in use
that were read before.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog

from tongban_kafka.errors import MessagingError

log = structlog.get_logger(__name__)
Value = TypeVar("Value")


class FollowedFiles(Generic[Value]):
    """Reads a value from files, and reads it again after one of them was changed or replaced.

    Args:
        read: raises a `MessagingError` if the files cannot be used; its text quotes no value.

    Raises:
        MessagingError: the files cannot be used at the start.
    """

    def __init__(self, files: Sequence[Path], read: Callable[[], Value]) -> None:
        self._files = files
        self._read = read
        self._seen = self._state()
        self._complained_of: object = None
        self._value = read()

    def current(self) -> Value:
        """Return the value of the files as they are now; the last usable one if they are not."""
        state = self._state()
        if state == self._seen:
            return self._value
        try:
            self._value = self._read()
        except MessagingError as error:
            if state != self._complained_of:
                self._complained_of = state
                log.error("kafka_credentials_unusable", reason=str(error))
            return self._value
        self._seen = state
        log.info("kafka_credentials_changed", files=[str(file) for file in self._files])
        return self._value

    def _state(self) -> tuple[object, ...]:
        """Return what changes whenever a file is written or replaced, without reading it."""
        return tuple(_identity(file) for file in self._files)


def _identity(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


class FollowedPassword(str):
    """Is the password that was in the file at the start; `current` is the one that is there now.

    The connections of aiokafka ask for it (`_aiokafka.connections`).
    """

    __slots__ = ("_followed",)
    _followed: FollowedFiles[str]

    def __new__(cls, file: Path, read: Callable[[], str]) -> FollowedPassword:
        """Read the file."""
        followed = FollowedFiles([file], read)
        made = super().__new__(cls, followed.current())
        made._followed = followed
        return made

    def current(self) -> str:
        """Return the password that the file has now."""
        return self._followed.current()


class FollowedContext(ssl.SSLContext):
    """Begins every TLS connection with a context made of the files as they are then."""

    _followed: FollowedFiles[ssl.SSLContext]

    def __new__(
        cls,
        files: Sequence[Path],  # noqa: ARG004 - of `__init__`
        read: Callable[[], ssl.SSLContext],  # noqa: ARG004 - of `__init__`
    ) -> FollowedContext:
        """Make a context for the client's side of a connection."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, files: Sequence[Path], read: Callable[[], ssl.SSLContext]) -> None:
        self._followed = FollowedFiles(files, read)

    def current(self) -> ssl.SSLContext:
        """Return a context of the files as they are now."""
        return self._followed.current()

    def wrap_bio(self, *arguments: Any, **more: Any) -> ssl.SSLObject:
        """Begin a connection; asyncio and uvloop call this for each."""
        return self.current().wrap_bio(*arguments, **more)
