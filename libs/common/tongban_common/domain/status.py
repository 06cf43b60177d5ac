"""The states of a request and of a print order, and what may be asked in which (CONTRACT.md)."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where a request (办件) stands."""

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
        """Whether nothing comes after."""
        return self in FINAL


FINAL = frozenset(
    {Status.COMPLETED, Status.REJECTED, Status.WITHDRAWN, Status.EXPIRED, Status.FAILED}
)


class OutcomeKind(StrEnum):
    """What a connector reports. The first four are a province's words (办理结果), the rest ours."""

    ACCEPTED = "accepted"
    NEEDS_SUPPLEMENT = "needs_supplement"
    COMPLETED = "completed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    """The province has taken it back, or never had it and never will."""
    WAITING = "waiting"
    """Not sent yet: the province is closed, down or throttling; goes on by itself."""
    NOT_SENT = "not_sent"
    """Its time ran out before it was sent, and the province does not know it."""
    HELD = "held"
    """A person has to look at it: dead-lettered, or neither asked nor trusted."""


class CallKind(StrEnum):
    """What the router asks a connector to do."""

    SUBMIT = "submit"
    POLL = "poll"
    SUPPLEMENT = "supplement"
    WITHDRAW = "withdraw"


class PrintStatus(StrEnum):
    """Where a print order stands."""

    QUEUED = "queued"
    WAITING_FOR_PRINTER = "waiting_for_printer"
    NEEDS_CONFIRMATION = "needs_confirmation"
    PRINTED = "printed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        """Whether nothing comes after."""
        return self in (PrintStatus.PRINTED, PrintStatus.CANCELLED, PrintStatus.EXPIRED)
