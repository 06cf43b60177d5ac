"""A process's key ring, kept like the file that it came from."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from prometheus_client import Counter, Gauge

from tongban_common.envelope import KeyRing
from tongban_common.exit_codes import EX_CONFIG
from tongban_common.settings import CommonSettings
from tongban_common.wrapping_keys import Ring, RingError

log = structlog.get_logger(__name__)

CHANGES = Counter("tongban_keyring_changes", "Times that a changed key ring was taken over")
UNUSABLE = Gauge("tongban_keyring_unusable", "1 while the key ring's file cannot be read")
_EVERY_S = 1.0
Mark = tuple[int, int, int]


def mark_of(path: Path) -> Mark:
    """Changes whenever the file does: inode, time in ns, size. Follows links, as a mounted Secret
    is swapped by one.

    Raises:
        OSError
    """
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


class KeyRingFile:
    """The ring that `TONGBAN_KEYRING` says: JSON, which stays as it is, or @FILE, which is looked
    at every second while `run` runs. A file that is gone or broken changes nothing, and is told.

    Raises:
        RingError, OSError: there is no ring to begin with.
    """

    def __init__(self, given: str, *, every_s: float = _EVERY_S, production: bool = False) -> None:
        """Read the ring. `production`: a ring with a public key is a broken one."""
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
        """Until cancelled."""
        if self._path is None:
            await asyncio.Event().wait()
            return
        while True:
            await asyncio.sleep(self._every_s)
            await self._look(self._path)

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Run it beside what is done inside."""
        running = asyncio.create_task(self.run(), name="keyring")
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])

    async def _look(self, path: Path) -> None:
        try:
            if await asyncio.to_thread(mark_of, path) == self._mark:
                self._tell_usable()  # it may have been out of reach
                return
            self._mark, ring = await asyncio.to_thread(_read, path)
            self._check(ring)
        except (OSError, RingError) as error:
            # Told once: a broken file stays as broken as it is.
            if self._usable:
                log.error("keyring_unusable", error=str(error))
            self._usable = False
            UNUSABLE.set(1)
            return
        self.keys.adopt(ring)
        CHANGES.inc()
        self._tell_usable()
        log.info("keyring_changed", keys=sorted(ring.keys), destroyed=sorted(ring.destroyed))

    def _tell_usable(self) -> None:
        self._usable = True
        UNUSABLE.set(0)


def key_ring(settings: CommonSettings) -> KeyRingFile:
    """The ring to begin with, or the end of the process with EX_CONFIG and a line that says why:
    one that cannot seal or open has nothing to do, and starting again would not mend it."""
    given = settings.keyring.get_secret_value()
    try:
        return KeyRingFile(given, production=settings.environment == "production")
    except OSError as error:
        told = f"{error.strerror or type(error).__name__}: {error.filename}"
    except RingError as error:
        told = f"{given[1:]}: {error}" if given.startswith("@") else str(error)
    print(f"TONGBAN_KEYRING: {told}", file=sys.stderr)
    sys.exit(EX_CONFIG)


def _read(path: Path) -> tuple[Mark, Ring]:
    # The mark first: a change in between is then seen once more, and never missed.
    mark = mark_of(path)
    return mark, Ring.parse(path.read_bytes())
