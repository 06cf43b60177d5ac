"""Delete a local RocksDB database that cannot be trusted, and recover it from the changelog.

The changelog is compacted, and the tombstone of a deleted request stays for `delete.retention.ms`
only. A disk that was away for longer never gets the tombstone: its old requests look open, and
would be submitted again. So each partition's database has a marker file that is renewed while the
database is in use, and a database whose marker is older than half of that time is deleted when it
is opened. A process that was frozen for so long, or cut off from the group, has its databases open:
so they are also checked before each recovery (ADR 0017).

A database that is ahead of its changelog, whose tail was lost in a power cut, is deleted at the
next start too: faust-streaming 0.15.3 ends with a ConsistencyError there, at each start.
`tests/unit/test_router_store.py` tests both.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faust
import structlog
from faust.stores.rocksdb import Store
from faust.types import TP

from tongban_common import topics

log = structlog.get_logger()

LONGEST_ABSENCE_S = topics.CHANGELOG_DELETE_RETENTION_MS / 1000 / 2
"""Most wall seconds for which a database may be out of use."""
_CLOCK_SLACK_S = 3600.0
"""Wall seconds. A marker from further in the future was written under another clock: its age is
unknown."""


def marker_of(database: Path) -> Path:
    """Return the marker file of a partition's database."""
    return database.with_suffix(".in-use")


def _renew(marker: Path) -> None:
    # Write the moment into the file as well: after a disk was copied or restored without times, the
    # file's own time is that of the copy.
    marker.write_text(f"{time.time():.0f}")


def _last_in_use(marker: Path) -> float:
    """Return Unix seconds.

    Raises:
        FileNotFoundError: there is no marker.
    """
    modified = marker.stat().st_mtime
    try:
        return min(modified, float(marker.read_text()))
    except ValueError:  # written by an earlier version, or cut short by a full disk
        return modified


def is_too_old(database: Path, now: float) -> bool:
    """Return True if the database exists and may have missed deletions; `now` in Unix seconds."""
    if not database.exists():
        return False
    try:
        age = now - _last_in_use(marker_of(database))
    except FileNotFoundError:
        return True
    return not -_CLOCK_SLACK_S <= age < LONGEST_ABSENCE_S


class CheckedStore(Store):
    """Faust's RocksDB store with markers."""

    def mark_in_use(self) -> None:
        """Renew the markers of all open databases. Call it only after they were recovered: a
        database that is merely opened, again and again, is as old as before."""
        for partition in list(self._dbs):
            try:
                _renew(marker_of(self.partition_path(partition)))
            except OSError as error:  # an old marker costs a recovery, nothing else
                log.warning("router.marker_not_renewed", partition=partition, errno=error.errno)

    def _open_for_partition(self, partition: int) -> Any:
        path = self.partition_path(partition)
        if is_too_old(path, time.time()):
            log.critical("router.table_too_old", partition=partition)
            shutil.rmtree(path)
        fresh = not path.exists()
        database = super()._open_for_partition(partition)
        if fresh:
            _renew(marker_of(path))
        return database

    def distrust(self, ends: Mapping[TP, int | None]) -> bool:
        """Delete the markers of open databases that were out of use for too long or are ahead of
        their changelog; the next start deletes those databases.

        Args:
            ends: end offsets of the changelog's partitions.

        Returns:
            True if there is any such database: the process has to end before it recovers.
        """
        found = False
        for tp, end in ends.items():
            if tp.partition not in self._dbs:
                continue
            path = self.partition_path(tp.partition)
            offset = self.persisted_offset(tp)
            if is_too_old(path, time.time()):
                log.critical("router.table_too_old", partition=tp.partition)
            elif end is not None and offset is not None and offset >= end:
                log.critical("router.table_beyond_changelog", partition=tp.partition,
                             persisted=offset, end=end)  # fmt: skip
            else:
                continue
            found = True
            marker_of(path).unlink(missing_ok=True)
        return found


class RouterTable(faust.Table):  # type: ignore[type-arg]
    """faust.Table with `CheckedStore`."""

    def _new_store_by_url(self, url: Any) -> CheckedStore:
        return CheckedStore(
            url,
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            value_type=self.value_type,
            loop=self.loop,
            options=self.options,
        )
