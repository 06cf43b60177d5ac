"""A store that was never restored from a back-up, for handlers that ask."""

from __future__ import annotations

from typing import Any, cast

from tongban_common.store.recovery import RestoredStore


class _NeverRestored:
    async def may_lack_guard(self, _timestamp_ms: int, _headers: Any) -> bool:
        return False


NEVER_RESTORED = cast(RestoredStore, _NeverRestored())
