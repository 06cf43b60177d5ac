"""Define messages: their templates, whom they go to, and their names at providers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from tongban_common.domain.ids import derived_id, pseudonym
from tongban_common.domain.phones import phone_number
from tongban_common.domain.status import Status


class MessageTemplate(StrEnum):
    """The templates, with their names at providers and in reports."""

    COMPLETED = "completed"
    NEEDS_SUPPLEMENT = "needs_supplement"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    FAILED = "failed"
    NOT_PRINTED = "not_printed"


OF_STATUS = {
    Status.NEEDS_SUPPLEMENT: MessageTemplate.NEEDS_SUPPLEMENT,
    Status.REJECTED: MessageTemplate.REJECTED,
    Status.WITHDRAWN: MessageTemplate.WITHDRAWN,
    Status.EXPIRED: MessageTemplate.EXPIRED,
    Status.FAILED: MessageTemplate.FAILED,
}
"""The template for each status that causes a message. Completion has its own event, and a sheet
that will never be printed is known by the report of its print order."""


class Contact(BaseModel):
    """The recipient: a name and a mobile number."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    phone: str

    @property
    def masked(self) -> str:
        """Return 张** for 张三丰, and also for 张三: the length is hidden as well."""
        return self.name[:1] + "**"

    @property
    def number(self) -> str:
        """Return the number without spaces, dashes and the code of China."""
        return phone_number(self.phone)


class MessageApplicant(BaseModel):
    """The part `applicant` of the envelope, as far as messages need it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: str
    name: str
    phone: str | None = None
    agent: Contact | None = None

    @property
    def contact(self) -> Contact | None:
        """Return the person, or the agent of the company."""
        if self.type == "company":
            return self.agent
        return None if self.phone is None else Contact(name=self.name, phone=self.phone)


@dataclass(frozen=True, slots=True)
class TextMessage:
    """A message to be sent once.

    `reference` is its name at every provider; `time` distinguishes messages of one template about
    one request (see `reference`).
    """

    reference: str
    request_id: str
    template: MessageTemplate
    to: str
    text: str
    time: int | None = None


def reference(
    secret: str, *, request_id: str, template: MessageTemplate, number: str, time: int | None = None
) -> str:
    """Return the reference of the message of a template about a request to a recipient.

    `time` distinguishes messages that may be sent more than once, such as asking for a second
    supplement. Analysts read the reference on a topic, so the number goes in as a keyed digest:
    without a key all mobile numbers could be tried in an hour.
    """
    recipient = pseudonym(secret, kind="recipient", number=number)
    which = () if time is None else (time,)
    return derived_id("message", request_id, template, recipient, *which)
