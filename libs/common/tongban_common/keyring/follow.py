"""Keep a process's key ring equal to its file."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import structlog
from prometheus_client import Counter, Gauge

from tongban_common.envelope import KeyRing
from tongban_common.exit_codes import EX_CONFIG
from tongban_common.settings import CommonSettings
from tongban_common.wrapping_keys import Ring, RingError
from tongban_kafka import background_task

log = structlog.get_logger(__name__)

CHANGES = Counter("tongban_keyring_changes", "Times that a changed key ring was adopted")
UNUSABLE = Gauge("tongban_keyring_unusable", "1 while the key ring's file cannot be read")
_EVERY_S = 1.0
Mark = tuple[int, int, int]


def mark_of(path: Path) -> Mark:
    """Return a value that changes whenever the file does: inode, time in ns, size.

    It follows links, since Kubernetes replaces a mounted Secret by swapping a link.

    Raises:
        OSError: the file cannot be reached.
    """
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


class KeyRingFile:
    """Holds the ring of `TONGBAN_KEYRING`: JSON, which never changes, or @FILE.

    `run` checks the file every second. If the file is missing or invalid, the ring stays as it is,
    and an error is logged.

    Raises:
        RingError, OSError: no ring can be read at the start.
    """

    def __init__(self, given: str, *, every_s: float = _EVERY_S, production: bool = False) -> None:
        """Read the ring; with `production`, reject a ring that has a public key."""
        self._production = production
        self._path = Path(given[1:]) if given.startswith("@") else None
        self._every_s = every_s
        self._usable = True
        self._mark: Mark | None = None
        if self._path is None:
            ring = Ring.parse(given)
        else:
            self._mark, ring = _read(self._path)
        self._check(ring)
        self.keys = KeyRing.of(ring)

    def _check(self, ring: Ring) -> None:
        if self._production:
            ring.refuse_public_keys()

    async def run(self) -> None:
        """Follow the file until cancelled."""
        if self._path is None:
            await asyncio.Event().wait()
            return
        while True:
            await asyncio.sleep(self._every_s)
            await self._look(self._path)

    def followed(self) -> AbstractAsyncContextManager[object]:
        """Follow the file while the context is open."""
        return background_task(self.run(), name="keyring")

    async def _look(self, path: Path) -> None:
        try:
            if await asyncio.to_thread(mark_of, path) == self._mark:
                self._show_usable()  # the file may have been out of reach
                return
            self._mark, ring = await asyncio.to_thread(_read, path)
            self._check(ring)
        except (OSError, RingError) as error:
            # Log it once: an invalid file stays invalid.
            if self._usable:
                log.error("keyring_unusable", error=str(error))
            self._usable = False
            UNUSABLE.set(1)
            return
        self.keys.adopt(ring)
        CHANGES.inc()
        self._show_usable()
        log.info("keyring_changed", keys=sorted(ring.keys), destroyed=sorted(ring.destroyed))

    def _show_usable(self) -> None:
        self._usable = True
        UNUSABLE.set(0)


def key_ring(settings: CommonSettings) -> KeyRingFile:
    """Return the process's ring, or end the process with EX_CONFIG and a line that says why.

    A process without a ring can neither seal nor open, and a restart would not help.
    """
    given = settings.keyring.get_secret_value()
    try:
        return KeyRingFile(given, production=settings.environment == "production")
    except OSError as error:
        problem = f"{error.strerror or type(error).__name__}: {error.filename}"
    except RingError as error:
        problem = f"{given[1:]}: {error}" if given.startswith("@") else str(error)
    print(f"TONGBAN_KEYRING: {problem}", file=sys.stderr)
    sys.exit(EX_CONFIG)


def _read(path: Path) -> tuple[Mark, Ring]:
    # Read the mark first: a change in between is then read once more instead of missed.
    mark = mark_of(path)
    return mark, Ring.parse(path.read_bytes())
