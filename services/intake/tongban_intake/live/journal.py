"""Order and deduplicate the events of one stream.

Pure: history and live records may be put in in any order and repeatedly; each status comes out
once, in order, as a server-sent event.
"""

from __future__ import annotations

from typing import Any

import orjson

from tongban_common.domain.status import PrintStatus, Status
from tongban_common.envelope import KeyRing
from tongban_common.events import Body
from tongban_common.events.models import NotificationReported, PrintReported, RequestStatus
from tongban_intake.readmodel import projection
from tongban_intake.readmodel.record import RequestRecord, in_words

Line = dict[str, Any]
END = b"event: end\ndata: {}\n\n"
HEARTBEAT = b": still here\n\n"


def frame(event: str, data: Line, *, number: int | None = None) -> bytes:
    """Return one server-sent event (HTML standard, 9.2); `number` becomes its id."""
    head = b"" if number is None else b"id: %d\n" % number
    return b"%sevent: %s\ndata: %s\n\n" % (head, event.encode(), orjson.dumps(data))


class EventJournal:
    """Remembers what one stream has sent and what is to be sent next.

    Args:
        sent: number of the last status that the client has (Last-Event-ID), 0 for none.
        keys: open the sealed reasons in statuses.
    """

    def __init__(self, sent: int, keys: KeyRing) -> None:
        self._sent = sent
        self._keys = keys
        self._pending: dict[int, Line] = {}
        self._orders: dict[str, tuple[int, Line]] = {}
        self._sent_orders: dict[str, int] = {}
        self._messages: dict[str, Line] = {}
        self._sent_messages: dict[str, str] = {}
        self._final: Status | None = None
        self._wants_print = True

    # --- in

    def history(self, record: RequestRecord) -> None:
        """Put in what the read model has of the request."""
        for line in record.timeline:
            self._status(in_words(line, record, self._keys))
        if record.projected:
            self._wants_print = record.print
        for order in record.orders:
            self._order(order.order_id, order.seq, order.line)
        for reference, line in record.messages_by_reference.items():
            self._messages[reference] = line

    def live(self, body: Body) -> None:
        """Put in an event that has just arrived on a topic."""
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
        if line["seq"] > self._sent:
            self._pending[line["seq"]] = line

    def _order(self, order_id: str, seq: int, line: Line) -> None:
        if seq >= self._orders.get(order_id, (-1, {}))[0]:
            self._orders[order_id] = (seq, line)

    # --- out

    def take(self, *, over_gaps: bool = False) -> list[bytes]:
        """Return the events that can be sent now. A status waits for the one before it, unless
        `over_gaps` is True."""
        frames = []
        while self._pending:
            number = min(self._pending) if over_gaps else self._sent + 1
            if number not in self._pending:
                break
            frames.append(frame("status", self._pending.pop(number), number=number))
            self._sent = number
        for order_id, (seq, line) in self._orders.items():
            if self._sent_orders.get(order_id, -1) < seq:
                self._sent_orders[order_id] = seq
                frames.append(frame("print", {"order_id": order_id, **line}))
        for reference, line in self._messages.items():
            if self._sent_messages.get(reference) != line["status"]:
                self._sent_messages[reference] = line["status"]
                frames.append(frame("message", line))
        return frames

    @property
    def blocked(self) -> bool:
        """True if a status waits for an earlier one that has not arrived."""
        return bool(self._pending) and self._sent + 1 not in self._pending

    @property
    def final(self) -> bool:
        """True if the final status has been sent."""
        return self._final is not None and not self._pending

    @property
    def settled(self) -> bool:
        """True if the final status has been sent and every print order that was to follow is
        final."""
        if not self.final:
            return False
        if self._final is not Status.COMPLETED or not self._wants_print:
            return True
        lines = [line for _, line in self._orders.values()]
        return bool(lines) and all(PrintStatus(line["status"]).final for line in lines)
