"""The bodies of the events about documents and their prints."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tongban_common.domain.moments import Moment
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models.base import NONE, PERSONAL, PSEUDONYMOUS, SEALED, Body, unit
from tongban_common.events.models.objects import DocumentRef, Sealed

_ORDER = "Id of the print order: a UUID that follows from request, document and copy."


class PrintOrdered(Body):
    """A person orders a further copy, or a copy at another kiosk. On print.orders, by intake."""

    TYPE: ClassVar[str] = "tongban.print.ordered.v1"

    order_id: str = Field(description=_ORDER, json_schema_extra=PSEUDONYMOUS)
    document_id: str | None = Field(
        None,
        description="The document; absent: the request's only document.",
        json_schema_extra=PSEUDONYMOUS,
    )
    kiosk_id: str = Field(
        description="The kiosk whose printer makes the copy.", json_schema_extra=NONE
    )
    branch_id: str | None = Field(
        None, description="The branch of that kiosk.", json_schema_extra=NONE
    )
    copy_number: int = Field(
        description="Number of the copy: the first print is 1, so a reprint starts at 2.",
        json_schema_extra=NONE | unit("copies"),
    )
    at: Moment = Field(description="Business time of the order.", json_schema_extra=NONE)
    by: str = Field(
        description="Id of the kiosk at which the copy was ordered.", json_schema_extra=NONE
    )


class PrintConfirmed(Body):
    """A lobby manager confirms or denies that a sheet was printed. On print.orders, by intake.

    `seq` names the report with the question (`PrintReported.seq`, status needs_confirmation):
    printing ignores answers to any question but the open one.
    """

    TYPE: ClassVar[str] = "tongban.print.confirmed.v1"

    order_id: str = Field(description=_ORDER, json_schema_extra=PSEUDONYMOUS)
    seq: int = Field(
        description="`seq` of the report with the question, within the order.",
        json_schema_extra=NONE | unit("reports"),
    )
    printed: bool = Field(
        description="True if the sheet came out of the printer.", json_schema_extra=NONE
    )
    by: str = Field(
        description="Staff id of the lobby manager, or login name of an operator.",
        json_schema_extra=PERSONAL,
    )
    at: Moment = Field(description="Business time of the answer.", json_schema_extra=NONE)


class PrintReported(Body):
    """The status of a print order. On documents.printed, by printing."""

    TYPE: ClassVar[str] = "tongban.print.reported.v1"

    order_id: str = Field(description=_ORDER, json_schema_extra=PSEUDONYMOUS)
    document: DocumentRef | None = Field(
        None,
        description="The document; absent where it could not be made.",
        json_schema_extra=PSEUDONYMOUS,
    )
    kiosk_id: str = Field(description="The kiosk whose printer is used.", json_schema_extra=NONE)
    branch_id: str = Field(description="The branch of that kiosk.", json_schema_extra=NONE)
    copy_number: int = Field(
        description="Number of the copy; the first print is 1.",
        json_schema_extra=NONE | unit("copies"),
    )
    status: PrintStatus = Field(
        description="State of the print order. printed, cancelled and expired are final.",
        json_schema_extra=NONE,
    )
    seq: int = Field(
        description="Number of the report, from 1 within the order.",
        json_schema_extra=NONE | unit("reports"),
    )
    at: Moment = Field(description="Business time of the status.", json_schema_extra=NONE)
    reason: str | None = Field(
        None,
        description="Why the order waits or ended without paper, as a text of ours.",
        json_schema_extra=NONE,
    )
    item_name: str | None = Field(
        None,
        description="Name of the item, beside `sealed`, for the message to the applicant.",
        json_schema_extra=NONE,
    )
    sealed: Sealed | None = Field(
        None,
        description="The part `applicant`; only where no paper will come, so that notify can "
        "tell the applicant.",
        json_schema_extra=SEALED,
    )


class DocumentStored(Body):
    """A request's document can be fetched. On documents.printed, by printing."""

    TYPE: ClassVar[str] = "tongban.document.stored.v1"

    document: DocumentRef = Field(
        description="The document that the store now has.", json_schema_extra=PSEUDONYMOUS
    )
    at: Moment = Field(description="Business time at which it was stored.", json_schema_extra=NONE)
