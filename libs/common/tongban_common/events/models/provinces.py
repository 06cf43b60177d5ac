"""The bodies of the events between the router and the connectors of provinces."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tongban_common.domain.moments import Moment
from tongban_common.domain.status import CallKind, OutcomeKind
from tongban_common.events.models.base import NONE, PERSONAL, PSEUDONYMOUS, SEALED, Body, unit
from tongban_common.events.models.objects import DocumentRef, ItemSnapshot, Sealed


class ProvinceCall(Body):
    """A call for a province's connector. On province.<code>.requests, by the router."""

    TYPE: ClassVar[str] = "tongban.province.call.v1"

    call: CallKind = Field(description="What the province is asked to do.", json_schema_extra=NONE)
    call_id: str = Field(
        description="Id of the call: a UUID; a repeat has the same.", json_schema_extra=PSEUDONYMOUS
    )
    at: Moment | None = Field(
        None,
        description="Business time of the call; calls of before it was added tell it in `ce_time` "
        "alone.",
        json_schema_extra=NONE,
    )
    item: ItemSnapshot = Field(
        description="The item, as it was at the submission.", json_schema_extra=NONE
    )
    not_after: Moment = Field(
        description="Business time after which the call must not be sent.", json_schema_extra=NONE
    )
    receipt: str | None = Field(
        None, description="No longer written: see `sealed`.", json_schema_extra=PERSONAL
    )
    closing: bool = Field(
        default=False,
        description="True if the deadline has passed, so that the connector withdraws the request.",
        json_schema_extra=NONE,
    )
    number: int | None = Field(
        None,
        description="Number of the supplement, from 1; absent for other calls.",
        json_schema_extra=NONE | unit("supplements"),
    )
    sealed: Sealed = Field(
        description="The request's parts, and the part `receipt` if the province gave a number.",
        json_schema_extra=SEALED,
    )


class ProvinceOutcome(Body):
    """The outcome of a call. On requests.outcomes, by the connectors."""

    TYPE: ClassVar[str] = "tongban.province.outcome.v1"

    province: str = Field(
        description="GB/T 2260 code of the province that was called.", json_schema_extra=NONE
    )
    call: CallKind = Field(description="What the province was asked to do.", json_schema_extra=NONE)
    call_id: str = Field(
        description="The call that this is the outcome of.", json_schema_extra=PSEUDONYMOUS
    )
    not_sent: bool | None = Field(
        None,
        description="With outcome held: true if the call has certainly not taken effect; "
        "absent: unknown.",
        json_schema_extra=NONE,
    )
    outcome: OutcomeKind = Field(
        description="accepted, needs_supplement, completed, rejected and withdrawn are answers "
        "of the province; waiting, not_sent and held are the connector's own.",
        json_schema_extra=NONE,
    )
    at: Moment = Field(description="Business time of the outcome.", json_schema_extra=NONE)
    reason: str | None = Field(
        None,
        description="Reason, as a text of ours in Chinese; the province's own words are sealed.",
        json_schema_extra=NONE,
    )
    cause: str | None = Field(
        None,
        description="closed, down, throttled or a fault, for operators; province if its words "
        "are sealed.",
        json_schema_extra=NONE,
    )
    receipt: str | None = Field(
        None, description="No longer written: see `sealed`.", json_schema_extra=PERSONAL
    )
    until: Moment | None = Field(
        None,
        description="Business time at which the connector goes on, if it is known.",
        json_schema_extra=NONE,
    )
    documents: list[DocumentRef] = Field(
        default=[],
        description="Documents that the province itself has made; often empty.",
        json_schema_extra=PSEUDONYMOUS,
    )
    sealed: Sealed | None = Field(
        None,
        description="The parts `result` when completed, `reason` (the province's or an "
        "operator's words) and `receipt`, as far as there are any.",
        json_schema_extra=SEALED,
    )


class ProvinceNotice(Body):
    """A province's signed callback about a request. On requests.outcomes, by connectors.

    It changes no state by itself: the router queries the province, and that answer counts.
    """

    TYPE: ClassVar[str] = "tongban.province.notice.v1"

    province: str = Field(
        description="GB/T 2260 code of the province that called back.", json_schema_extra=NONE
    )
    notice_id: str = Field(
        description="The province's number of this notice; a repeat has the same.",
        json_schema_extra=PSEUDONYMOUS,
    )
    at: Moment = Field(description="Business time of its arrival.", json_schema_extra=NONE)
