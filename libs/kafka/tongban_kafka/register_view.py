"""Views a compacted topic of which no record may be missed, for example revocations."""

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
    """Extends `CompactedView`: it reports which of its values may be outdated.

    While the topic has a hole (`tongban_kafka.holes`) every value may be outdated: `hole` and
    `readiness` report it, and the caller fails safe. A record that cannot be decoded puts its key
    alone in doubt, until a readable record replaces it.

    Args:
        on_doubt: called in the event loop when a key comes into doubt; None means every key.
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
        self._earlier_hole: str | None = None
        """The hole that was known before the topic was read again."""

    @property
    def hole(self) -> str | None:
        """Return the text about the first hole that no operator has accepted, or None."""
        if self._holes.open:
            return describe_hole(self.topics[0], self._holes.open[0])
        return self._earlier_hole

    def in_doubt(self, key: str) -> bool:
        """Return True if the view's value of this key may be outdated."""
        return self.hole is not None or key in self._doubtful

    def readiness(self) -> str | None:
        """Return None, or the reason why the view cannot be relied on."""
        return super().readiness() or self.hole

    def _begin(self) -> None:
        # Keep all doubts until the topic has been read to its end.
        self._earlier_hole = self.hole
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
        if self._loading is None:  # while loading, an acceptance may follow
            self._report_hole()

    def _report_hole(self) -> None:
        if (hole := self.hole) is not None:
            log.critical("register_has_a_hole", why=hole)
            self._on_doubt(None)

    async def _turned(self, consumer: Any) -> None:
        await super()._turned(consumer)
        if self._loading is None and self._reading is not None:
            self._doubtful, self._reading, self._earlier_hole = self._reading, None, None
            self._report_hole()
