"""Delete a local RocksDB database that cannot be trusted, and recover it from the changelog.

The changelog is compacted, and the tombstone of a deleted request stays for `delete.retention.ms`
only. A disk that was away for longer never gets the tombstone: its old requests look open, and
would be submitted again. So each partition's database has a marker file that is renewed while the
database is in use, and a database whose marker is older than half of that time is deleted when it
is opened. A process that was frozen for so long, or cut off from the group, has its databases open:
so they are also checked before each recovery (ADR 0017).

A database that is ahead of its changelog, whose tail was lost in a power cut, is deleted at the
next start too: faust-streaming 0.15.3 ends with a ConsistencyError there, at each start.
`tests/unit/router/faust_runtime/test_store.py` tests both.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import faust
import structlog
from faust.stores.rocksdb import Store
from faust.types import TP

from tongban_common import topics
from tongban_router.domain.state import DueIndex, RequestState, Rules, next_due
from tongban_router.faust_runtime.faults import FAULTS, TableError, die, table_access
from tongban_router.faust_runtime.membership import SessionFence
from tongban_router.faust_runtime.open_requests import OpenRequests

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
    """Return when the database was last in use, in Unix seconds.

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


class TableRecovery:
    """Runs what surrounds Faust's recovery of the table."""

    def __init__(
        self,
        app: faust.App,
        table: Any,
        due: DueIndex,
        rules: Rules,
        *,
        fence: SessionFence,
        measured: OpenRequests,
    ) -> None:
        self._app = app
        self._table = table
        self._due = due
        self._rules = rules
        self._fence = fence
        self._measured = measured
        self.recovered = False
        """True once the table has been recovered for the first time."""

    def check(self, ends: Mapping[TP, int | None]) -> None:
        """End the process if the local table cannot be trusted; the next start deletes it and
        recovers it from the changelog.

        Args:
            ends: end offsets of the changelog's partitions.
        """
        if self._table.data.distrust(ends):
            error = TableError("the local table is ahead of its changelog, or was long out of use")
            die("router.table_thrown_away", error, topics.ROUTER_CHANGELOG)

    async def rebuild_index(self, *_: Any) -> None:
        """Read the due moments and the open requests from the recovered table, and yield to other
        tasks in between."""
        self._due.clear()
        self._measured.clear()
        for count, (key, raw) in enumerate(self._items()):
            try:
                state = RequestState.model_validate_json(raw)
                due = next_due(state, self._rules)
            except Exception as error:
                # Every record for this request will be put aside; other requests must not wait.
                FAULTS.labels("table").inc()
                log.error("router.state_unreadable", request_id=key.decode("ascii", "replace"),
                          error=type(error).__name__)  # fmt: skip
                continue
            self._due.set(key, due)
            self._measured.set(key, state)
            if count % 200 == 199:
                await asyncio.sleep(0)
        self.recovered = True
        self._renew_markers()
        log.info("router.recovered", requests=len(self._due))

    async def mark_in_use(self) -> None:
        """Renew the markers of the local databases (`store`), except during a recovery."""
        tables = cast(Any, self._app.tables)
        if self.recovered and not self._app.rebalancing and not tables.recovery.in_recovery:
            self._renew_markers()

    def _renew_markers(self) -> None:
        """Renew the markers only while the group certainly counts this process as a member. After a
        long freeze or a network partition it does not know yet which records it has missed."""
        if self._fence.holds():
            self._table.data.mark_in_use()

    def _items(self) -> Iterator[tuple[bytes, bytes]]:
        try:
            with table_access():
                yield from self._table.items()
        except TableError as error:
            die("router.own_trouble", error, topics.ROUTER_CHANGELOG)
