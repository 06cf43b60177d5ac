"""Stores that were never, or just now, restored from a back-up, for handlers that ask."""

from __future__ import annotations

from typing import Any, cast

from tongban_common.store.recovery import RestoredStore


class _NeverRestored:
    async def may_lack_guard(self, _timestamp_ms: int, _headers: Any) -> bool:
        return False


class _RestoredNow:
    async def may_lack_guard(self, _timestamp_ms: int, _headers: Any) -> bool:
        return True


NEVER_RESTORED = cast(RestoredStore, _NeverRestored())
RESTORED_NOW = cast(RestoredStore, _RestoredNow())
"""Restored after every record that a test hands in was appended."""
