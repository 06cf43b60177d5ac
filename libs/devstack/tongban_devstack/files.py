"""Share files between processes: atomic writes, and locks."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from tongban_devstack.errors import DevstackError


def user_cache() -> Path:
    """Return the user's cache directory of this project (XDG Base Directory on Linux)."""
    return platformdirs.user_cache_path("tongban")


class InUseError(DevstackError):
    """Raised when another process uses the directory."""


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace the file by `content` atomically: a reader sees the old or the new file, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


@contextmanager
def exclusive(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock file `path`. The kernel releases it when the process ends, however it ends.

    Raises:
        InUseError: another process holds it and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise InUseError(
                f"{path.parent} is in use by another process (its lock: {path}); stop that one, or"
                " choose another directory"
            ) from None
        yield
