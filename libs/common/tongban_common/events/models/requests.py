"""The bodies of the events of requests, from the submission to the rating."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tongban_common.domain.moments import Moment
from tongban_common.domain.status import Status
from tongban_common.events.models.base import NONE, PERSONAL, PSEUDONYMOUS, SEALED, Body, unit
from tongban_common.events.models.objects import (
    ApplicantFacts,
    DocumentRef,
    ItemSnapshot,
    Origin,
    Sealed,
    SubmissionNote,
)

_COMMAND = "Id of the command: a UUID; a repeat has the same."
_COMMANDED_AT = "Business time of the command."
_KIOSK = "Id of the kiosk at which the applicant acted."
_OPERATOR = "Login name of the operator."
_ITEM = "The item, as it was at the submission."
_ORIGIN = "Where and how the request was submitted."
_APPLICANT = "What analysts may know of the applicant."
_SUBMITTED_AT = "Business time at which intake accepted the request."
_PRINT = "True if the kiosk prints the document."
_DIGEST = (
    "Keyed digest of the submitted body: another body under the same idempotency key has another "
    "digest."
)


class RequestSubmitted(Body):
    """A kiosk has handed in a request. On requests.submitted, by intake."""

    TYPE: ClassVar[str] = "tongban.request.submitted.v1"

    item: ItemSnapshot = Field(description=_ITEM, json_schema_extra=NONE)
    origin: Origin = Field(description=_ORIGIN, json_schema_extra=PSEUDONYMOUS)
    applicant: ApplicantFacts = Field(description=_APPLICANT, json_schema_extra=PSEUDONYMOUS)
    print: bool = Field(description=_PRINT, json_schema_extra=NONE)
    submitted_at: Moment = Field(description=_SUBMITTED_AT, json_schema_extra=NONE)
    deadline: Moment = Field(
        description="Business time after which nothing may act on the request.",
        json_schema_extra=NONE,
    )
    body_digest: str = Field(description=_DIGEST, json_schema_extra=PSEUDONYMOUS)
    notes: list[SubmissionNote] | None = Field(
        None,
        description="Notes to the applicant; absent if there was none.",
        json_schema_extra=PSEUDONYMOUS,
    )
    sealed: Sealed = Field(
        description="The parts `applicant` and `form`.", json_schema_extra=SEALED
    )


class SupplementHanded(Body):
    """The applicant has supplied what the province asked for. On requests.commands, by intake."""

    TYPE: ClassVar[str] = "tongban.request.supplement.v1"

    command_id: str = Field(description=_COMMAND, json_schema_extra=PSEUDONYMOUS)
    at: Moment = Field(description=_COMMANDED_AT, json_schema_extra=NONE)
    by: str = Field(description=_KIOSK, json_schema_extra=NONE)
    sealed: Sealed = Field(description="The part `supplement`.", json_schema_extra=SEALED)


class WithdrawalAsked(Body):
    """The applicant withdraws the request. On requests.commands, by intake."""

    TYPE: ClassVar[str] = "tongban.request.withdrawal.v1"

    command_id: str = Field(description=_COMMAND, json_schema_extra=PSEUDONYMOUS)
    at: Moment = Field(description=_COMMANDED_AT, json_schema_extra=NONE)
    by: str = Field(description=_KIOSK, json_schema_extra=NONE)


class OperatorDecision(Body):
    """An operator resumes or ends a held request. On requests.commands."""

    TYPE: ClassVar[str] = "tongban.request.operator.v1"

    command_id: str = Field(description=_COMMAND, json_schema_extra=PSEUDONYMOUS)
    at: Moment = Field(description=_COMMANDED_AT, json_schema_extra=NONE)
    by: str = Field(description=_OPERATOR, json_schema_extra=PERSONAL)
    decision: Literal["resume", "fail"] = Field(
        description="resume: the request goes on; fail: it ends as failed.",
        json_schema_extra=NONE,
    )
    reason: str = Field(
        description="Reason, as a text of ours; the operator's own words are sealed.",
        json_schema_extra=NONE,
    )
    sealed: Sealed | None = Field(
        None,
        description="The part `reason`: the operator's words, for the applicant.",
        json_schema_extra=SEALED,
    )


class RepublishRequested(Body):
    """An operator rebuilds the read model and needs this request's history. On requests.commands;
    the router publishes it on requests.status, marked `republished`."""

    TYPE: ClassVar[str] = "tongban.request.republish.v1"

    command_id: str = Field(description=_COMMAND, json_schema_extra=PSEUDONYMOUS)
    at: Moment = Field(description=_COMMANDED_AT, json_schema_extra=NONE)
    by: str = Field(description=_OPERATOR, json_schema_extra=PERSONAL)


class RequestStatus(Body):
    """One entry of a request's history. On requests.status, by the router.

    `seq` counts from 1 within the request; an entry with the same `seq` always has the same
    content.
    """

    TYPE: ClassVar[str] = "tongban.request.status.v1"

    seq: int = Field(
        description="Number of the entry, from 1 within the request.",
        json_schema_extra=NONE | unit("entries"),
    )
    status: Status = Field(
        description="State of the request from this entry on. completed, rejected, withdrawn, "
        "expired and failed are final.",
        json_schema_extra=NONE,
    )
    at: Moment = Field(description="Business time of the entry.", json_schema_extra=NONE)
    by: str = Field(
        description="Who caused it: the id of the kiosk, router, province or operator.",
        json_schema_extra=NONE,
    )
    reason: str | None = Field(
        None,
        description="Reason, as a text of ours in Chinese; the words of a province or an "
        "operator are sealed.",
        json_schema_extra=NONE,
    )
    cause: str | None = Field(
        None,
        description="Code that says why the request waits (closed, down, throttled, paused, "
        "store), or whose words are sealed (province, operator).",
        json_schema_extra=NONE,
    )
    note: bool = Field(
        default=False,
        description="True for a remark in the timeline: the status is unchanged.",
        json_schema_extra=NONE,
    )
    expected_by: Moment | None = Field(
        None,
        description="Business time by which the next step is expected, if it is known.",
        json_schema_extra=NONE,
    )
    item: ItemSnapshot = Field(description=_ITEM, json_schema_extra=NONE)
    origin: Origin = Field(description=_ORIGIN, json_schema_extra=PSEUDONYMOUS)
    applicant: ApplicantFacts = Field(description=_APPLICANT, json_schema_extra=PSEUDONYMOUS)
    submitted_at: Moment = Field(description=_SUBMITTED_AT, json_schema_extra=NONE)
    print: bool = Field(description=_PRINT, json_schema_extra=NONE)
    body_digest: str = Field(description=_DIGEST, json_schema_extra=PSEUDONYMOUS)
    notes: list[SubmissionNote] | None = Field(
        None,
        description="Notes of the submission; only the entry with `seq` 1 has them.",
        json_schema_extra=PSEUDONYMOUS,
    )
    supplements: int | None = Field(
        None,
        description="With status needs_supplement: number of earlier supplements; absent if "
        "there was none.",
        json_schema_extra=NONE | unit("supplements"),
    )
    republished: bool | None = Field(
        None,
        description="True if the router published the entry again to rebuild a read model; "
        "absent otherwise. Do not count it twice.",
        json_schema_extra=NONE,
    )
    sealed: Sealed = Field(
        description="The request's parts; the part `reason` belongs to this entry alone.",
        json_schema_extra=SEALED,
    )


class RequestCompleted(Body):
    """A province has completed a request. On requests.completed, by the router."""

    TYPE: ClassVar[str] = "tongban.request.completed.v1"

    item: ItemSnapshot = Field(description=_ITEM, json_schema_extra=NONE)
    origin: Origin = Field(description=_ORIGIN, json_schema_extra=PSEUDONYMOUS)
    applicant: ApplicantFacts = Field(description=_APPLICANT, json_schema_extra=PSEUDONYMOUS)
    print: bool = Field(description=_PRINT, json_schema_extra=NONE)
    submitted_at: Moment = Field(description=_SUBMITTED_AT, json_schema_extra=NONE)
    completed_at: Moment = Field(
        description="Business time at which the request was completed.", json_schema_extra=NONE
    )
    documents: list[DocumentRef] = Field(
        default=[],
        description="Documents that the province itself has made. Printing makes the others "
        "after this event and reports them on documents.printed.",
        json_schema_extra=PSEUDONYMOUS,
    )
    waited_for: Literal["applicant", "paused", "closed"] | None = Field(
        None,
        description="What the request waited for that no published time limit covers: a "
        "supplement of the applicant, an operator's pause of the province, or its "
        "closing hours.",
        json_schema_extra=NONE,
    )
    sealed: Sealed = Field(
        description="The parts applicant, form and result.", json_schema_extra=SEALED
    )


class TimerDue(Body):
    """A timer of a request is due. On router.timers, by and for the router."""

    TYPE: ClassVar[str] = "tongban.router.timer.v1"

    due: Moment = Field(
        description="Business time for which the timer was set.", json_schema_extra=NONE
    )


class FeedbackRated(Body):
    """The applicant's rating of a request (好差评). On feedback.rated, by intake.

    A request is rated once. Two replicas that accept a rating at the same moment write two events
    with one CloudEvents id: readers count the first of an id.
    """

    TYPE: ClassVar[str] = "tongban.feedback.rated.v1"

    grade: int = Field(
        ge=1,
        le=5,
        description="The grade: 1 is the worst, 5 the best.",
        json_schema_extra=NONE | unit("grades"),
    )
    words: str | None = Field(
        None, description="No longer written: see `sealed`.", json_schema_extra=PERSONAL
    )
    sealed: Sealed | None = Field(
        None,
        description="The part `words`: the applicant's comment, if there is one.",
        json_schema_extra=SEALED,
    )
    at: Moment = Field(description="Business time of the rating.", json_schema_extra=NONE)
    item_code: str = Field(description="Code of the item in the catalogue.", json_schema_extra=NONE)
    province: str = Field(
        description="GB/T 2260 code of the lead province.", json_schema_extra=NONE
    )
    branch_id: str = Field(
        description="The branch at which the request was rated.", json_schema_extra=NONE
    )
    command_id: str | None = Field(
        None,
        description="Id of the command and its body: a UUID; a repeat has the same.",
        json_schema_extra=PSEUDONYMOUS,
    )
