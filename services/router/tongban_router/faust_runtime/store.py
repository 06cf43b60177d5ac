"""The table's local RocksDB, thrown away where it cannot be trusted; the changelog is the truth.

The changelog is compacted, and a deleted request leaves a tombstone for `delete.retention.ms` only.
A disk that was away for longer never hears of the deletion: its old requests look open, and would
be handed in again. So each partition's database has a marker file whose time is renewed while the
database is in use, and one that was not in use for half of that time is recovered from the start.
A process that stood still for so long, or was cut off from the group, has its databases open: they
are looked at before each recovery as well.

The same is done at the next start where a database is ahead of the changelog, whose tail was lost
in a power cut: Faust ends with a ConsistencyError there, at each start.
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
"""Wall seconds for which a database may be out of use."""
_CLOCK_SLACK_S = 3600.0
"""A marker from further in the future was written under another clock, so its age is unknown."""


def marker_of(database: Path) -> Path:
    """Return the file that says when this partition's database was last in use."""
    return database.with_suffix(".in-use")


def _renew(marker: Path) -> None:
    # The moment is in the file as well: the file's own time is that of the copy where a disk was
    # copied or restored without times.
    marker.write_text(f"{time.time():.0f}")


def _last_in_use(marker: Path) -> float:
    """Return Unix seconds. Raises FileNotFoundError."""
    modified = marker.stat().st_mtime
    try:
        return min(modified, float(marker.read_text()))
    except ValueError:  # written by an earlier version, or cut short by a full disk
        return modified


def is_too_old(database: Path, now: float) -> bool:
    """Return True if the database exists and may have missed deletions; `now` is Unix time."""
    if not database.exists():
        return False
    try:
        age = now - _last_in_use(marker_of(database))
    except FileNotFoundError:
        return True
    return not -_CLOCK_SLACK_S <= age < LONGEST_ABSENCE_S


class CheckedStore(Store):
    """Faust's RocksDB store with the checks above."""

    def mark_in_use(self) -> None:
        """Say that all open databases are up to date. Not before they are recovered: one that is
        opened again and again without that is as old as it was."""
        for partition in list(self._dbs):
            try:
                _renew(marker_of(self.partition_path(partition)))
            except OSError as error:  # a marker that is too old costs a recovery, and nothing else
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
        """Give up the markers of open databases that are ahead of the changelog, whose end offsets
        have just been asked for, or were out of use for too long; the next start throws those away.

        Returns:
            whether there is any.
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
    """faust.Table with the store above."""

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
