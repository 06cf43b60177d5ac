"""Give typed access to the documents of the read model, whose fields `projection` lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tongban_common.domain.status import PrintStatus, Status
from tongban_common.envelope import KeyRing
from tongban_common.events.models import ItemSnapshot, Origin, RequestStatus, Sealed, SubmissionNote
from tongban_common.private_texts import reason_for_people
from tongban_intake.readmodel.projection import name, numbered

Line = dict[str, Any]


_MESSAGE_STATES = ("held", "suppressed", "refused", "sent")
"""The states of a message, in the order in which it can have them."""


def _newness(line: Line) -> tuple[str, int]:
    return line["at"], _MESSAGE_STATES.index(line["status"])


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """Holds the newest report on a print order. `first_at` is the time of the oldest report."""

    order_id: str
    seq: int
    first_at: str
    line: Line

    @property
    def status(self) -> PrintStatus:
        return PrintStatus(self.line["status"])


class RequestRecord:
    """Reads one document. `item`, `origin` and the other fields of the submission exist only once
    `projected` is True: reports on printing may be projected before the first status."""

    def __init__(self, document: Line) -> None:
        self._document = document
        self.request_id: str = document["_id"]
        timeline = document.get("timeline", {})
        self.timeline: list[Line] = [timeline[number] for number in sorted(timeline)]

    @property
    def projected(self) -> bool:
        """True if at least one status has been projected."""
        return bool(self.timeline)

    @property
    def status(self) -> Status:
        """The status of the newest entry that is not a note."""
        statuses = [line["status"] for line in self.timeline if not line.get("note")]
        return Status(statuses[-1]) if statuses else Status.SUBMITTED

    @property
    def last(self) -> Line:
        """The newest entry that is not a note."""
        return [line for line in self.timeline if not line.get("note")][-1]

    @property
    def item(self) -> ItemSnapshot:
        """The item as it was when the request was submitted."""
        return ItemSnapshot.model_validate(self._document["item"])

    @property
    def origin(self) -> Origin:
        """Kiosk, branch, channel and lobby manager of the submission."""
        return Origin.model_validate(self._document["origin"])

    @property
    def notes(self) -> list[SubmissionNote]:
        """Notes that the applicant was shown with the 202."""
        return [SubmissionNote.model_validate(each) for each in self._document.get("notes", ())]

    @property
    def print(self) -> bool:
        """True if the document is to be printed at the kiosk."""
        return bool(self._document["print"])

    @property
    def submitted_at(self) -> str:
        """Business time, RFC 3339."""
        return str(self._document["submitted_at"])

    @property
    def sealed(self) -> Sealed:
        """The envelope, with all parts of all events."""
        return Sealed.model_validate(self._document["sealed"])

    @property
    def swept(self) -> bool:
        """True if only the skeleton of an old request is left (`readmodel.sweep`)."""
        return bool(self._document.get("swept"))

    @property
    def documents(self) -> dict[str, Line]:
        """Documents by id."""
        found = self._document.get("documents", {})
        return {unquote(document_id): fields for document_id, fields in found.items()}

    @property
    def orders(self) -> list[OrderRecord]:
        """Print orders, oldest first, each by its newest report."""
        found = []
        for order_id, reports in self._document.get("orders", {}).items():
            newest = max(reports)
            first = reports[min(reports)]["at"]
            found.append(OrderRecord(unquote(order_id), int(newest), first, reports[newest]))
        return sorted(found, key=lambda order: (order.first_at, order.order_id))

    @property
    def messages_by_reference(self) -> dict[str, Line]:
        """Messages by reference, each by its newest report."""
        found = self._document.get("messages", {})
        return {
            unquote(reference): max(states.values(), key=_newness)
            for reference, states in found.items()
        }

    @property
    def messages(self) -> list[Line]:
        """Messages, oldest first."""
        latest = self.messages_by_reference.values()
        return sorted(latest, key=lambda line: (line["at"], line["template"]))

    def command(self, command_id: str) -> Line | None:
        """Return a published command as {kind, event_id, at}; None where there is none."""
        found: Line | None = self._document.get("commands", {}).get(name(command_id))
        return found

    def confirmation(self, order_id: str, seq: int) -> Line | None:
        """Return the confirmation that a lobby manager gave to that report, as
        {printed, event_id, at}; None where there is none."""
        answers = self._document.get("confirmations", {}).get(name(order_id), {})
        found: Line | None = answers.get(numbered(seq))
        return found

    def confirmed_by(self, order_id: str, event_id: str) -> bool:
        """Return True if that event is a confirmation of this order."""
        answers = self._document.get("confirmations", {}).get(name(order_id), {})
        return any(each["event_id"] == event_id for each in answers.values())

    @property
    def rating(self) -> Line | None:
        """The rating as {grade, event_id, at}; None where there is none."""
        found: Line | None = self._document.get("rating")
        return found


def in_words(line: Line, of: RequestRecord | RequestStatus, keys: KeyRing) -> Line:
    """Return a stored line with its sealed reason opened, or a placeholder where it cannot be.

    `of` is the request or event whose envelope has the key of the reason.
    """
    if "private" not in line:
        return line
    shown = {name: value for name, value in line.items() if name != "private"}
    reason = reason_for_people(keys, of.request_id, of.sealed, line["private"], line.get("reason"))
    return {**shown, "reason": reason}
