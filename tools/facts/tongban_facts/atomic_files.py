"""Replace files as a whole: a crash leaves the old file or the new one and never half of it.

The new content is written beside the file under a name that begins with a dot, flushed to the disk
(fsync) and renamed; then the directory is flushed, without which the rename may be lost with the
power. Readers of `*.parquet` never match the temporary name.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tongban_common import faultpoints
from tongban_facts.errors import ExportInUseError

_TEMPORARY = ".tmp"


def replace_file(path: Path, content: bytes | memoryview, *, mode: int = 0o600) -> bool:
    """Write `content` to `path` atomically; return False if the file has this content already.

    A file that is right already keeps its inode and its times.
    """
    if path.exists() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{_TEMPORARY}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        faultpoints.reached("facts.before_fsync")
        os.fsync(file.fileno())
    faultpoints.reached("facts.before_rename")
    temporary.replace(path)
    flush_directory(path.parent)
    faultpoints.reached("facts.after_rename")
    return True


def flush_directory(directory: Path) -> None:
    """Flush a directory, so that renames and removals in it survive a loss of power."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files that a crashed run has left below a directory."""
    for left in directory.rglob(f".*{_TEMPORARY}"):
        left.unlink()


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory. The kernel releases it when the process ends, however it ends.

    Raises:
        ExportInUseError: another process holds it.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / ".lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportInUseError(f"{directory}: another export is at work here") from None
        yield


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold a lock beside a file while it is changed; wait for another process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.with_name(f".{path.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
