"""The spool and the leases on a real store: who may write, who takes over, what is left."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tests.integration.outside_kit import (
    CLOCK,
    KEYS,
    completed,
    fresh_id,
    reprint,
    until,
)
from tongban_common.domain.status import PrintStatus
from tongban_common.events import Event, encode
from tongban_common.events.models import DocumentRef, PrintOrdered
from tongban_common.store import DocumentStore, Store, StoreUnavailableError
from tongban_common.store.recovery import RestoredStore
from tongban_common.topics import GUARDS_KEPT
from tongban_devstack.ports import free_port
from tongban_intake.commands.copies import CopyNumbers
from tongban_kafka import Record, Retry
from tongban_notify.guards import Guards
from tongban_printing.domain.orders import PrinterJob, SpooledOrder, new_order, reported, sent_to
from tongban_printing.handler import PrintingHandler
from tongban_printing.spool import leases
from tongban_printing.spool import store as spool_module
from tongban_printing.spool.leases import KioskLeases
from tongban_printing.spool.store import OrderOvertakenError, Printable, Printables, Spool


@pytest.fixture
async def spool(database: Store) -> Spool:
    spool = Spool(database)
    await spool.prepare()
    await spool.prepare()
    return spool


def order(kiosk_id: str = "k-1", **changes: object) -> SpooledOrder:
    fresh = new_order(
        order_id=uuid.uuid4().hex,
        request_id=fresh_id(),
        document=DocumentRef(document_id="d", title="证明", pages=1, sha256="0"),
        kiosk_id=kiosk_id,
        branch_id="b-1",
        copy_number=1,
        ordered_at=CLOCK.now(),
        spooled_at=datetime.now(UTC) - timedelta(seconds=5),
    )
    return fresh.model_copy(update=changes)


async def test_stored_order_is_read_unchanged(spool: Spool) -> None:
    given = order()
    assert await spool.insert(given)
    assert not await spool.insert(given)
    found = await spool.find(given.order_id)
    assert found is not None
    assert found.outbox[0].report == given.outbox[0].report
    assert found.outbox[0].event_id == given.outbox[0].event_id
    assert found.document == given.document
    # Instants are kept to the millisecond, as BSON has them.
    assert abs(found.ordered_at - given.ordered_at) < timedelta(milliseconds=1)


async def test_a_kiosk_gets_its_oldest_order_that_is_to_be_worked_on(spool: Spool) -> None:
    now = CLOCK.now()
    late, early, other = (
        order(ordered_at=now),
        order(ordered_at=now - timedelta(hours=1)),
        order("k-2", ordered_at=now - timedelta(hours=2)),
    )
    for each in (late, early, other):
        await spool.insert(each)
    assert (await spool.backlog()).by_kiosk == {"k-1": 2, "k-2": 1}
    first = await spool.next_for("k-1")
    assert first is not None
    assert first.order_id == early.order_id
    await spool.save(first, reported(first, PrintStatus.PRINTED, now), epoch=1)
    second = await spool.next_for("k-1")
    assert second is not None
    assert second.order_id == late.order_id
    await spool.save(second, reported(second, PrintStatus.NEEDS_CONFIRMATION, now), epoch=1)
    assert await spool.next_for("k-1") is None
    assert set((await spool.backlog()).by_kiosk) == {"k-2"}


async def test_backlog_counts_what_waits_by_status_and_reason(spool: Spool) -> None:
    now = CLOCK.now()
    statuses = {
        "queued": (PrintStatus.QUEUED, None),
        "empty": (PrintStatus.WAITING_FOR_PRINTER, "纸张用尽"),
        "also empty": (PrintStatus.WAITING_FOR_PRINTER, "纸张用尽"),
        "jammed": (PrintStatus.WAITING_FOR_PRINTER, "卡纸"),
        "asked": (PrintStatus.NEEDS_CONFIRMATION, "出纸?"),
        "over": (PrintStatus.PRINTED, None),
    }
    for kiosk, (status, reason) in statuses.items():
        each = order(kiosk)
        await spool.insert(each)
        if status is not PrintStatus.QUEUED:
            await spool.save(each, reported(each, status, now, reason), epoch=1)
    backlog = await spool.backlog()
    assert backlog.by_kiosk == {"queued": 1, "empty": 1, "also empty": 1, "jammed": 1}
    assert backlog.by_reason == {"纸张用尽": 2, "卡纸": 1}
    assert backlog.by_status == {
        PrintStatus.QUEUED: 1,
        PrintStatus.WAITING_FOR_PRINTER: 3,
        PrintStatus.NEEDS_CONFIRMATION: 1,
    }


async def test_write_over_an_unseen_write_is_refused(spool: Spool) -> None:
    given = order()
    await spool.insert(given)
    mine = await spool.next_for("k-1")
    assert mine is not None
    change = sent_to(PrinterJob(printer="p", job_id=7))
    saved = await spool.save(mine, change, epoch=3)
    assert (saved.job, saved.rev) == (PrinterJob(printer="p", job_id=7), 1)
    with pytest.raises(OrderOvertakenError):
        await spool.save(mine, change, epoch=3)
    with pytest.raises(OrderOvertakenError):
        await spool.save(saved, change, epoch=2)
    assert (await spool.save(saved, change, epoch=4)).rev == 2


async def test_reports_lie_in_the_order_until_they_are_sent(spool: Spool) -> None:
    await spool.insert(order())
    [found] = await spool.unsent(older_than=timedelta(seconds=2), limit=10)
    saved = await spool.save(found, reported(found, PrintStatus.PRINTED, CLOCK.now()), epoch=1)
    assert [unsent.report.seq for unsent in saved.outbox] == [1, 2]
    assert len({unsent.event_id for unsent in saved.outbox}) == 2
    await spool.sent(found.order_id, 1)
    left = await spool.find(found.order_id)
    assert left is not None
    assert [unsent.report.seq for unsent in left.outbox] == [2]
    assert await spool.unsent(older_than=timedelta(seconds=2), limit=10) == []
    await spool.sent(found.order_id, 2)
    assert await spool.unsent(older_than=timedelta(), limit=10) == []


async def test_one_replica_at_a_time_has_a_kiosk(database: Store) -> None:
    one = KioskLeases(database, owner="one", seconds=60)
    two = KioskLeases(database, owner="two", seconds=60)
    assert await one.hold("k-1") == 1
    assert await one.hold("k-1") == 1
    assert await two.hold("k-1") is None
    assert await two.hold("k-2") == 1
    await one.release_all()
    assert await two.hold("k-1") == 2


async def test_replica_restarted_under_its_name_takes_its_lease_over_at_once(
    database: Store,
) -> None:
    before = KioskLeases(database, owner="one", seconds=60)
    assert await before.hold("k-1") == 1
    after = KioskLeases(database, owner="one", seconds=60)
    assert await after.hold("k-1") == 2
    before.forget("k-1")  # two of one name: each taking is a new epoch, and the orders decide
    assert await before.hold("k-1") == 3


async def test_a_lease_runs_out_and_is_renewed(database: Store) -> None:
    dead = KioskLeases(database, owner="dead", seconds=1)
    living = KioskLeases(database, owner="living", seconds=1)
    assert await dead.hold("k-1") == 1

    async def taken_over() -> bool:
        return await living.hold("k-1") == 2

    await until(taken_over, "the lease to run out", 60)
    end = asyncio.get_running_loop().time() + 2.5
    while asyncio.get_running_loop().time() < end:
        assert await living.hold("k-1") == 2
        await asyncio.sleep(0.02)
    assert await dead.hold("k-1") is None


async def test_lease_under_a_wrong_clock_is_counted_by_the_store(
    database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica whose clock is a day ahead takes no kiosk away from one that lives, and one whose
    clock is a day behind leaves no lease that is over when it is taken."""
    living = KioskLeases(database, owner="living", seconds=60)
    assert await living.hold("k-1") == 1
    for days in (1, -1):
        skewed = SkewedClock(timedelta(days=days))
        monkeypatch.setattr(leases, "datetime", skewed, raising=False)
        other = KioskLeases(database, owner=f"skewed{days}", seconds=60)
        assert await other.hold("k-1") is None
        assert await other.hold(f"of-{days}") == 1
        monkeypatch.undo()
        assert await living.hold(f"of-{days}") is None


class SkewedClock:
    """Stands in for the `datetime` of a module on a host whose clock is wrong."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self, zone: Any) -> datetime:
        return datetime.now(zone) + self._by


async def test_end_of_an_order_under_a_wrong_clock_is_stamped_by_the_store(
    database: Store, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = order()
    await spool.insert(given)
    found = await spool.next_for("k-1")
    assert found is not None
    monkeypatch.setattr(spool_module, "datetime", SkewedClock(timedelta(days=-9000)))
    await spool.save(found, reported(found, PrintStatus.PRINTED, CLOCK.now()), epoch=1)
    record = await database.collection("print_orders").find_one({"_id": given.order_id})
    assert abs(datetime.now(UTC) - record["over_at"]) < timedelta(minutes=1)


async def test_index_of_an_older_release_is_given_the_new_time(database: Store) -> None:
    for name, field, index in (
        ("print_orders", "over_at", "over"),
        ("printables", "kept_at", "kept"),
        ("message_guards", "over_at", "over"),
        ("print_copies", "kept_at", "kept"),
    ):
        records = database.collection(name)
        sparse = {"sparse": True} if index == "over" else {}
        await records.create_index(field, name=index, expireAfterSeconds=90 * 86_400, **sparse)
    await Spool(database).prepare()
    await Printables(database).prepare()
    await Guards(database).prepare()
    await CopyNumbers(database).reserve("r", "d", "o", above=1)
    for name, index in (
        ("print_orders", "over"),
        ("printables", "kept"),
        ("message_guards", "over"),
        ("print_copies", "kept"),
    ):
        found = await database.collection(name).index_information()
        assert found[index]["expireAfterSeconds"] == GUARDS_KEPT.total_seconds()


async def test_a_store_that_is_away_says_so() -> None:
    away = Store(f"mongodb://127.0.0.1:{free_port()}", "none", timeout_ms=100)
    with pytest.raises(StoreUnavailableError):
        await Spool(away).insert(order())
    with pytest.raises(StoreUnavailableError):
        await KioskLeases(away, owner="one", seconds=10).hold("k-1")
    away.close()


async def test_printable_is_kept_for_a_time_that_repeats_do_not_prolong(
    database: Store,
) -> None:
    printables = Printables(database)
    await printables.prepare()
    await printables.prepare()
    records = database.collection("printables")
    indexes = await records.index_information()
    assert indexes["kept"]["key"] == [("kept_at", 1)]
    assert indexes["kept"]["expireAfterSeconds"] == GUARDS_KEPT.total_seconds()
    ref = DocumentRef(document_id="d", title="证明", pages=1, sha256="0")
    printable = Printable(request_id=fresh_id(), branch_id="b-1", documents=[ref])
    await printables.remember(printable)
    [first] = [record async for record in records.find({})]
    await printables.remember(printable)
    assert [record async for record in records.find({})] == [first]
    assert await printables.find(printable.request_id) == printable


async def test_a_reprint_of_long_ago_needs_its_document_alone(
    database: Store, spool: Spool
) -> None:
    documents = DocumentStore(database, KEYS)
    nothing = cast(Any, None)
    handler = PrintingHandler(
        maker=nothing, printables=Printables(database), documents=documents, spool=spool,
        spooler=cast(Any, Called()), questions=nothing, outbox=cast(Any, Called()),
        publisher=nothing, clock=CLOCK, restored=RestoredStore(database),
    )  # fmt: skip
    body = completed(fresh_id())
    ref = DocumentRef(document_id=uuid.uuid4().hex, title="证明", pages=1, sha256="0")
    wanted = reprint(body.request_id, document_id=ref.document_id)
    wanted = wanted.model_copy(update={"branch_id": "b-7"})
    with pytest.raises(Retry):  # not completed yet, as far as can be seen here
        await handler.handle(_record(wanted))
    await documents.put(body.request_id, ref, b"%PDF", body.sealed, at=CLOCK.now())
    await handler.handle(_record(wanted))
    taken = await spool.find(wanted.order_id)
    assert taken is not None
    assert (taken.document, taken.branch_id, taken.copy_number) == (ref, "b-7", 2)


class Called:
    """Spooler and outbox, which are told of an order."""

    def call(self, _: str) -> None: ...

    def offer(self, _: SpooledOrder) -> None: ...


def _record(body: PrintOrdered) -> Record:
    value, headers = encode(Event(id="e", source="s", body=body, time=CLOCK.now()))
    return Record("t", 0, 0, 0, body.request_id.encode(), value, headers, False, 0.0)
