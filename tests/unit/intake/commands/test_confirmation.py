"""A lobby manager's answer to whether a sheet came out; and one rating of each request."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.intake.kit import KEYS, SECRET, Topic, kiosk
from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.events import decode
from tongban_common.events.models import FeedbackRated, PrintConfirmed
from tongban_common.events.publisher import EventPublisher
from tongban_intake.access.tokens import Kiosk
from tongban_intake.commands import rules
from tongban_intake.commands.models import Confirmation, Print, Rating
from tongban_intake.commands.service import CommandService
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.readmodel.openness import _LONGEST_SILENCE, _still_to_come
from tongban_intake.readmodel.projection import changes
from tongban_intake.readmodel.record import RequestRecord

CLOCK = BusinessClock.real()
AT = CLOCK.now().isoformat()
MANAGER = kiosk(assistant="lm-1", assistant_epoch=1)
OUT, NOT_OUT = Confirmation(printed=True), Confirmation(printed=False)


def report(status: str, **more: Any) -> dict[str, Any]:
    line = {"document_id": "d-1", "copy": 1, "kiosk_id": "kiosk-001", "status": status, "at": AT}
    return {**line, **more}


class Desk:
    """Replicas of the follow-ups over one read model, which follows the topic when it is told."""

    def __init__(self, status: str = "needs_confirmation") -> None:
        self.topic = Topic()
        self.document: dict[str, Any] = {
            "_id": "r-1",
            "timeline": {"000001": {"seq": 1, "at": AT, "status": "completed", "by": "router"}},
            "item": {
                "code": "1", "version": 1, "name": "n", "category": "c", "province": "340000",
                "kind": "print", "promised_days": 1,
            },
            "sealed": KEYS.seal("r-1", {"applicant": {"name": "张三"}}).model_dump(),
            "documents": {"d-1": {"title": "t", "pages": 1, "sha256": "ab" * 32}},
            "orders": {"o-1": {"000001": report("queued"), "000004": report(status)}},
        }  # fmt: skip
        self.replicas = [self._replica(), self._replica()]

    def _replica(self) -> CommandService:
        unused: Any = None
        return CommandService(
            id_secret=SECRET,
            read_model=self,  # type: ignore[arg-type]
            copies=unused,
            catalogue_index=unused,
            checker=unused,
            keys=KEYS,
            publisher=EventPublisher(self.topic, "test"),
            clock=CLOCK,
        )

    async def get(self, _: str) -> RequestRecord:
        return RequestRecord(self.document)

    async def confirms(
        self,
        who: Kiosk = MANAGER,
        order_id: str = "o-1",
        wanted: Confirmation = OUT,
        *,
        key: str = "key-00001",
        replica: int = 0,
    ) -> str:
        asked = self.replicas[replica].command(
            who, "r-1", f"confirmation of {order_id}", key, wanted.model_dump()
        )
        return await self.replicas[replica].confirm(asked, order_id, wanted)

    async def rates(self, *, key: str = "rate-0001", replica: int = 0, grade: int = 5) -> str:
        rating = Rating(grade=grade)
        commands = self.replicas[replica]
        asked = commands.command(kiosk(), "r-1", "rating", key, rating.model_dump())
        return await commands.rate(asked, rating)

    def project(self) -> None:
        events = [decode(each.value, each.headers) for each in self.topic.records]
        for change in changes(events).values():
            for path, value in change.fields.items():
                at = self.document
                *steps, last = path.split(".")
                for step in steps:
                    at = at.setdefault(step, {})
                at[last] = value


async def refused(answer: Any, kind: Kind) -> None:
    with pytest.raises(ProblemError) as problem:
        await answer
    assert problem.value.kind is kind


@pytest.mark.parametrize("wanted", [OUT, NOT_OUT])
async def test_answer_of_a_lobby_manager_goes_to_printing_with_the_question_it_answers(
    wanted: Confirmation,
) -> None:
    desk = Desk()
    await desk.confirms(wanted=wanted)
    (record,) = desk.topic.records
    body = decode(record.value, record.headers).body
    assert isinstance(body, PrintConfirmed)
    assert record.topic == topics.PRINT_ORDERS
    assert (body.order_id, body.seq, body.printed, body.by) == ("o-1", 4, wanted.printed, "lm-1")


async def test_answer_without_a_sign_in_is_forbidden() -> None:
    desk = Desk()
    await refused(desk.confirms(kiosk()), Kind.FORBIDDEN)
    assert desk.topic.records == []


@pytest.mark.parametrize("status", ["queued", "waiting_for_printer", "printed", "expired"])
async def test_answer_to_an_order_that_asks_nothing_is_a_conflict(status: str) -> None:
    await refused(Desk(status).confirms(), Kind.CONFLICT)


async def test_answer_to_an_unknown_order_is_not_found() -> None:
    await refused(Desk().confirms(order_id="o-2"), Kind.NOT_FOUND)


async def test_answer_that_comes_again_is_the_same_answer() -> None:
    desk = Desk()
    first = await desk.confirms()
    assert await desk.confirms() == first
    desk.project()
    assert await desk.confirms(replica=1) == first
    assert len(desk.topic.records) == 1
    await refused(desk.confirms(wanted=NOT_OUT), Kind.KEY_REUSED)


async def test_second_answer_to_one_question_is_a_conflict() -> None:
    desk = Desk()
    await desk.confirms()
    desk.project()
    await refused(desk.confirms(wanted=NOT_OUT, key="key-00002", replica=1), Kind.CONFLICT)
    desk.document["orders"]["o-1"]["000006"] = report("needs_confirmation")
    await desk.confirms(key="key-00003", replica=1)
    assert len(desk.topic.records) == 2


@pytest.mark.parametrize(
    ("status", "manager", "allowed"),
    [
        ("needs_confirmation", True, True),
        ("needs_confirmation", False, False),
        ("queued", True, False),
        ("printed", False, True),
    ],
)
async def test_print_again_while_a_question_is_open_is_for_a_lobby_manager(
    status: str, manager: bool, allowed: bool
) -> None:
    record = await Desk(status).get("r-1")
    try:
        rules.document_to_print(record, Print(), kiosk_id="kiosk-001", lobby_manager=manager)
    except ProblemError as problem:
        assert problem.kind is Kind.CONFLICT
        assert not allowed
    else:
        assert allowed


async def test_order_that_nobody_reports_on_keeps_no_key_for_ever() -> None:
    (order,) = (await Desk().get("r-1")).orders
    assert _still_to_come(order, CLOCK.now())
    assert not _still_to_come(order, CLOCK.now() + _LONGEST_SILENCE + timedelta(minutes=1))
    (printed,) = (await Desk("printed").get("r-1")).orders
    assert not _still_to_come(printed, CLOCK.now())


async def test_two_ratings_of_one_request_have_one_event_id() -> None:
    desk = Desk()
    await desk.rates()
    await desk.rates(key="rate-0002", replica=1, grade=1)
    events = [decode(each.value, each.headers) for each in desk.topic.records]
    assert len(events) == 2
    assert len({event.id for event in events}) == 1
    assert isinstance(events[0].body, FeedbackRated)


async def test_rating_that_comes_again_at_another_replica_is_recognised() -> None:
    desk = Desk()
    first = await desk.rates()
    desk.project()
    assert await desk.rates(replica=1) == first
    assert len(desk.topic.records) == 1
    await refused(desk.rates(key="rate-0002", replica=1), Kind.CONFLICT)
