"""The states of a request and of a print order, and the kinds of outcomes and of calls."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The state of a request (办件)."""

    SUBMITTED = "submitted"
    ROUTED = "routed"
    WAITING_FOR_PROVINCE = "waiting_for_province"
    ACCEPTED = "accepted"
    NEEDS_SUPPLEMENT = "needs_supplement"
    HELD = "held"
    COMPLETED = "completed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Return True if no other state follows."""
        return self in FINAL


FINAL = frozenset(
    {Status.COMPLETED, Status.REJECTED, Status.WITHDRAWN, Status.EXPIRED, Status.FAILED}
)


class OutcomeKind(StrEnum):
    """The kinds of outcome that a connector reports. The first four are a province's results
    (办理结果), the others the connector's own."""

    ACCEPTED = "accepted"
    NEEDS_SUPPLEMENT = "needs_supplement"
    COMPLETED = "completed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    """The province has withdrawn the request, or never got it and never will."""
    WAITING = "waiting"
    """Not sent yet: the province is closed, down or throttling. The connector goes on by itself."""
    NOT_SENT = "not_sent"
    """The deadline passed before the connector sent it, and the province does not know it."""
    HELD = "held"
    """An operator has to decide: the record was dead-lettered, or the gateway can neither be
    queried nor trusted."""


class CallKind(StrEnum):
    """The kinds of call that the router makes to a connector."""

    SUBMIT = "submit"
    POLL = "poll"
    SUPPLEMENT = "supplement"
    WITHDRAW = "withdraw"


class PrintStatus(StrEnum):
    """The state of a print order."""

    QUEUED = "queued"
    WAITING_FOR_PRINTER = "waiting_for_printer"
    NEEDS_CONFIRMATION = "needs_confirmation"
    PRINTED = "printed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        """Return True if no other state follows."""
        return self in (PrintStatus.PRINTED, PrintStatus.CANCELLED, PrintStatus.EXPIRED)
