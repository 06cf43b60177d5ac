"""Check the local table before each recovery, and rebuild the due index after it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, cast

import faust
import structlog
from faust.types import TP

from tongban_common import topics
from tongban_router.domain.due_index import DueIndex
from tongban_router.domain.state import RequestState, Rules, next_due
from tongban_router.faust_runtime.faults import FAULTS, TableError, die, table_access
from tongban_router.faust_runtime.session_fence import SessionFence

log = structlog.get_logger()


class TableRecovery:
    """Runs what surrounds Faust's recovery of the table."""

    def __init__(
        self, app: faust.App, table: Any, due: DueIndex, rules: Rules, fence: SessionFence
    ) -> None:
        self._app = app
        self._table = table
        self._due = due
        self._rules = rules
        self._fence = fence
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
        """Read the due moments from the recovered table, and yield to other tasks in between."""
        self._due.clear()
        for count, (key, raw) in enumerate(self._items()):
            try:
                due = next_due(RequestState.model_validate_json(raw), self._rules)
            except Exception as error:
                # Every record for this request will be put aside; other requests must not wait.
                FAULTS.labels("table").inc()
                log.error("router.state_unreadable", request_id=key.decode("ascii", "replace"),
                          error=type(error).__name__)  # fmt: skip
                continue
            self._due.set(key, due)
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
        if self._fence.certain:
            self._table.data.mark_in_use()

    def _items(self) -> Iterator[tuple[bytes, bytes]]:
        try:
            with table_access():
                yield from self._table.items()
        except TableError as error:
            die("router.own_trouble", error, topics.ROUTER_CHANGELOG)
