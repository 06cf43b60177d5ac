"""Distinguishes trouble of the process from faults of the record that it handles.

Otherwise a worker with a full disk would drain its topic into the dead-letter topic.
"""

from __future__ import annotations

import errno
import socket

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


class ProcessTroubleError(Exception):
    """Raised when the process or one of its dependencies cannot work and no record is at fault.

    Workers retry with exponential back-off and log it; they never write a dead letter for it. Base
    class for errors such as a store that is full, or a key that has not been distributed.
    """


def is_process_trouble(error: BaseException) -> bool:
    """Return True if the error or one of its causes (`__cause__`) is trouble of the process:
    exhausted memory, descriptors, threads or disk, or an unreachable peer.

    A time-out and a `RecursionError` are not: a record may take too long or be nested too deeply.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        if isinstance(link, (ProcessTroubleError, MemoryError, ConnectionError, socket.gaierror)):
            return True
        if isinstance(link, OSError) and link.errno in _RESOURCES:
            return True
        if isinstance(link, RuntimeError) and str(link) == "can't start new thread":
            return True
        seen.add(id(link))
        link = link.__cause__
    return False
