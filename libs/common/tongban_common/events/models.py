"""The bodies of all events, versioned in their type.

Changes are additive only: the golden schemas under tests/unit/common/golden hold every version that
was ever published, and tests/unit/common/test_events.py compares.

A field without a value is left out of the JSON, so every field that may be None has None as its
default.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

# Every moment from a topic is bounded, so that 9999-12-31 makes no reader overflow.
from tongban_common.domain.moments import Moment
from tongban_common.domain.status import CallKind, OutcomeKind, PrintStatus, Status


class Part(BaseModel):
    """Base of bodies and their parts. Unknown fields are ignored, so that an older reader works."""

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
    with, whatever version is published meanwhile."""

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
    """The kiosk, the branch, the channel and the lobby manager of a submission."""

    kiosk_id: str
    branch_id: str
    channel: Literal["self_service", "assisted"]
    assistant: str | None = Field(None, description="the lobby manager's id where assisted")
    assistant_proved: bool = Field(
        default=False,
        description="true if the lobby manager had signed in; false if only the kiosk named them",
    )


class ApplicantFacts(Part):
    """Facts about an applicant for analysts, none of which identifies a person."""

    type: Literal["person", "company"]
    pseudonym: str
    region: str | None = Field(None, description="first two digits of the ID number's region")
    age_band: str | None = None


class SubmissionNote(Part):
    """A note to the applicant at the submission: a code and its facts. Intake makes the text when
    it shows the note, in the language of the reader."""

    code: str = Field(description="outside_hours or duplicate_in_progress; readers ignore others")
    opens_at: Moment | None = Field(None, description="business time of the next opening")
    other_request_id: str | None = Field(
        None, description="the request in progress, if it is of the same branch"
    )


class DocumentRef(Part):
    """The reference of a document in the store (claim check): its bytes are never on a topic."""

    document_id: str
    title: str = Field(description="made of the item's name; never a province's own words")
    pages: int
    sha256: str


class Body(Part):
    """Base of the bodies. `TYPE` is the CloudEvents type."""

    TYPE: ClassVar[str]

    request_id: str


class RequestSubmitted(Body):
    """A kiosk has handed in a request. On requests.submitted, by intake."""

    TYPE: ClassVar[str] = "tongban.request.submitted.v1"

    item: ItemSnapshot
    origin: Origin
    applicant: ApplicantFacts
    print: bool = Field(description="true if the kiosk prints the document")
    submitted_at: Moment = Field(description="business time")
    deadline: Moment = Field(description="business time after which nothing may act")
    body_digest: str = Field(description="keyed; another body under the same key has another")
    notes: list[SubmissionNote] | None = Field(None, description="absent if there was none")
    sealed: Sealed


class SupplementHanded(Body):
    """The applicant has supplied what the province asked for. On requests.commands, by intake."""

    TYPE: ClassVar[str] = "tongban.request.supplement.v1"

    command_id: str
    at: Moment
    by: str
    sealed: Sealed = Field(description="has the part `supplement`")


class WithdrawalAsked(Body):
    """The applicant withdraws the request. On requests.commands, by intake."""

    TYPE: ClassVar[str] = "tongban.request.withdrawal.v1"

    command_id: str
    at: Moment
    by: str


class OperatorDecision(Body):
    """An operator resumes or ends a held request. On requests.commands."""

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
    """An operator rebuilds the read model and needs this request's history. On requests.commands;
    the router publishes it on requests.status, marked `republished`."""

    TYPE: ClassVar[str] = "tongban.request.republish.v1"

    command_id: str
    at: Moment
    by: str


class ProvinceCall(Body):
    """A call for a province's connector. On province.<code>.requests, by the router."""

    TYPE: ClassVar[str] = "tongban.province.call.v1"

    call: CallKind
    call_id: str = Field(description="identifies the call; a repeat has the same")
    item: ItemSnapshot
    not_after: Moment = Field(description="business time after which it must not be sent")
    receipt: str | None = Field(None, description="no longer written: see `sealed`")
    closing: bool = Field(default=False, description="true: the deadline passed, so withdraw it")
    number: int | None = Field(None, description="of a supplement: its number, from 1")
    sealed: Sealed = Field(
        description="the request's parts, and the part `receipt` if the province gave a number"
    )


class ProvinceOutcome(Body):
    """The outcome of a call. On requests.outcomes, by the connectors."""

    TYPE: ClassVar[str] = "tongban.province.outcome.v1"

    province: str
    call: CallKind
    call_id: str
    not_sent: bool | None = Field(
        None,
        description="of held: true if the call has certainly not taken effect; absent: unknown",
    )
    outcome: OutcomeKind
    at: Moment
    reason: str | None = Field(
        None, description="a text of ours, in Chinese; the province's own words are sealed"
    )
    cause: str | None = Field(None, description="closed, down, throttled or a fault, for operators")
    receipt: str | None = Field(None, description="no longer written: see `sealed`")
    until: Moment | None = Field(None, description="when the connector goes on, if known")
    documents: list[DocumentRef] = []
    sealed: Sealed | None = Field(
        None,
        description="the parts `result` when completed, `reason` (the province's or an operator's "
        "words) and `receipt`, as far as there are any",
    )


class ProvinceNotice(Body):
    """A province's signed callback about a request. On requests.outcomes, by connectors.

    It changes no state by itself: the router queries the province, and that answer counts.
    """

    TYPE: ClassVar[str] = "tongban.province.notice.v1"

    province: str
    notice_id: str = Field(
        description="the province's number of this notice; a repeat has the same"
    )
    at: Moment = Field(description="business time of its arrival")


class RequestStatus(Body):
    """One entry of a request's history. On requests.status, by the router.

    `seq` counts from 1 within the request; an entry with the same `seq` always has the same
    content.
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
        default=False, description="true for a remark in the timeline: the status is unchanged"
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
        None,
        description="of needs_supplement: number of earlier supplements; absent if none",
    )
    republished: bool | None = Field(
        None,
        description="true if published again to rebuild a read model; notify sends no message",
    )
    sealed: Sealed = Field(
        description="the request's parts; the part `reason` belongs to this entry alone"
    )


class RequestCompleted(Body):
    """A province has completed a request. On requests.completed, by the router."""

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
    """A timer of a request is due. On router.timers, by and for the router."""

    TYPE: ClassVar[str] = "tongban.router.timer.v1"

    due: Moment


class PrintOrdered(Body):
    """A person orders a further copy, or a copy at another kiosk. On print.orders, by intake."""

    TYPE: ClassVar[str] = "tongban.print.ordered.v1"

    order_id: str
    document_id: str | None = Field(None, description="None: the request's only document")
    kiosk_id: str
    branch_id: str | None = Field(None, description="the kiosk's branch")
    copy_number: int = Field(description="the first print is 1, so a reprint starts at 2")
    at: Moment
    by: str


class PrintConfirmed(Body):
    """A lobby manager confirms or denies that a sheet was printed. On print.orders, by intake.

    `seq` names the report with the question (`PrintReported.seq`, status needs_confirmation):
    printing ignores answers to any question but the open one.
    """

    TYPE: ClassVar[str] = "tongban.print.confirmed.v1"

    order_id: str
    seq: int = Field(description="of the report with the question, within the order")
    printed: bool = Field(description="true if the sheet came out of the printer")
    by: str = Field(description="the lobby manager's id, or operator")
    at: Moment


class PrintReported(Body):
    """The status of a print order. On documents.printed, by printing."""

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
    """The result of a message. On notifications.sent, by notify."""

    TYPE: ClassVar[str] = "tongban.notification.reported.v1"

    reference: str
    template: str
    channel: Literal["sms", "mail"]
    status: Literal["sent", "refused", "suppressed", "held"]
    provider: str | None = None
    at: Moment
    reason: str | None = None


class FeedbackRated(Body):
    """The applicant's rating of a request (好差评). On feedback.rated, by intake.

    A request is rated once. Two replicas that accept a rating at the same moment write two events
    with one CloudEvents id: readers count the first of an id.
    """

    TYPE: ClassVar[str] = "tongban.feedback.rated.v1"

    grade: int = Field(ge=1, le=5)
    words: str | None = Field(None, description="no longer written: see `sealed`")
    sealed: Sealed | None = Field(
        None, description="has the part `words`: the applicant's comment, if any"
    )
    at: Moment
    item_code: str
    province: str
    branch_id: str
    command_id: str | None = Field(
        None, description="identifies the command and its body; a repeat has the same"
    )


MODELS: dict[str, type[Body]] = {model.TYPE: model for model in Body.__subclasses__()}
"""The model of every event type."""
