"""What is told beside a 202: when it will be handled, and that the same is in progress already."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.intake.kit import Door, Readable, body, kiosk
from tongban_common.catalogue import Item
from tongban_common.catalogue.holidays import load_holidays
from tongban_common.clock import CHINA
from tongban_common.events.models import SubmissionNote
from tongban_intake import applicants
from tongban_intake.applicants import applying_key
from tongban_intake.lru_cache import LruCache
from tongban_intake.readmodel.projection import CLOSED
from tongban_intake.submission import notes
from tongban_intake.submission.accept import receipt
from tongban_intake.submission.repeats import (
    NO_ANSWER,
    NOTHING_KNOWN,
    KnownRequest,
    Lately,
    Lookup,
    LookupQuery,
)
from tongban_ops.catalogue.loader import load

CATALOGUE = Path(__file__).parents[4] / "catalogue"
HOLIDAYS = load_holidays(CATALOGUE)
SECRET = "s" * 32


@pytest.fixture(scope="module")
def office() -> Item:
    """An item of office hours, 9 to 17 on working days."""
    return next(item for item in load(CATALOGUE) if item.hours.text == "工作日 9:00—17:00")


@pytest.mark.parametrize(
    ("moment", "zh", "en"),
    [
        ("2026-03-06T17:00", "3月9日（星期一）09:00", "Monday, 9 March at 09:00"),
        ("2026-03-09T03:00", "3月9日（星期一）09:00", "Monday, 9 March at 09:00"),
        ("2026-10-01T10:00", "10月8日（星期四）09:00", "Thursday, 8 October at 09:00"),
        ("2026-02-13T18:00", "2月14日（星期六）09:00", "Saturday, 14 February at 09:00"),
    ],
)
def test_request_outside_hours_gets_a_note_with_the_opening_time(
    office: Item, moment: str, zh: str, en: str
) -> None:
    now = datetime.fromisoformat(moment).replace(tzinfo=CHINA)
    note = notes.outside_hours(office, now, HOLIDAYS)
    assert note is not None
    assert zh in notes.words([note], "zh")[0]
    assert en in notes.words([note], "en")[0]
    # Before the form is filled in, the page says so as well, and that it can be submitted.
    closed = notes.closed_now(office, now, HOLIDAYS)
    assert closed is not None and zh in closed.zh and en in closed.en
    assert "可以先提交" in closed.zh
    # What is read back from an event says the same, whatever zone it was written in.
    again = SubmissionNote.model_validate_json(note.model_dump_json())
    assert notes.words([again], "zh") == notes.words([note], "zh")


@pytest.mark.parametrize("moment", ["2026-03-06T16:59", "2026-02-14T09:00"])
def test_request_within_hours_gets_no_note(office: Item, moment: str) -> None:
    now = datetime.fromisoformat(moment).replace(tzinfo=CHINA)
    assert notes.outside_hours(office, now, HOLIDAYS) is None
    assert notes.closed_now(office, now, HOLIDAYS) is None


def test_duplicate_is_named_to_a_lobby_manager_of_its_branch_alone() -> None:
    other = Lately("r-1", "branch-01")
    here = notes.duplicate(other, branch_id="branch-01")
    elsewhere = notes.duplicate(other, branch_id="branch-02")
    for language in ("zh", "en"):
        assert "r-1" in notes.words([here], language, lobby_manager=True)[0]
        assert "r-1" not in notes.words([here], language)[0]
        # The words for a stranger do not tell which branch it is, either.
        assert notes.words([here], language) == notes.words([elsewhere], language)
        assert notes.words([elsewhere], language, lobby_manager=True) == notes.words(
            [elsewhere], language
        )


def test_published_note_names_no_other_request() -> None:
    other = Lately("r-1", "branch-01")
    for branch_id in ("branch-01", "branch-02"):
        note = notes.published(notes.duplicate(other, branch_id=branch_id))
        assert note == SubmissionNote(code=notes.DUPLICATE)


def test_id_in_a_note_of_an_older_version_is_not_shown() -> None:
    old = SubmissionNote.model_validate({"code": notes.DUPLICATE, "other_request_id": "r-1"})
    assert "r-1" not in "".join(notes.words([old], "zh") + notes.words([old], "en"))
    assert "相同的事项" in notes.words([old], "zh")[0]


def test_a_note_of_a_newer_version_is_passed_over() -> None:
    assert notes.words([SubmissionNote(code="what_comes_next")], "zh") == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(code=_JSON, applicant=_JSON, kind=_JSON, number=_JSON)
def test_applicant_and_item_are_read_from_any_body(
    code: Any, applicant: Any, kind: Any, number: Any
) -> None:
    made = {"type": kind, "id_type": kind, "id_number": number, "uscc": number}
    for who in (applicant, made, {**made, "type": "company"}):
        found = applicants.applying(SECRET, {"item_code": code, "applicant": who})
        assert found is None or (found < CLOSED and found.startswith(f"{code}:")) or code >= CLOSED


def test_applicant_is_the_person_or_the_company() -> None:
    person = {"type": "person", "id_type": "passport", "id_number": "E1", "phone": "1"}
    company = {"type": "company", "uscc": "U1", "agent": person}

    def key(applicant: dict[str, Any]) -> str | None:
        return applicants.applying(SECRET, {"item_code": "310", "applicant": applicant})

    assert key(person) == key({**person, "phone": "2"})
    assert key(company) == key({**company, "agent": {**person, "id_number": "E2"}})
    assert len({key(person), key(company), key({**person, "id_type": "taiwan_permit"})}) == 3
    assert "E1" not in str(key(person))


def test_recent_requests_expire_and_are_bounded() -> None:
    now = [100.0]
    lately: LruCache[str, Lately] = LruCache(2, seconds=10, monotonic=lambda: now[0])
    for number in range(3):
        lately.put(f"k{number}", Lately(f"r-{number}", "b"))
    assert [lately.get(f"k{number}") is None for number in range(3)] == [True, False, False]
    now[0] += 9
    lately.put("k1", Lately("r-9", "b"))
    now[0] += 2
    assert lately.get("k2") is None
    assert lately.get("k1") == Lately("r-9", "b")


def document(request_id: str, applying: str, branch_id: str = "b") -> dict[str, Any]:
    return {
        "_id": request_id,
        "body_digest": f"digest of {request_id}",
        "applying": applying,
        "origin": {"branch_id": branch_id},
        "applicant": "zhang",
    }


def asking(*documents: dict[str, Any]) -> tuple[Lookup, Readable]:
    readable = Readable(*documents)
    lookup = Lookup(
        readable,  # type: ignore[arg-type]
        seconds=1,
        applicant_of=lambda each: each.get("applicant"),
        complete=lambda: True,
    )
    return lookup, readable


async def test_concurrent_lookups_cost_two_finds() -> None:
    key = applying_key("310", "p")
    lookup, readable = asking(document("r-1", key, "b-1"), document("r-2", "310:q"))
    keys = [key if number % 2 else "310:x" for number in range(40)]
    questions = [LookupQuery(f"n-{number}", keys[number], "zhang") for number in range(40)]
    known = await asyncio.gather(*(lookup.find(question) for question in questions))
    assert readable.calls == [("accepted", 40), ("open_for", 2)]
    assert known == [
        KnownRequest(other=Lately("r-1", "b-1")) if n % 2 else NOTHING_KNOWN for n in range(40)
    ]


async def test_repeat_returns_the_notes_of_the_first() -> None:
    told = {"code": "outside_hours", "opens_at": "2026-03-09T09:00:00+08:00"}
    mine = {**document("r-1", "310:p"), "notes": [told]}
    lookup, _ = asking(mine, document("r-2", "310:p"))
    known = await lookup.find(LookupQuery("r-1", "310:p", "zhang"))
    assert known == KnownRequest(digest="digest of r-1", notes=(told,))


async def test_recent_request_counts_until_its_end_is_projected() -> None:
    lately = Lately("r-1", "b")
    question = LookupQuery("r-2", "310:p", "zhang", lately)
    assert (await asking()[0].find(question)).other == lately
    assert (await asking(document("r-1", "310:p"))[0].find(question)).other == lately
    assert (await asking(document("r-1", CLOSED))[0].find(question)).other is None
    older = document("r-0", "310:p")
    assert (await asking(document("r-1", CLOSED), older)[0].find(question)).other == Lately(
        "r-0", "b"
    )
    itself = LookupQuery("r-1", "310:p", "zhang", lately)
    assert (await asking()[0].find(itself)).other is None


async def test_a_store_that_is_down_says_nothing_and_is_left_alone() -> None:
    lookup, readable = asking()
    readable.down = True
    question = LookupQuery("r-2", "310:p", "zhang", Lately("r-1", "b"))
    assert await lookup.find(question) == NO_ANSWER
    asked = len(readable.calls)
    assert await lookup.find(question) == NO_ANSWER
    assert len(readable.calls) == asked


async def test_unexpected_error_releases_all_waiting_lookups() -> None:
    lookup, readable = asking()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def fails(*_: Any, **__: Any) -> list[dict[str, Any]]:
        begun.set()
        await go_on.wait()
        raise LookupError

    readable.accepted = fails  # type: ignore[method-assign]
    first = asyncio.create_task(lookup.find(LookupQuery("r-1")))
    await begun.wait()
    second = asyncio.create_task(lookup.find(LookupQuery("r-2")))
    await asyncio.sleep(0)  # it has asked, while the first is being answered
    go_on.set()
    async with asyncio.timeout(20):
        assert await asyncio.gather(first, second) == [NO_ANSWER, NO_ANSWER]


async def submitted_twice(
    first: dict[str, Any], second: dict[str, Any], *, projected: bool, branch: int = 1
) -> tuple[Door, tuple[SubmissionNote, ...]]:
    """Hand in one request and then the other; what the second is told. The same kiosk's replica
    accepts both, or another one whose read model has the first."""
    door = Door()
    await door.acceptor.accept(kiosk(), "first-of-the-two", first)
    if projected:
        readable = Readable()
        readable.project(door.last)
        door = Door(readable)
    accepted = await door.acceptor.accept(kiosk(2, branch), "second-of-the-two", second)
    return door, tuple(n for n in accepted.notes if n.code == notes.DUPLICATE)


@pytest.mark.parametrize("projected", [True, False])
@pytest.mark.parametrize("branch", [1, 2])
@pytest.mark.parametrize(
    "stranger",
    [{"name": "李四"}, {"phone": "13900000001"}, {"name": "李四", "phone": "13900000001"}],
)
async def test_stranger_with_the_id_number_of_another_gets_no_note(
    stranger: dict[str, str], branch: int, projected: bool
) -> None:
    door, told = await submitted_twice(body(), body(**stranger), projected=projected, branch=branch)
    assert told == ()
    assert not [n for n in door.last.notes or () if n.code == notes.DUPLICATE]


@pytest.mark.parametrize("projected", [True, False])
async def test_same_applicant_is_told_of_the_request_in_progress_without_its_id(
    projected: bool,
) -> None:
    door, told = await submitted_twice(body(), body(), projected=projected)
    assert [n.code for n in told] == [notes.DUPLICATE]
    published = [n for n in door.last.notes or () if n.code == notes.DUPLICATE]
    assert published == [SubmissionNote(code=notes.DUPLICATE)]
    receipt_zh = receipt("r-2", told, "zh").decode()
    assert "相同的事项" in receipt_zh
    assert told[0].other_request_id is not None
    assert told[0].other_request_id not in receipt_zh
    assert told[0].other_request_id in receipt("r-2", told, "zh", lobby_manager=True).decode()


async def test_applicant_at_another_branch_is_told_without_the_id() -> None:
    _, told = await submitted_twice(body(), body(), projected=True, branch=2)
    assert told == (SubmissionNote(code=notes.DUPLICATE),)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"phone": "+86 138-0000-1234"}, True),
        ({"name": " 张 三 "}, True),
        ({"id_number": "e1"}, True),
        ({"id_number": "E2"}, False),
        ({"id_type": "taiwan_permit"}, False),
        ({"phone": None}, False),
        ({"name": ""}, False),
    ],
)
def test_applicant_is_compared_by_number_name_and_phone_however_they_are_spelt(
    other: dict[str, Any], same: bool
) -> None:
    one = {
        "type": "person", "name": "张三", "id_type": "passport", "id_number": "E1",
        "phone": "13800001234",
    }  # fmt: skip
    mine, theirs = (applicants.digest(SECRET, each) for each in (one, {**one, **other}))
    assert mine is not None
    assert (mine == theirs) is same
    assert "13800001234" not in mine


@given(applicant=_JSON, part=_JSON)
def test_digest_of_an_applicant_is_made_of_any_body(applicant: Any, part: Any) -> None:
    made = dict.fromkeys(("type", "name", "id_type", "id_number", "phone", "agent"), part)
    for who in (applicant, made, {**made, "type": "company", "agent": made}):
        assert isinstance(applicants.digest(SECRET, who), str | None)
