"""Make the texts of messages. Pure: templates, masking, the length of an SMS.

A text contains no ID number, and only the first character of the person's name, because other
people see a phone and phones change hands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from tongban_common.domain.ids import derived_id, pseudonym
from tongban_common.domain.phones import phone_number
from tongban_common.domain.status import Status

LONGEST = 134
"""UTF-16 code units of two concatenated messages in UCS-2, 67 each (3GPP TS 23.040, 9.2.3.24.1)."""
_SIGNATURE = "【政务通办】"
_ITEM_LONGEST = 30
_DIGITS = "0-9０-９一二三四五六七八九零〇○幺壹贰叁肆伍陆柒捌玖"
_NUMBERS = re.compile(
    rf"[{_DIGITS}A-Za-zＡ-Ｚａ-ｚ]{{11,}}|[{_DIGITS}](?:[ 　-]?[{_DIGITS}Xx]){{10,}}"
)
"""ID, phone and account numbers in any spelling. All have eleven characters or more, and no number
that a reason needs is that long."""


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

_TEXTS = {
    MessageTemplate.NEEDS_SUPPLEMENT: "需要补正{reason}，请到银行网点一体机补交材料。",
    MessageTemplate.REJECTED: "未获通过{reason}。如有疑问请咨询网点大堂经理。",
    MessageTemplate.WITHDRAWN: "已撤回{reason}。",
    MessageTemplate.EXPIRED: "超过办理期限，已终止{reason}。如仍需办理请重新提交。",
    MessageTemplate.FAILED: "未能办理成功{reason}。请到网点咨询大堂经理。",
    MessageTemplate.NOT_PRINTED: "已办结，但证明未能打印{reason}。请到网点咨询大堂经理。",
}


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


def completed_text(applicant: MessageApplicant, item: str, *, on_paper: bool) -> str:
    """Return the text of a completion, which mentions the kiosk's paper without promising it.

    The printer may be empty, and a document may turn out to be unprintable.
    """
    outcome = (
        "证明将在一体机打印，请及时取走；如未出纸请咨询大堂经理"
        if on_paper
        else "办理结果可在一体机上查看"
    )
    return _text(applicant, item, f"已办结，{outcome}。", reason=None)


def status_text(
    applicant: MessageApplicant, item: str, template: MessageTemplate, reason: str | None
) -> str:
    """Return the text of any other status, with the reason."""
    return _text(applicant, item, _TEXTS[template], reason=reason)


def _text(applicant: MessageApplicant, item: str, pattern: str, *, reason: str | None) -> str:
    contact = applicant.contact
    whom = contact.masked if contact else ""
    whose = "贵单位" if applicant.type == "company" else "您"
    start = f"{_SIGNATURE}{whom}您好，{whose}申请的“{_cut(item, _ITEM_LONGEST)}”"
    why = _discreet(reason or "", applicant).strip("。，；：:;,. ")
    room = LONGEST - _units(start + pattern.format(reason="")) - 1
    return start + pattern.format(reason=f"：{_cut(why, room)}" if why and room > 0 else "")


def _discreet(reason: str, applicant: MessageApplicant) -> str:
    """Return the text of a province or an operator without numbers and the applicant's names."""
    contact = applicant.contact
    for name in (applicant.name, contact.name if contact else ""):
        if len(name) > 1:
            spelt = r"\s*".join(map(re.escape, name))
            reason = re.sub(spelt, f"{name[:1]}**".replace("\\", r"\\"), reason)
    return _NUMBERS.sub("****", reason)


def _cut(text: str, longest: int) -> str:
    """Return at most `longest` UTF-16 code units, including an ellipsis, of whole characters."""
    if _units(text) <= longest:
        return text
    while text and _units(text) + 1 > longest:
        text = text[:-1]
    return text + "…"


def _units(text: str) -> int:
    return len(text.encode("utf-16-be")) // 2
