"""The bodies of all events, versioned in their type. Changes are additive only: the golden schemas
under tests/unit/golden hold every version that was ever published, and a test compares.

A field without a value is left out of the JSON, so every field that may be None has None as its
default.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

# Every moment that comes from a topic is bounded: none of its readers falls over 9999-12-31.
from tongban_common.domain.moments import Moment
from tongban_common.domain.status import CallKind, OutcomeKind, PrintStatus, Status


class Part(BaseModel):
    """A piece of a body. Unknown fields are ignored: an older reader must not stumble."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Sealed(Part):
    """Applicant, form and result, each encrypted under the request's own data key.

    `parts` maps a part's name to base64url(nonce ‖ ciphertext ‖ tag) of AES-256-GCM; `key` is the
    data key wrapped by key `kid` of the key ring. See `tongban_common.envelope`.
    """

    kid: str
    key: str
    parts: dict[str, str]


class ItemSnapshot(Part):
    """The fields of an item (事项) that later steps need: a request ends under the rules it began
    with, whatever is published meanwhile."""

    code: str
    version: int
    name: str
    category: str
    province: str = Field(description="GB/T 2260 code of the lead province")
    partner_province: str | None = None
    kind: Literal["query", "handle", "print"]
    template: str | None = Field(None, description="document template; None: nothing to print")
    promised_days: int = Field(description="working days that the province promises")


class Origin(Part):
    """Who handed it in, where and how."""

    kiosk_id: str
    branch_id: str
    channel: Literal["self_service", "assisted"]
    assistant: str | None = Field(None, description="the lobby manager's id where assisted")
    assistant_proved: bool = Field(
        default=False, description="whether that one had signed in; else the kiosk says so"
    )


class ApplicantFacts(Part):
    """What analysts may know of an applicant: nothing that names one."""

    type: Literal["person", "company"]
    pseudonym: str
    region: str | None = Field(None, description="first two digits of the ID number's region")
    age_band: str | None = None


class SubmissionNote(Part):
    """Something that the applicant was told when the request was accepted: a code and its facts.
    The words are made where it is shown, in the language that is wanted there."""

    code: str = Field(description="outside_hours or duplicate_in_progress; others are passed over")
    opens_at: Moment | None = Field(None, description="business time of the next opening")
    other_request_id: str | None = Field(
        None, description="the request in progress, where it is of the same branch"
    )


class DocumentRef(Part):
    """A document in the store (claim check): the bytes never travel on a topic."""

    document_id: str
    title: str = Field(description="made of the item's name; never a province's own words")
    pages: int
    sha256: str


class Body(Part):
    """What every event's body has. `TYPE` is its CloudEvents type."""

    TYPE: ClassVar[str]

    request_id: str


class RequestSubmitted(Body):
    """A kiosk has handed in a request. On requests.submitted, by intake."""

    TYPE: ClassVar[str] = "tongban.request.submitted.v1"

    item: ItemSnapshot
    origin: Origin
    applicant: ApplicantFacts
    print: bool = Field(description="whether the document goes to the kiosk's paper")
    submitted_at: Moment = Field(description="business time")
    deadline: Moment = Field(description="business time after which nothing may act")
    body_digest: str = Field(description="keyed; tells a repeat from another body under one key")
    notes: list[SubmissionNote] | None = Field(None, description="absent where there was none")
    sealed: Sealed


class SupplementHanded(Body):
    """The applicant has handed in what the province asked for. On requests.commands, by intake."""

    TYPE: ClassVar[str] = "tongban.request.supplement.v1"

    command_id: str
    at: Moment
    by: str
    sealed: Sealed = Field(description="has the part `supplement`")


class WithdrawalAsked(Body):
    """The applicant wants the request back. On requests.commands, by intake."""

    TYPE: ClassVar[str] = "tongban.request.withdrawal.v1"

    command_id: str
    at: Moment
    by: str


class OperatorDecision(Body):
    """An operator lets a held request go on, or ends it. On requests.commands."""

    TYPE: ClassVar[str] = "tongban.request.operator.v1"

    command_id: str
    at: Moment
    by: str
    decision: Literal["resume", "fail"]
    reason: str = Field(description="a text of ours; the operator's own words are sealed")
    sealed: Sealed | None = Field(
        None, description="has the part `reason`: the operator's words, for the applicant"
    )


class RepublishRequested(Body):
    """An operator rebuilds the read model and wants this request's history again. On
    requests.commands; the router publishes it on requests.status, marked `republished`."""

    TYPE: ClassVar[str] = "tongban.request.republish.v1"

    command_id: str
    at: Moment
    by: str


class ProvinceCall(Body):
    """What a province's connector is to do. On province.<code>.requests, by the router."""

    TYPE: ClassVar[str] = "tongban.province.call.v1"

    call: CallKind
    call_id: str = Field(description="names this one call; a repeat has the same")
    item: ItemSnapshot
    not_after: Moment = Field(description="business time after which it must not be sent")
    receipt: str | None = Field(None, description="not written any more: see `sealed`")
    closing: bool = Field(
        default=False, description="time is up: take it back rather than go on waiting"
    )
    number: int | None = Field(None, description="of a supplement: which of the request, from 1")
    sealed: Sealed = Field(
        description="what the request has; the part `receipt` where the province gave a number"
    )


class ProvinceOutcome(Body):
    """What came of a call. On requests.outcomes, by the connectors."""

    TYPE: ClassVar[str] = "tongban.province.outcome.v1"

    province: str
    call: CallKind
    call_id: str
    not_sent: bool | None = Field(
        None,
        description="of held: whether the call has certainly not taken effect; absent: not known",
    )
    outcome: OutcomeKind
    at: Moment
    reason: str | None = Field(
        None, description="a text of ours, in Chinese; the province's own words are sealed"
    )
    cause: str | None = Field(None, description="closed, down, throttled or a fault, for operators")
    receipt: str | None = Field(None, description="not written any more: see `sealed`")
    until: Moment | None = Field(None, description="when it goes on, as far as known")
    documents: list[DocumentRef] = []
    sealed: Sealed | None = Field(
        None,
        description="the parts `result` when completed, `reason` (the province's or an operator's "
        "words) and `receipt`, as far as there are any",
    )


class ProvinceNotice(Body):
    """A province says by a signed callback that it has news. On requests.outcomes, by connectors.

    It moves nothing by itself: the router asks the province, and what the look-up says counts.
    """

    TYPE: ClassVar[str] = "tongban.province.notice.v1"

    province: str
    notice_id: str = Field(
        description="the province's number of this notice; a repeat has the same"
    )
    at: Moment = Field(description="business time of its arrival")


class RequestStatus(Body):
    """One entry of a request's history. On requests.status, by the router.

    `seq` counts from 1 within the request; the same `seq` always tells the same.
    """

    TYPE: ClassVar[str] = "tongban.request.status.v1"

    seq: int
    status: Status
    at: Moment
    by: str = Field(description="kiosk, router, province, operator or applicant")
    reason: str | None = Field(
        None, description="a text of ours; the words of a province or an operator are sealed"
    )
    cause: str | None = Field(
        None,
        description="a code: why it waits (closed, down, throttled, paused, store), or whose words "
        "are sealed (province, operator)",
    )
    note: bool = Field(
        default=False, description="a remark in the timeline: the status is as before"
    )
    expected_by: Moment | None = None
    item: ItemSnapshot
    origin: Origin
    applicant: ApplicantFacts
    submitted_at: Moment
    print: bool
    body_digest: str
    notes: list[SubmissionNote] | None = Field(None, description="of the submission, with seq 1")
    supplements: int | None = Field(
        None, description="of needs_supplement: how many had been handed in; absent where none had"
    )
    republished: bool | None = Field(
        None,
        description="true: published again for a read model that is rebuilt; nobody is to be told",
    )
    sealed: Sealed = Field(
        description="what the request has; the part `reason` belongs to this entry alone"
    )


class RequestCompleted(Body):
    """A province has done its part. On requests.completed, by the router."""

    TYPE: ClassVar[str] = "tongban.request.completed.v1"

    item: ItemSnapshot
    origin: Origin
    applicant: ApplicantFacts
    print: bool
    submitted_at: Moment
    completed_at: Moment
    documents: list[DocumentRef] = []
    sealed: Sealed = Field(description="applicant, form and result")


class TimerDue(Body):
    """A moment the router set for a request has come. On router.timers, by and for the router."""

    TYPE: ClassVar[str] = "tongban.router.timer.v1"

    due: Moment


class PrintOrdered(Body):
    """A further copy, or the same at another kiosk. On print.orders, by intake."""

    TYPE: ClassVar[str] = "tongban.print.ordered.v1"

    order_id: str
    document_id: str | None = Field(None, description="None: the request's only document")
    kiosk_id: str
    branch_id: str | None = Field(None, description="where the kiosk stands")
    copy_number: int = Field(description="the first print is 1, so a reprint starts at 2")
    at: Moment
    by: str


class PrintConfirmed(Body):
    """A lobby manager has looked and answers whether a sheet came out of the printer. On
    print.orders, by intake.

    `seq` names the report (`PrintReported.seq`, status needs_confirmation) that asked: printing
    ignores the answer to an earlier question than the one that is open.
    """

    TYPE: ClassVar[str] = "tongban.print.confirmed.v1"

    order_id: str
    seq: int = Field(description="of the report that asked, within the order")
    printed: bool = Field(description="whether the sheet came out of the printer")
    by: str = Field(description="the lobby manager's id, or operator")
    at: Moment


class PrintReported(Body):
    """What became of a print order, and of its document. On documents.printed, by printing."""

    TYPE: ClassVar[str] = "tongban.print.reported.v1"

    order_id: str
    document: DocumentRef | None = None
    kiosk_id: str
    branch_id: str
    copy_number: int
    status: PrintStatus
    seq: int = Field(description="counts from 1 within the order")
    at: Moment
    reason: str | None = None
    item_name: str | None = Field(None, description="beside `sealed`, for the message")
    sealed: Sealed | None = Field(
        None,
        description="has the part `applicant`; only where no paper will come, so that notify can "
        "tell the applicant",
    )


class DocumentStored(Body):
    """A request's document can be fetched. On documents.printed, by printing."""

    TYPE: ClassVar[str] = "tongban.document.stored.v1"

    document: DocumentRef
    at: Moment


class NotificationReported(Body):
    """What became of a message. On notifications.sent, by notify."""

    TYPE: ClassVar[str] = "tongban.notification.reported.v1"

    reference: str
    template: str
    channel: Literal["sms", "mail"]
    status: Literal["sent", "refused", "suppressed", "held"]
    provider: str | None = None
    at: Moment
    reason: str | None = None


class FeedbackRated(Body):
    """How the applicant found it (好差评). On feedback.rated, by intake.

    A request is rated once. Two replicas that take a rating each at the same moment write two
    events under one CloudEvents id: readers count the first of an id.
    """

    TYPE: ClassVar[str] = "tongban.feedback.rated.v1"

    grade: int = Field(ge=1, le=5)
    words: str | None = Field(None, description="not written any more: see `sealed`")
    sealed: Sealed | None = Field(
        None, description="has the part `words`: what the applicant wrote, where anything"
    )
    at: Moment
    item_code: str
    province: str
    branch_id: str
    command_id: str | None = Field(
        None, description="names the command and its body; a repeat has the same"
    )


MODELS: dict[str, type[Body]] = {
    model.TYPE: model
    for model in (
        RequestSubmitted,
        SupplementHanded,
        WithdrawalAsked,
        OperatorDecision,
        RepublishRequested,
        ProvinceCall,
        ProvinceOutcome,
        ProvinceNotice,
        RequestStatus,
        RequestCompleted,
        TimerDue,
        PrintOrdered,
        PrintConfirmed,
        PrintReported,
        DocumentStored,
        NotificationReported,
        FeedbackRated,
    )
}
"""Every event type that may stand on a topic, and its model."""
