"""A compacted topic of which nothing may be missed: a revocation, an opt-out, a pause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import structlog

from tongban_kafka.operator_texts import describe_hole
from tongban_kafka.security import KafkaAddress
from tongban_kafka.view import CompactedView, OnChange

log = structlog.get_logger(__name__)
Value = TypeVar("Value")


class RegisterView(CompactedView[Value]):
    """A `CompactedView` that says what it does not know.

    While the topic has a hole (`tongban_kafka.holes`) nothing that the view has is known to
    be the newest: `hole` and `readiness` report it, and the caller fails to the safe side. Where a
    single record cannot be decoded, its key alone is in doubt, until a readable record replaces it.

    Args:
        on_doubt: called in the loop when a key (None: every key) comes into doubt.
    """

    def __init__(
        self,
        bootstrap: KafkaAddress,
        topic: str,
        decode: Callable[[bytes], Value],
        *,
        on_change: OnChange[Value] | None = None,
        on_doubt: Callable[[str | None], None] = lambda _: None,
        client: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(bootstrap, topic, decode, on_change=on_change, client=client)
        self._on_doubt = on_doubt
        self._doubtful: set[str] = set()
        self._reading: set[str] | None = None
        self._stands: str | None = None
        """The hole that was known before the topic began to be read anew."""

    @property
    def hole(self) -> str | None:
        """Return what could not be read and was not accepted by an operator; None: nothing."""
        if self._holes.open:
            return describe_hole(self.topics[0], self._holes.open[0])
        return self._stands

    def in_doubt(self, key: str) -> bool:
        """Return True if the newest value of this key may be another than the view has."""
        return self.hole is not None or key in self._doubtful

    def readiness(self) -> str | None:
        """Return None, or why the view cannot be relied on (the shape of a HealthServer check)."""
        return super().readiness() or self.hole

    def _begin(self) -> None:
        # What was in doubt stays so until the topic has been read to its end.
        self._stands = self.hole
        self._reading = set()
        super()._begin()

    def _decoded(self, key: str) -> None:
        self._doubtful.discard(key)
        if self._reading is not None:
            self._reading.discard(key)

    def _undecodable(self, raw: Any, why: str) -> None:
        super()._undecodable(raw, why)
        if raw.key is None:
            return
        key = raw.key.decode("utf-8", "replace")
        if self._reading is not None:
            self._reading.add(key)
        self._doubtful.add(key)
        self._on_doubt(key)

    def _passed_over(self, tp: Any, first: int, after: int) -> None:
        super()._passed_over(tp, first, after)
        if self._loading is None:  # else an acceptance may follow
            self._tell()

    def _tell(self) -> None:
        if (hole := self.hole) is not None:
            log.critical("register_has_a_hole", why=hole)
            self._on_doubt(None)

    async def _turned(self, consumer: Any) -> None:
        await super()._turned(consumer)
        if self._loading is None and self._reading is not None:
            self._doubtful, self._reading, self._stands = self._reading, None, None
            self._tell()
