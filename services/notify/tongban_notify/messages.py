"""What is told to whom: from an event to a message, without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tongban_common.domain.ids import body_digest, derived_id
from tongban_common.domain.status import Status
from tongban_common.events.models import Body, RequestCompleted, RequestStatus, Sealed

_BY_STATUS = {
    Status.NEEDS_SUPPLEMENT: "needs_supplement",
    Status.REJECTED: "rejected",
    Status.WITHDRAWN: "withdrawn",
    Status.EXPIRED: "expired",
    Status.FAILED: "failed",
}
"""Completion has an event of its own; the other states between are no news."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that is due, before its recipient is known."""

    request_id: str
    template: str
    item: str
    sealed: Sealed
    prints: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one recipient. The reference is the same for every provider and repeat."""

    reference: str
    request_id: str
    template: str
    to: str
    text: str


def notice(body: Body) -> Notice | None:
    """The message an event calls for, or None."""
    match body:
        case RequestCompleted():
            prints = body.print
            return Notice(body.request_id, "completed", body.item.name, body.sealed, prints, None)
        case RequestStatus() if not body.note and body.status in _BY_STATUS:
            template = _BY_STATUS[body.status]
            return Notice(
                body.request_id, template, body.item.name, body.sealed, False, body.reason
            )
        case _:
            return None


def message(due: Notice, applicant: dict[str, Any], secret: str) -> Message:
    """Address and word a notice. A company is told through its agent.

    Raises:
        KeyError: the applicant has no phone.
    """
    person = applicant["agent"] if applicant.get("type") == "company" else applicant
    to: str = person["phone"]
    recipient = body_digest(secret, to.encode())
    reference = derived_id("message", due.request_id, due.template, recipient)
    return Message(reference, due.request_id, due.template, to, _text(due, person["name"]))


_TEXTS = {
    "needs_supplement": "需要补充材料{why}。请到任一网点一体机补交。",
    "rejected": "未予办理{why}。",
    "withdrawn": "已撤回。",
    "expired": "已超过办理时限{why}。",
    "failed": "未能办成{why}，请咨询大堂经理。",
}


def _text(due: Notice, name: str) -> str:
    if due.template == "completed":
        where = "证明正在一体机打印，请取走" if due.prints else "可在一体机查看结果"
        said = f"已办结，{where}。"
    else:
        said = _TEXTS[due.template].format(why=f"：{due.reason}" if due.reason else "")
    return f"【政务通办】{name[0]}**，您办理的“{due.item}”{said}"
