"""The bodies of the events of notify."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tongban_common.domain.moments import Moment
from tongban_common.events.models.base import NONE, PSEUDONYMOUS, Body


class NotificationReported(Body):
    """The result of a message. On notifications.sent, by notify."""

    TYPE: ClassVar[str] = "tongban.notification.reported.v1"

    reference: str = Field(
        description="Id of the message at every provider: a UUID that follows from the request, "
        "the template and a keyed digest of the recipient.",
        json_schema_extra=PSEUDONYMOUS,
    )
    template: str = Field(
        description="completed, needs_supplement, rejected, withdrawn, expired, failed or "
        "not_printed; readers accept others.",
        json_schema_extra=NONE,
    )
    channel: Literal["sms", "mail"] = Field(
        description="The way of the message. Only sms is written today.", json_schema_extra=NONE
    )
    status: Literal["sent", "refused", "suppressed", "held"] = Field(
        description="sent: a provider accepted it; refused: every provider refused it; "
        "suppressed: it was not sent on purpose; held: it waits for an operator, "
        "and another report follows.",
        json_schema_extra=NONE,
    )
    provider: str | None = Field(
        None,
        description="The provider that accepted or refused it; absent if none was tried.",
        json_schema_extra=NONE,
    )
    at: Moment = Field(description="Business time of the result.", json_schema_extra=NONE)
    reason: str | None = Field(
        None,
        description="Why it was suppressed or is held, as a text of ours; absent otherwise.",
        json_schema_extra=NONE,
    )
