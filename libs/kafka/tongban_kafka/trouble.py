"""Tells the trouble of a process from the fault of what it works on.

A worker that takes a full disk for a broken record drains its topic into the dead-letter topic.
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
"""Errors of the operating system that no record can bring about. Not ENOENT, EINVAL or
ENAMETOOLONG, which a name taken from a record may; and libraries raise OSError without a number for
broken input."""


class ProcessTroubleError(Exception):
    """Raised where the process, or what it depends on, cannot work now and no record is at fault.

    Workers wait with back-off and log it; they never write a dead letter for it. Base class of the
    errors of a layer (a store that is full or refuses us, a key that has not been distributed).
    """


def is_process_trouble(error: BaseException) -> bool:
    """Return True if the error, or one that it was raised from (`__cause__`), is the process's own:
    exhausted memory, descriptors, threads or disk, a peer that cannot be reached.

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
