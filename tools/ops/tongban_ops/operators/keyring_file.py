"""Change the file of a key ring: exclusive lock, atomic replacement, mode 0600."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from tongban_common.wrapping_keys import Ring


def change(path: Path, make: Callable[[Ring], Ring]) -> Ring:
    """Replace the ring in the file by the result of `make`, under an exclusive lock.

    Raises:
        OSError, RingError: also whatever `make` raises; then the file is unchanged.
    """
    with path.with_name(f".{path.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ring = make(Ring.parse(path.read_bytes()))
        write(path, ring)
    return ring


def write(path: Path, ring: Ring) -> None:
    """Write a ring to a file of mode 0600, atomically and durably.

    The file keeps its owner: the processes that read it run as another user than the operator.

    Raises:
        OSError: also when the file belongs to another user, and only root could keep it so.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            _keep_owner(path, file.fileno())
            file.write(ring.dump())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _keep_owner(path: Path, fresh: int) -> None:
    """Give the file that is open as descriptor `fresh` the owner of the one at `path`, if any."""
    try:
        before = path.stat()
    except FileNotFoundError:
        return
    if before.st_uid == os.fstat(fresh).st_uid:
        return
    try:
        os.fchown(fresh, before.st_uid, before.st_gid)
    except PermissionError as error:
        text = "belongs to another user: change it as that one, or as root"
        raise PermissionError(errno.EPERM, text, str(path)) from error
