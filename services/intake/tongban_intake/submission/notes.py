"""What an applicant is told when a request is accepted: codes for events, and words for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from tongban_common.catalogue import Item
from tongban_common.catalogue.holidays import Holidays
from tongban_common.clock import CHINA
from tongban_common.domain import ids
from tongban_common.events.models import SubmissionNote
from tongban_intake.readmodel.projection import applying_key
from tongban_intake.submission.recent import Lately
from tongban_intake.text import Language, Text

OUTSIDE_HOURS = "outside_hours"
DUPLICATE = "duplicate_in_progress"
_LONGEST = 32
_DAYS_ZH = "一二三四五六日"


def applying(secret: str, body: dict[str, Any]) -> str | None:
    """Who applies for what, by the keyed pseudonym, read from a body that nobody has checked yet;
    None where it does not say."""
    applicant, code = body.get("applicant"), body.get("item_code")
    if not isinstance(applicant, dict):
        return None
    company = applicant.get("type") == "company"
    kind = "uscc" if company else applicant.get("id_type")
    number = applicant.get("uscc" if company else "id_number")
    for each in (code, kind, number):
        if not isinstance(each, str) or not 0 < len(each) <= _LONGEST:
            return None
    return applying_key(code, ids.pseudonym(secret, kind=kind, number=number))  # type: ignore[arg-type]


def outside_hours(item: Item, now: datetime, holidays: Holidays) -> SubmissionNote | None:
    """The note that nobody works on this item at this moment, None where somebody does."""
    if holidays.is_open(item.hours, now):
        return None
    try:
        opens_at = holidays.next_opening(item.hours, now)
    except ValueError:  # hours that do not open in weeks: closed is all that can be told
        opens_at = None
    return SubmissionNote(code=OUTSIDE_HOURS, opens_at=opens_at)


def duplicate(other: Lately, *, branch_id: str) -> SubmissionNote:
    """The note that the same applicant has the same item in progress. It names the other request
    where that is of the same branch: for the memory of this process and a signed-in lobby manager
    alone, see `published` and `words`."""
    own = other.request_id if other.branch_id == branch_id else None
    return SubmissionNote(code=DUPLICATE, other_request_id=own)


def published(note: SubmissionNote) -> SubmissionNote:
    """Return the note as it goes onto the topic: without another request's id, which would open
    that request to every reader."""
    return note.model_copy(update={"other_request_id": None})


def words(
    told: Iterable[SubmissionNote], language: Language, *, lobby_manager: bool = False
) -> list[str]:
    """Return notes as a person reads them, without those whose code is of a newer version. Only a
    signed-in lobby manager reads another request's id, also where an older version published it."""
    shown = told if lobby_manager else map(published, told)
    return [text.in_(language) for note in shown if (text := _text(note)) is not None]


def _text(note: SubmissionNote) -> Text | None:
    match note.code:
        case "outside_hours" if note.opens_at is not None:
            zh, en = _moment(note.opens_at.astimezone(CHINA))
            return Text(
                f"现在不在办理时间内。您的申请已经收下，预计{zh}开始办理，不用在这里等。",
                f"It is outside service hours now. Your request has been accepted and is expected "
                f"to be handled from {en}; there is no need to wait here.",
            )
        case "outside_hours":
            return Text(
                "现在不在办理时间内。您的申请已经收下，开始办理后会通知您，不用在这里等。",
                "It is outside service hours now. Your request has been accepted; you will hear "
                "when it is handled, and there is no need to wait here.",
            )
        case "duplicate_in_progress" if note.other_request_id is not None:
            return Text(
                f"您还有一件相同的事项正在办理（办件编号 {note.other_request_id}）。"
                "这一件也收下了；如果是重复提交，撤回其中一件就可以。",
                f"You have another request for the same item in progress (request "
                f"{note.other_request_id}). This one has been accepted as well; if you did not "
                "mean to hand it in twice, withdraw one of them.",
            )
        case "duplicate_in_progress":
            return Text(
                "您还有一件相同的事项正在办理。"
                "这一件也收下了；如果是重复提交，撤回其中一件就可以，需要帮助请找大堂经理。",
                "You have another request for the same item in progress. This one has been "
                "accepted as well; if you did not mean to hand it in twice, withdraw one of them, "
                "or ask the lobby manager.",
            )
        case _:
            return None


@lru_cache(maxsize=256)
def _moment(at: datetime) -> tuple[str, str]:
    zh = f"{at.month}月{at.day}日（星期{_DAYS_ZH[at.weekday()]}）{at:%H:%M}"
    return zh, f"{at:%A}, {at.day} {at:%B} at {at:%H:%M}"
