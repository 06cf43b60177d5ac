"""Define the schemas of answers in the OpenAPI document; they may extend docs/contract.md."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from tongban_common.domain.status import PrintStatus, Status


class Accepted(BaseModel):
    """Kafka has the request on all in-sync replicas."""

    request_id: str
    status: Literal["submitted"]
    status_url: str
    events_url: str
    notes: list[str] = Field(
        description="for the applicant, in the language of Accept-Language: outside service hours, "
        "the same item in progress already"
    )


class TimelineEntry(BaseModel):
    """One step. The entry of a `seq` never changes; a note leaves the status unchanged."""

    seq: int
    at: str
    status: Status
    by: str
    reason: str | None = None
    note: bool | None = None
    expected_by: str | None = None


class Document(BaseModel):
    """A document that can be fetched."""

    document_id: str
    title: str
    pages: int
    sha256: str


class PrintOrder(BaseModel):
    """A print order: one set of sheets."""

    order_id: str
    document_id: str | None
    status: PrintStatus
    copy_number: int = Field(alias="copy")
    kiosk_id: str
    at: str
    reason: str | None = None


class Message(BaseModel):
    """A message to the applicant."""

    template: str
    channel: Literal["sms", "mail"]
    status: Literal["sent", "refused", "suppressed", "held"]
    at: str
    reason: str | None = None


class RequestView(BaseModel):
    """The state of a request. `delayed`: accepted, but not readable in full yet, or just now."""

    request_id: str
    item_code: str | None
    item_name: str | None
    item_version: int | None = None
    province: str | None
    channel: str | None = None
    status: Status
    reason: str | None = None
    submitted_at: str | None
    updated_at: str | None
    expected_by: str | None = None
    notes: list[str] = Field(description="the notes of the 202")
    timeline: list[TimelineEntry]
    outcome: dict[str, Any] | None = None
    documents: list[Document]
    print: bool | None = None
    print_orders: list[PrintOrder]
    messages: list[Message]
    rating: int | None = None
    personal_data: Literal["destroyed"] | None = Field(
        None, description="retention has ended: outcome and documents are destroyed"
    )
    delayed: bool | None = None


class StreamEvent(BaseModel):
    """A server-sent event. `status` carries a timeline entry and its number as `id`, `print` a
    print order, `message` a message; `end` is the last one and carries nothing."""

    event: Literal["status", "print", "message", "end"]
    data: str = Field(json_schema_extra={"contentMediaType": "application/json"})
    id: str | None = Field(None, pattern=r"^[0-9]+$", description="for Last-Event-ID")
    retry: int | None = None


class CommandGiven(BaseModel):
    """Kafka has the command."""

    request_id: str
    command_id: str


class PrintGiven(BaseModel):
    """Kafka has the print order."""

    request_id: str
    order_id: str


class ConfirmationGiven(BaseModel):
    """Kafka has the lobby manager's answer."""

    request_id: str
    confirmation_id: str


class RatingGiven(BaseModel):
    """Kafka has the rating."""

    request_id: str
    rating_id: str


class ComparedFact(BaseModel):
    """A line of the sheet."""

    label: str
    value: str


class Verified(BaseModel):
    """The public facts of a document, to compare with the sheet."""

    genuine: Literal[True]
    code: str
    title: str
    item_code: str
    item_name: str
    province: str
    issuer: str
    issued_on: str
    pages: int | None = Field(None, description="pages of the document")
    sha256: str
    holder: str | None = Field(None, description="name, masked; absent once it is destroyed")
    holder_number: str | None = Field(None, description="document number or credit code, masked")
    number: str | None = Field(None, description="the province's number of the result")
    figures: list[ComparedFact] | None = Field(None, description="up to five main figures")
    personal_data: Literal["destroyed"] | None = Field(
        None, description="retention has ended: nothing is left to compare"
    )


class About(BaseModel):
    """The software of the replica that answers."""

    service: Literal["tongban-intake"]
    version: str = Field(description="of the software; `info.version` is that of the interface")
    environment: Literal["production", "development"] = Field(
        description="development accepts public default secrets"
    )


class ZoneTotals(BaseModel):
    """Totals of a zone."""

    provinces: int
    categories: int
    items: int
    query: int
    handle: int
    print: int
    domains: int


class Summary(BaseModel):
    """The totals of all zones."""

    cross_province: ZoneTotals
    yangtze_delta: ZoneTotals
    local: ZoneTotals


class ListedItem(BaseModel):
    """An item in a list."""

    code: str
    name: str
    name_en: str
    province: str
    province_name: str
    category: str
    domain: str
    kind: Literal["query", "handle", "print"]
    zones: list[str]
    audience: Literal["person", "company", "both"]
    printable: bool


class ItemPage(BaseModel):
    """A page of items."""

    items: list[ListedItem]
    total: int
    page: int
    next_page: int | None


class ItemDetails(ListedItem):
    """An item with its form and examples that are always valid."""

    version: int
    department: str
    partner: str | None
    form: dict[str, Any]
    example_form: dict[str, Any]
    example_applicant: dict[str, Any]
    materials: list[dict[str, Any]]
    limits: dict[str, int]
    fee: dict[str, Any]
    hours: dict[str, Any]
    mode: str
    document: dict[str, Any] | None


class FieldProblem(BaseModel):
    """A field that is wrong."""

    pointer: str
    message: str


class ProblemDocument(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[FieldProblem] | None = None


class TokenGiven(BaseModel):
    """A bearer token (RFC 6749, section 5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="seconds")


class SessionGiven(TokenGiven):
    """A bearer token of the kiosk and of the lobby manager who has signed in there."""

    assistant: str
