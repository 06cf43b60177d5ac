"""What is told beside a 202: when it will be handled, and that the same is in progress already."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongban_common.catalogue import Item, load
from tongban_common.catalogue.holidays import load_holidays
from tongban_common.clock import CHINA
from tongban_common.events.models import SubmissionNote
from tongban_common.store import StoreUnavailable
from tongban_intake.readmodel.lookup import NOTHING, Known, Lookup, Question
from tongban_intake.readmodel.projection import CLOSED, applying_key
from tongban_intake.submission import notes
from tongban_intake.submission.recent import Lately, LatelyAccepted

CATALOGUE = Path(__file__).parents[2] / "catalogue"
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
def test_outside_hours_it_is_told_when_they_open(
    office: Item, moment: str, zh: str, en: str
) -> None:
    now = datetime.fromisoformat(moment).replace(tzinfo=CHINA)
    note = notes.outside_hours(office, now, HOLIDAYS)
    assert note is not None
    assert zh in notes.words([note], "zh")[0]
    assert en in notes.words([note], "en")[0]
    # What is read back from an event says the same, whatever zone it was written in.
    again = SubmissionNote.model_validate_json(note.model_dump_json())
    assert notes.words([again], "zh") == notes.words([note], "zh")


@pytest.mark.parametrize("moment", ["2026-03-06T16:59", "2026-02-14T09:00"])
def test_within_hours_nothing_is_told(office: Item, moment: str) -> None:
    now = datetime.fromisoformat(moment).replace(tzinfo=CHINA)
    assert notes.outside_hours(office, now, HOLIDAYS) is None


def test_a_duplicate_is_named_at_its_own_branch_alone() -> None:
    other = Lately("r-1", "branch-01")
    here = notes.words([notes.duplicate(other, branch_id="branch-01")], "zh")[0]
    elsewhere = notes.duplicate(other, branch_id="branch-02")
    assert "r-1" in here
    assert "r-1" not in elsewhere.model_dump_json()
    assert "其他网点" in notes.words([elsewhere], "zh")[0]
    assert "another branch" in notes.words([elsewhere], "en")[0]


def test_a_note_of_a_newer_version_is_passed_over() -> None:
    assert notes.words([SubmissionNote(code="what_comes_next")], "zh") == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(code=_JSON, applicant=_JSON, kind=_JSON, number=_JSON)
def test_who_applies_for_what_is_read_from_any_body(
    code: Any, applicant: Any, kind: Any, number: Any
) -> None:
    made = {"type": kind, "id_type": kind, "id_number": number, "uscc": number}
    for who in (applicant, made, {**made, "type": "company"}):
        found = notes.applying(SECRET, {"item_code": code, "applicant": who})
        assert found is None or (found < CLOSED and found.startswith(f"{code}:")) or code >= CLOSED


def test_who_applies_is_the_person_or_the_company() -> None:
    person = {"type": "person", "id_type": "passport", "id_number": "E1", "phone": "1"}
    company = {"type": "company", "uscc": "U1", "agent": person}

    def key(applicant: dict[str, Any]) -> str | None:
        return notes.applying(SECRET, {"item_code": "310", "applicant": applicant})

    assert key(person) == key({**person, "phone": "2"})
    assert key(company) == key({**company, "agent": {**person, "id_number": "E2"}})
    assert len({key(person), key(company), key({**person, "id_type": "taiwan_permit"})}) == 3
    assert "E1" not in str(key(person))


def test_what_was_accepted_lately_is_forgotten_in_time_and_bounded() -> None:
    now = [100.0]
    lately = LatelyAccepted(seconds=10, size=2, monotonic=lambda: now[0])
    for number in range(3):
        lately.put(f"k{number}", Lately(f"r-{number}", "b"))
    assert [lately.get(f"k{number}") is None for number in range(3)] == [True, False, False]
    now[0] += 9
    lately.put("k1", Lately("r-9", "b"))
    now[0] += 2
    assert lately.get("k2") is None
    assert lately.get("k1") == Lately("r-9", "b")


class Readable:
    """A read model of a few documents."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.documents = documents
        self.calls: list[tuple[str, int]] = []
        self.down = False

    async def accepted(self, request_ids: list[str], *, seconds: float) -> list[dict[str, Any]]:
        assert seconds > 0
        self.calls.append(("accepted", len(request_ids)))
        return self._those("_id", request_ids)

    async def open_for(self, keys: list[str], *, seconds: float) -> list[dict[str, Any]]:
        assert seconds > 0
        self.calls.append(("open_for", len(keys)))
        return self._those("applying", keys)

    def _those(self, field: str, values: list[str]) -> list[dict[str, Any]]:
        if self.down:
            raise StoreUnavailable("down")
        return [each for each in self.documents if each.get(field) in values]


def document(request_id: str, applying: str, branch_id: str = "b") -> dict[str, Any]:
    return {
        "_id": request_id,
        "body_digest": f"digest of {request_id}",
        "applying": applying,
        "origin": {"branch_id": branch_id},
    }


def asking(*documents: dict[str, Any]) -> tuple[Lookup, Readable]:
    readable = Readable(*documents)
    return Lookup(readable, seconds=1), readable  # type: ignore[arg-type]


async def test_all_who_ask_at_once_cost_two_finds() -> None:
    key = applying_key("310", "p")
    lookup, readable = asking(document("r-1", key, "b-1"), document("r-2", "310:q"))
    questions = [Question(f"n-{number}", key if number % 2 else "310:x") for number in range(40)]
    known = await asyncio.gather(*(lookup.ask(question) for question in questions))
    assert readable.calls == [("accepted", 40), ("open_for", 2)]
    assert known == [Known(other=Lately("r-1", "b-1")) if n % 2 else NOTHING for n in range(40)]


async def test_a_repeat_is_told_what_its_first_was() -> None:
    told = {"code": "outside_hours", "opens_at": "2026-03-09T09:00:00+08:00"}
    mine = {**document("r-1", "310:p"), "notes": [told]}
    lookup, _ = asking(mine, document("r-2", "310:p"))
    assert await lookup.ask(Question("r-1", "310:p")) == Known("digest of r-1", (told,))


async def test_what_was_accepted_lately_counts_until_it_is_known_to_be_over() -> None:
    lately = Lately("r-1", "b")
    question = Question("r-2", "310:p", lately)
    assert (await asking()[0].ask(question)).other == lately
    assert (await asking(document("r-1", "310:p"))[0].ask(question)).other == lately
    assert (await asking(document("r-1", CLOSED))[0].ask(question)).other is None
    older = document("r-0", "310:p")
    assert (await asking(document("r-1", CLOSED), older)[0].ask(question)).other == Lately(
        "r-0", "b"
    )
    itself = Question("r-1", "310:p", lately)
    assert (await asking()[0].ask(itself)).other is None


async def test_a_store_that_is_down_says_nothing_and_is_left_alone() -> None:
    lookup, readable = asking()
    readable.down = True
    question = Question("r-2", "310:p", Lately("r-1", "b"))
    assert await lookup.ask(question) == NOTHING
    asked = len(readable.calls)
    assert await lookup.ask(question) == NOTHING
    assert len(readable.calls) == asked


async def test_what_nobody_foresaw_leaves_nobody_waiting() -> None:
    lookup, readable = asking()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def fails(*_: Any, **__: Any) -> list[dict[str, Any]]:
        begun.set()
        await go_on.wait()
        raise LookupError

    readable.accepted = fails  # type: ignore[method-assign]
    first = asyncio.create_task(lookup.ask(Question("r-1")))
    await begun.wait()
    second = asyncio.create_task(lookup.ask(Question("r-2")))
    await asyncio.sleep(0)  # it has asked, while the first is being answered
    go_on.set()
    async with asyncio.timeout(20):
        assert await asyncio.gather(first, second) == [NOTHING, NOTHING]
