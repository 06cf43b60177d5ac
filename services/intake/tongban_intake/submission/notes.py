"""Notes for the applicant of an accepted request: codes in events, texts for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tongban_common.catalogue import Item
from tongban_common.catalogue.holidays import Holidays
from tongban_common.clock import CHINA
from tongban_common.events.models import SubmissionNote
from tongban_intake.submission.repeats import Lately
from tongban_intake.text import Language, Text

OUTSIDE_HOURS = "outside_hours"
DUPLICATE = "duplicate_in_progress"
_DAYS_ZH = "一二三四五六日"


def outside_hours(item: Item, now: datetime, holidays: Holidays) -> SubmissionNote | None:
    """Return the note that the item is outside its service hours now; None within them."""
    if holidays.is_open(item.hours, now):
        return None
    try:
        opens_at = holidays.next_opening(item.hours, now)
    except ValueError:  # no opening within weeks: the note has no time
        opens_at = None
    return SubmissionNote(code=OUTSIDE_HOURS, opens_at=opens_at)


def closed_now(item: Item, now: datetime, holidays: Holidays) -> Text | None:
    """Return what to say before a person fills in a form outside of the item's service hours; None
    within them."""
    note = outside_hours(item, now, holidays)
    if note is None:
        return None
    if note.opens_at is None:
        return Text(
            "现在不在办理时间内。可以先提交，开始办理后会通知您，不用在这里等。",
            "It is outside service hours now. You may submit your request; you will hear when it "
            "is handled, and there is no need to wait here.",
        )
    zh, en = _moment(note.opens_at.astimezone(CHINA))
    return Text(
        f"现在不在办理时间内。可以先提交，预计{zh}开始办理，不用在这里等。",
        f"It is outside service hours now. You may submit your request; it is expected to be "
        f"handled from {en}, and there is no need to wait here.",
    )


def duplicate(other: Lately, *, branch_id: str) -> SubmissionNote:
    """Return the note that the same applicant has the same item in progress. It names the other
    request if that is of the same branch. The name stays in the memory of this process, for a
    signed-in lobby manager (see `published` and `words`)."""
    own = other.request_id if other.branch_id == branch_id else None
    return SubmissionNote(code=DUPLICATE, other_request_id=own)


def published(note: SubmissionNote) -> SubmissionNote:
    """Return the note for the topic: without the id of the other request, which every reader of the
    topic would learn."""
    return note.model_copy(update={"other_request_id": None})


def words(
    submission_notes: Iterable[SubmissionNote], language: Language, *, lobby_manager: bool = False
) -> list[str]:
    """Return the texts of notes, without those whose code only a newer version knows. Another
    request's id is shown to a signed-in lobby manager only, even if an older version published
    it."""
    shown = submission_notes if lobby_manager else map(published, submission_notes)
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


def _moment(at: datetime) -> tuple[str, str]:
    zh = f"{at.month}月{at.day}日（星期{_DAYS_ZH[at.weekday()]}）{at:%H:%M}"
    return zh, f"{at:%A}, {at.day} {at:%B} at {at:%H:%M}"
