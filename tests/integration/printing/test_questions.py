"""Answers to the lobby manager's questions on a real store, and with printing as a process."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tests.e2e import published_checking
from tests.e2e.plain_reading import all_records
from tests.integration.outside_kit import BIN, CLOCK, Outside, fresh_id, outside
from tests.integration.printing.questions_kit import answer_to, open_question, stands_at
from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import DocumentRef, PrintConfirmed
from tongban_common.exit_codes import EX_NOINPUT
from tongban_common.process import Stopping
from tongban_common.store import Store
from tongban_kafka import Poison
from tongban_printing.domain.orders import PrinterJob, SpooledOrder, asked, new_order, sent_to
from tongban_printing.printrun import PrintDependencies
from tongban_printing.questions import Questions
from tongban_printing.spool.store import Spool

LIMIT = timedelta(days=7)


class Offered:
    """The outbox, which is told of orders with new reports."""

    def __init__(self) -> None:
        self.orders: list[SpooledOrder] = []

    def offer(self, order: SpooledOrder) -> None:
        self.orders.append(order)


class Desk:
    """One order with an open question, and what answers it."""

    def __init__(self, database: Store) -> None:
        self.spool = Spool(database)
        self.outbox = Offered()
        self.questions = Questions(
            PrintDependencies(
                spool=self.spool, documents=cast(Any, None), outbox=cast(Any, self.outbox),
                clock=BusinessClock.real(), limit=LIMIT, stopping=Stopping(),
            )
        )  # fmt: skip

    async def order(self, *, asked_at: datetime | None = None) -> SpooledOrder:
        fresh = new_order(
            order_id=uuid.uuid4().hex,
            request_id=fresh_id(),
            document=DocumentRef(document_id="d", title="证明", pages=1, sha256="0"),
            kiosk_id="k-1",
            branch_id="b-1",
            copy_number=1,
            ordered_at=CLOCK.now(),
            spooled_at=datetime.now(UTC),
        )
        await self.spool.insert(fresh)
        sent = await self.spool.save(fresh, sent_to(PrinterJob(printer="p", job_id=7)), epoch=3)
        return await self.ask(sent, asked_at=asked_at)

    async def ask(self, order: SpooledOrder, *, asked_at: datetime | None = None) -> SpooledOrder:
        change = asked(order, asked_at or CLOCK.now(), "?", job_over=False)
        return await self.spool.save(order, change, epoch=3)

    async def now(self, order: SpooledOrder) -> SpooledOrder:
        found = await self.spool.find(order.order_id)
        assert found is not None
        return found


def answer(order: SpooledOrder, *, printed: bool, **changes: Any) -> PrintConfirmed:
    body = PrintConfirmed(
        request_id=order.request_id, order_id=order.order_id, seq=order.seq, printed=printed,
        by="m-1", at=CLOCK.now(),
    )  # fmt: skip
    return body.model_copy(update=changes)


@pytest.fixture
async def desk(store: str) -> AsyncIterator[Desk]:
    database = Store(store, f"test_{uuid.uuid4().hex[:10]}")
    desk = Desk(database)
    await desk.spool.prepare()
    yield desk
    database.close()


async def test_yes_makes_the_order_printed_with_a_report_of_its_own(desk: Desk) -> None:
    order = await desk.order()
    assert await desk.questions.answer(answer(order, printed=True)) is None
    now = await desk.now(order)
    assert (now.status, now.seq, now.answered_by) == (PrintStatus.PRINTED, order.seq + 1, "m-1")
    assert now.outbox[-1].report.status is PrintStatus.PRINTED
    assert desk.outbox.orders == [now]
    assert await desk.spool.next_for("k-1") is None


async def test_no_puts_the_order_back_into_its_queue_with_its_job(desk: Desk) -> None:
    order = await desk.order()
    again = await desk.questions.answer(answer(order, printed=False))
    assert again is not None
    assert (again.status, again.job, again.confirmed_not) == (PrintStatus.QUEUED, order.job, 7)
    assert await desk.spool.next_for("k-1") == again
    # The spooler goes on under the lease it has.
    assert (await desk.ask(again)).rev == again.rev + 1


@pytest.mark.parametrize("printed", [True, False])
async def test_answer_that_comes_again_changes_nothing(desk: Desk, printed: bool) -> None:
    order = await desk.order()
    body = answer(order, printed=printed)
    await desk.questions.answer(body)
    once = await desk.now(order)
    assert await desk.questions.answer(body) is None
    assert await desk.now(order) == once


async def test_two_answers_at_once_make_one_change(desk: Desk) -> None:
    order = await desk.order()
    bodies = [answer(order, printed=n % 2 == 0) for n in range(6)]
    await asyncio.gather(*(desk.questions.answer(body) for body in bodies))
    now = await desk.now(order)
    assert (now.seq, now.rev) == (order.seq + 1, order.rev + 1)


async def test_old_answer_misses_a_newer_question(desk: Desk) -> None:
    first = await desk.order()
    again = await desk.questions.answer(answer(first, printed=False))
    assert again is not None
    second = await desk.ask(again)
    assert await desk.questions.answer(answer(first, printed=True)) is None
    assert await desk.now(first) == second


async def test_answer_for_an_order_of_another_request_is_poison(desk: Desk) -> None:
    order = await desk.order()
    for wrong in ({"request_id": "r-other"}, {"order_id": "none"}):
        with pytest.raises(Poison):
            await desk.questions.answer(answer(order, printed=True, **wrong))
    assert await desk.now(order) == order


async def test_question_nobody_answers_expires_and_frees_its_order(desk: Desk) -> None:
    late = await desk.order(asked_at=CLOCK.now() - LIMIT - timedelta(minutes=1))
    early = await desk.order(asked_at=CLOCK.now() - LIMIT + timedelta(minutes=5))
    await desk.questions.give_up()
    await desk.questions.give_up()
    now = await desk.now(late)
    assert (now.status, now.seq) == (PrintStatus.EXPIRED, late.seq + 1)
    assert now.status.final
    assert "7天" in (now.reason or "")
    assert await desk.now(early) == early
    assert await desk.questions.answer(answer(late, printed=True)) is None
    assert await desk.now(late) == now


async def test_open_questions_are_listed_oldest_first(desk: Desk) -> None:
    orders = [await desk.order(asked_at=CLOCK.now() - timedelta(hours=n)) for n in (1, 3, 2)]
    found = await desk.spool.questions(limit=10)
    assert [order.order_id for order in found] == [
        orders[n].order_id for n in (1, 2, 0)
    ]  # fmt: skip
    assert await desk.spool.questions(kiosk_id="k-2", limit=10) == []


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, store: str) -> AsyncIterator[Outside]:
    async with outside(tmp_path_factory.mktemp("questions"), store) as place:
        yield place


@pytest.mark.long
async def test_sheet_that_the_printer_forgot_comes_out_after_a_person_s_no(place: Outside) -> None:
    child = place.start("printing")
    await place.ready(child)
    asking = await open_question(place, "k-1")
    body = answer_to(asking, printed=False)
    await place.say(topics.PRINT_ORDERS, body)
    await place.say(topics.PRINT_ORDERS, body)
    await stands_at(place, asking.request_id, PrintStatus.PRINTED)
    rows = [row for row in await place.printed() if row["request_id"] == asking.request_id]
    assert [row["count"] for row in rows] == [1]
    assert await place.end(child) == 0


async def tongban(place: Outside, *arguments: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(BIN / "tongban"), *arguments, env={**os.environ, **place.env},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await child.communicate()
    return child.returncode or 0, told.decode()


def _with_a_real_id(record: Any, request_id: str) -> Any:
    """Return the record with an id as intake makes them; these tests make up shorter ones."""
    mine, real = request_id.encode(), b"r-" + b"0" * 29
    return dataclasses.replace(
        record,
        key=real,
        value=record.value.replace(mine, real),
        headers=[(name, value.replace(mine, real)) for name, value in record.headers],
    )


@pytest.mark.long
async def test_operator_finds_a_question_and_answers_it(place: Outside) -> None:
    child = place.start("printing")
    await place.ready(child)
    asking = await open_question(place, "k-2")
    code, told = await tongban(place, "print", "list", "--kiosk", "k-2", "--json")
    assert (code, [row["order_id"] for row in json.loads(told)]) == (0, [asking.order_id])
    confirm = ("print", "confirm", asking.order_id, "--printed", "yes", "--by", "li", "--json")
    code, told = await tongban(place, *confirm)
    assert code == 0, told
    assert json.loads(told)["by"] == "li"
    await stands_at(place, asking.request_id, PrintStatus.PRINTED)
    code, told = await tongban(place, *confirm)
    assert (code, told.count("\n")) == (1, 1)
    code, told = await tongban(place, "print", "confirm", "no-such", "--printed", "no")
    assert code == EX_NOINPUT
    written = (await all_records(place.env["TONGBAN_KAFKA"]))[topics.PRINT_ORDERS]
    mine = [
        _with_a_real_id(record, asking.request_id)
        for record in written
        if record.key == asking.request_id.encode()
    ]
    checked = published_checking.of_type({topics.PRINT_ORDERS: mine}, "tongban.print.confirmed.v1")
    assert checked == 1
    assert await place.end(child) == 0
