"""What one watcher has been told and what is next. Pure: history and live records go in, in any
order and as often as they like; every status comes out once, in order, as a server-sent event.
"""

from __future__ import annotations

from typing import Any

import orjson

from tongban_common.domain.status import PrintStatus, Status
from tongban_common.envelope import KeyRing
from tongban_common.events import Body
from tongban_common.events.models import NotificationReported, PrintReported, RequestStatus
from tongban_intake.readmodel import projection
from tongban_intake.readmodel.private import in_words
from tongban_intake.readmodel.record import RequestRecord

Line = dict[str, Any]
END = b"event: end\ndata: {}\n\n"
HEARTBEAT = b": still here\n\n"


def frame(event: str, data: Line, *, number: int | None = None) -> bytes:
    """One server-sent event (HTML standard, 9.2)."""
    head = b"" if number is None else b"id: %d\n" % number
    return b"%sevent: %s\ndata: %s\n\n" % (head, event.encode(), orjson.dumps(data))


class EventJournal:
    """Args:
    told: the number of the last status that the watcher has (Last-Event-ID), 0 for none.
    keys: open the reasons that a watcher is shown.
    """

    def __init__(self, told: int, keys: KeyRing) -> None:
        self._told = told
        self._keys = keys
        self._pending: dict[int, Line] = {}
        self._orders: dict[str, tuple[int, Line]] = {}
        self._told_orders: dict[str, int] = {}
        self._messages: dict[str, Line] = {}
        self._told_messages: dict[str, str] = {}
        self._final: Status | None = None
        self._wants_print = True

    # --- in

    def history(self, record: RequestRecord) -> None:
        """What the read model knows."""
        for line in record.timeline:
            self._status(in_words(line, record, self._keys))
        if record.projected:
            self._wants_print = record.print
        for order in record.orders:
            self._order(order.order_id, order.seq, order.line)
        for reference, line in record.messages_by_reference.items():
            self._messages[reference] = line

    def live(self, body: Body) -> None:
        """What has just come over a topic."""
        match body:
            case RequestStatus():
                self._wants_print = body.print
                self._status(in_words(projection.entry(body), body, self._keys))
            case PrintReported():
                self._order(body.order_id, body.seq, projection.report(body))
            case NotificationReported():
                self._messages[body.reference] = projection.message(body)

    def _status(self, line: Line) -> None:
        if Status(line["status"]).final and not line.get("note"):
            self._final = Status(line["status"])
        if line["seq"] > self._told:
            self._pending[line["seq"]] = line

    def _order(self, order_id: str, seq: int, line: Line) -> None:
        if seq >= self._orders.get(order_id, (-1, {}))[0]:
            self._orders[order_id] = (seq, line)

    # --- out

    def take(self, *, over_gaps: bool = False) -> list[bytes]:
        """What can be told now. Statuses wait for those before them, unless `over_gaps`."""
        frames = []
        while self._pending:
            number = min(self._pending) if over_gaps else self._told + 1
            if number not in self._pending:
                break
            frames.append(frame("status", self._pending.pop(number), number=number))
            self._told = number
        for order_id, (seq, line) in self._orders.items():
            if self._told_orders.get(order_id, -1) < seq:
                self._told_orders[order_id] = seq
                frames.append(frame("print", {"order_id": order_id, **line}))
        for reference, line in self._messages.items():
            if self._told_messages.get(reference) != line["status"]:
                self._told_messages[reference] = line["status"]
                frames.append(frame("message", line))
        return frames

    @property
    def blocked(self) -> bool:
        """Whether what can be told waits for a status that has not come."""
        return bool(self._pending) and self._told + 1 not in self._pending

    @property
    def final(self) -> bool:
        """Whether the last status is told and no other can follow."""
        return self._final is not None and not self._pending

    @property
    def settled(self) -> bool:
        """Final, and so is every print that was to follow."""
        if not self.final:
            return False
        if self._final is not Status.COMPLETED or not self._wants_print:
            return True
        lines = [line for _, line in self._orders.values()]
        return bool(lines) and all(PrintStatus(line["status"]).final for line in lines)
