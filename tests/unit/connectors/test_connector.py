"""One connector: what is asked, what is sent, what is told, and what is never sent twice."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from datetime import datetime, timedelta
from datetime import time as clock_time
from typing import Any

import pytest

from tests.unit.connectors.kit import RESULT, Bench, Keeper, Scripted, answer, eventually
from tongban_common.catalogue.holidays import Holidays
from tongban_common.catalogue.models import ServiceHours, ServiceWindow
from tongban_common.clock import CHINA, BusinessClock
from tongban_common.domain.status import CallKind
from tongban_common.store import StoreUnavailableError
from tongban_connectors import handler as module
from tongban_connectors.domain import call_ledger
from tongban_connectors.domain.breaker import Breaker
from tongban_connectors.domain.gateway import (
    AccessDeniedError,
    BrokenAnswerError,
    GatewayDownError,
    GatewayRefusedError,
    NotRecognisedError,
    RetryLaterError,
    UnclearAnswerError,
    Unknown,
)
from tongban_connectors.gate import Block
from tongban_connectors.gate_sources import OpeningHours
from tongban_kafka import Cause, Poison, Retry, uptime
from tongban_provinces.models import GatewayState, OfferedDocument, ResultTable

OFFICE = ServiceHours(
    text="工作日", text_en="Working days",
    windows=(ServiceWindow(days=(1, 2, 3, 4, 5), opens=clock_time(8, 30), closes=clock_time(17)),),
)  # fmt: skip
PDF = OfferedDocument(name="certificate", title="证明", sha256="0" * 64, size=10)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A margin between clocks that a test can wait for."""
    monkeypatch.setattr(call_ledger, "MARGIN_S", 0.1)


@pytest.fixture(name="impatient")
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_pause_s", lambda _: 0.01)


def cause(reason: str) -> Cause:
    return Cause(
        reason=reason, exception="", where="", attempts=1, first_failed_at=0, last_failed_at=0
    )


def unknown_now(_: str) -> Unknown:
    return Unknown(time.time())


# --- closed, throttled, down, paused


async def test_closed_province_is_reported_once_and_not_called_until_it_opens() -> None:
    opens = datetime(2026, 3, 2, 8, 30, tzinfo=CHINA)  # a Monday
    clock = BusinessClock(opens - timedelta(hours=40), time.time(), 40 * 3600 / 0.4)
    hours = OpeningHours(OFFICE, Holidays(), clock)
    bench = Bench(Scripted(), clock=clock, sources=[hours])
    record = bench.record(expires_in=timedelta(days=400))
    began = time.monotonic()
    with pytest.raises(Retry) as waits:
        await bench.connector.handle(record)
    assert waits.value.when is not None
    assert not waits.value.when.done()
    assert bench.gateway.calls == []
    (told,) = bench.published.outcomes
    assert (told.outcome, told.cause, told.until) == ("waiting", "closed", opens)
    await asyncio.wait_for(waits.value.when, 5)
    assert await bench.work(record) == "done"
    assert time.monotonic() - began > 0.3  # the province opens after 0.4 s of this fast clock
    assert bench.gateway.calls == ["submit"]
    assert bench.told == [("waiting", "closed"), ("completed", None)]
    assert bench.books == 0


async def test_submitted_request_is_polled_while_the_province_is_closed() -> None:
    closed = Block("closed", effects_only=True)
    bench = Bench(Scripted(), sources=[lambda: closed])
    assert await bench.work(bench.record(CallKind.POLL)) == "done"
    assert await bench.work(bench.record(seen=True)) == "done"
    assert bench.gateway.calls == ["look_up", "look_up"]


async def test_a_gateway_that_says_closed_closes_for_all_but_for_being_asked() -> None:
    gateway = Scripted(submit=[RetryLaterError("closed", 0.3), answer("r-1"), answer("r-2")])
    bench = Bench(gateway)
    first = asyncio.create_task(bench.work(bench.record()))
    await eventually(lambda: bench.gate.waiting == 1)
    second = asyncio.create_task(bench.work(bench.record(request_id="r-2")))
    assert await bench.work(bench.record(CallKind.POLL, "r-3")) == "done"
    assert gateway.calls[:2] == ["submit", "look_up"], "a look-up does not wait"
    assert [await first, await second] == ["done", "done"]
    assert Counter(gateway.calls) == {"submit": 3, "look_up": 1}
    untils = [said.until for said in bench.published.outcomes if said.outcome == "waiting"]
    assert len(untils) == 2
    assert all(untils)


async def test_throttled_call_makes_all_calls_of_the_province_wait() -> None:
    gateway = Scripted(submit=[RetryLaterError("throttled", 0.3), answer])
    bench = Bench(gateway)
    began = time.monotonic()
    first = asyncio.create_task(bench.work(bench.record()))
    await eventually(lambda: bench.gate.waiting == 1)
    others = [
        asyncio.create_task(bench.work(bench.record(request_id=f"r-{number}")))
        for number in range(2, 12)
    ]
    await eventually(lambda: bench.gate.waiting == 11)
    assert gateway.calls == ["submit"], "nobody else tries meanwhile"
    assert {await task for task in (first, *others)} == {"done"}
    assert time.monotonic() - began >= 0.3  # the wait that the gateway requested
    assert len(gateway.calls) == 12


async def test_we_learn_the_rate_that_a_gateway_bears() -> None:
    """It takes 20 a second; most of what we send after the first seconds is taken."""
    window, taken = [0.0], [0]

    def at_most_20(request_id: str) -> object:
        now = time.monotonic()
        if now - window[0] >= 0.5:
            window[0], taken[0] = now, 0
        taken[0] += 1
        return answer(request_id) if taken[0] <= 10 else RetryLaterError("throttled", 0.5)

    gateway = Scripted(submit=[at_most_20])
    bench = Bench(gateway, concurrency=32)
    works = [bench.work(bench.record(request_id=f"r-{n}"), patience=60) for n in range(100)]
    assert set(await asyncio.gather(*works)) == {"done"}
    assert len(gateway.calls) < 250


async def test_an_open_circuit_is_probed_by_one_call_and_then_all_go_on() -> None:
    under_way, most, dead = 0, 0, True

    def gateway_now(request_id: str) -> object:
        return GatewayDownError("refused") if dead else answer(request_id)

    gateway = Scripted(submit=[gateway_now])
    take = gateway.submit

    async def submit(*args: object, **more: object) -> object:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            await asyncio.sleep(0.01)
            return await take(*args, **more)  # type: ignore[arg-type]
        finally:
            under_way -= 1

    gateway.submit = submit  # type: ignore[method-assign, assignment]
    bench = Bench(gateway, breaker=Breaker(first_s=0.1, longest_s=0.1))
    tasks = [
        asyncio.create_task(bench.work(bench.record(request_id=f"r-{number}")))
        for number in range(40)
    ]
    await eventually(lambda: bench.gate.waiting == 40)
    tried, most = len(gateway.calls), 0
    began = time.monotonic()
    await eventually(lambda: len(gateway.calls) >= tried + 3)
    probes = len(gateway.calls) - tried
    assert probes <= (time.monotonic() - began) / 0.1 + 2, "one for each pause"
    assert most == 1
    dead = False
    assert {await task for task in tasks} == {"done"}
    assert Counter(said[0] for said in bench.told) == {"waiting": 40, "completed": 40}


async def test_pause_ends_when_its_source_ends_it() -> None:
    paused: list[Block] = [Block("paused")]
    bench = Bench(Scripted(), sources=[lambda: paused[0] if paused else None])
    task = asyncio.create_task(bench.work(bench.record(CallKind.POLL)))
    await eventually(lambda: bench.told == [("waiting", "paused")])
    assert bench.gateway.calls == []
    paused.clear()
    bench.gate.recheck()
    assert await task == "done"
    assert bench.told == [("waiting", "paused"), ("completed", None)]


async def test_a_probe_that_never_calls_leaves_the_probing_to_another() -> None:
    bench = Bench(
        Scripted(submit=[GatewayDownError("x"), answer]), breaker=Breaker(threshold=1, first_s=0.05)
    )
    first = bench.record()
    with pytest.raises(Retry) as waits:
        await bench.connector.handle(first)
    assert waits.value.when is not None
    other = asyncio.create_task(bench.work(bench.record(request_id="r-2")))
    await waits.value.when  # called up, and then given up by its worker
    assert await other == "done"


# --- doubt


async def test_an_unclear_send_is_asked_about_and_not_repeated() -> None:
    bench = Bench(Scripted(submit=[UnclearAnswerError("time-out")], look_up=[answer]))
    assert await bench.work(bench.record()) == "done"
    assert bench.gateway.calls == ["submit", "look_up"]
    assert bench.books == 0


async def test_unknown_is_believed_when_the_send_can_have_no_effect_any_more() -> None:
    bench = Bench(Scripted(submit=[UnclearAnswerError("time-out"), answer], look_up=[unknown_now]))
    began = time.time()
    assert await bench.work(bench.record()) == "done"
    assert bench.gateway.calls[0] == bench.gateway.calls[-1] == "submit"
    assert time.time() - began >= 0.2, "time-out and margin"


async def test_unknown_is_not_believed_from_a_gateway_whose_clock_is_behind() -> None:
    """It acts until its own clock says `act_before`: ours proves nothing."""
    behind = 0.6
    bench = Bench(
        Scripted(
            submit=[UnclearAnswerError("time-out"), answer],
            look_up=[lambda _: Unknown(time.time() - behind)],
        )
    )
    began = time.time()
    assert await bench.work(bench.record()) == "done"
    assert time.time() - began >= 0.2 + behind


@pytest.mark.parametrize("kind", [CallKind.SUPPLEMENT, CallKind.WITHDRAW])
async def test_not_done_yet_is_believed_no_sooner_than_unknown(kind: CallKind) -> None:
    """A supplement or a withdrawal that the gateway carries out a moment after it was asked."""
    late = time.time() + 0.3

    def known(request_id: str) -> object:
        if time.time() < late:
            return answer(request_id, GatewayState.NEEDS_SUPPLEMENT, said_at=time.time())
        return answer(request_id, GatewayState.ACCEPTED, supplements=1, withdrawn=True)

    asked_first = [known] if kind is CallKind.WITHDRAW else []
    gateway = Scripted(
        look_up=[*asked_first, known], **{str(kind): [UnclearAnswerError("time-out")]}
    )
    bench = Bench(gateway, timeout_s=0.4)
    assert await bench.work(bench.record(kind)) == "done"
    assert gateway.calls.count(str(kind)) == 1
    assert bench.told == [("withdrawn", None)]
    assert bench.books == 0


@pytest.mark.parametrize(
    ("has", "sent"), [(1, ["look_up", "supplement"]), (2, ["look_up"])], ids=["the first", "both"]
)
async def test_a_second_supplement_is_not_taken_for_the_first(has: int, sent: list[str]) -> None:
    """A predecessor may have died just before, or just after, handing in the second."""

    def known(request_id: str) -> object:
        return answer(
            request_id, GatewayState.NEEDS_SUPPLEMENT, supplements=has, said_at=time.time()
        )

    gateway = Scripted(
        look_up=[known],
        supplement=[answer("r-1", GatewayState.ACCEPTED, supplements=2)],
    )
    bench = Bench(gateway, timeout_s=0.1)
    assert await bench.work(bench.record(CallKind.SUPPLEMENT, repeat=True, number=2)) == "done"
    assert gateway.calls[-1] == sent[-1]
    assert gateway.calls.count("supplement") == sent.count("supplement")


async def test_call_of_a_dead_predecessor_may_take_effect_a_moment_later() -> None:
    late = time.time() + 0.3

    def known(request_id: str) -> object:
        state = GatewayState.NEEDS_SUPPLEMENT if time.time() < late else GatewayState.ACCEPTED
        return answer(request_id, state, said_at=time.time())

    gateway = Scripted(look_up=[known])
    bench = Bench(gateway, timeout_s=0.4)
    bench.assigned_at = uptime()
    assert await bench.work(bench.record(CallKind.SUPPLEMENT, seen=True)) == "done"
    assert set(gateway.calls) == {"look_up"}


@pytest.mark.parametrize("told", [{"seen": True}, {"repeat": True}])
async def test_call_that_another_connector_may_have_sent_is_looked_up_first(
    told: dict[str, bool],
) -> None:
    bench = Bench(Scripted())
    assert await bench.work(bench.record(**told)) == "done"  # type: ignore[arg-type]
    assert bench.gateway.calls == ["look_up"]


async def test_a_call_that_was_answered_here_is_a_repeat_whether_it_is_marked_or_not() -> None:
    """A router that was frozen comes back, and sends what another has sent in its place."""
    bench = Bench(Scripted())
    for _ in range(2):
        assert await bench.work(bench.record()) == "done"
    assert bench.gateway.calls == ["submit", "look_up"]
    assert [told for told, _ in bench.told] == ["completed", "completed"]


async def test_a_withdrawal_knows_of_the_unclear_submission_before_it() -> None:
    """Also where that was given up: "unknown" may turn into an effect a moment later."""
    late = time.time() + 0.2

    def knows(request_id: str) -> object:
        if time.time() < late:
            return Unknown(time.time())
        return answer(request_id, GatewayState.ACCEPTED)

    gateway = Scripted(
        submit=[UnclearAnswerError("time-out")],
        look_up=[knows],
        withdraw=[lambda request_id: answer(request_id, GatewayState.ACCEPTED, withdrawn=True)],
    )
    bench = Bench(gateway, timeout_s=0.3)
    submission = bench.record()
    with pytest.raises(Retry):
        await bench.connector.handle(submission)
    await bench.connector.on_dead_letter(submission, cause("fault"))
    assert await bench.work(bench.record(CallKind.WITHDRAW)) == "done"
    assert gateway.calls[-1] == "withdraw"
    assert bench.told[-1] == ("withdrawn", None)
    assert bench.books == 0


async def test_a_withdrawal_of_what_was_never_sent_keeps_it_from_being_sent() -> None:
    closed = Block("closed", effects_only=True)
    bench = Bench(Scripted(look_up=[unknown_now]), sources=[lambda: closed])
    submission = bench.record()
    with pytest.raises(Retry) as waits:
        await bench.connector.handle(submission)
    assert waits.value.when is not None
    bench.behind = [bench.record(CallKind.WITHDRAW)]  # the worker wakes the one that waits
    assert await bench.work(submission) == "done"
    assert await bench.work(bench.behind.pop()) == "done"
    assert bench.gateway.calls == ["look_up"]
    assert [said[0] for said in bench.told] == ["waiting", "withdrawn", "withdrawn"]


async def test_send_cancelled_by_revocation_is_looked_up_after_reassignment() -> None:
    bench = Bench(Scripted(submit=["hang"], look_up=[unknown_now, answer]))
    task = asyncio.create_task(bench.connector.handle(bench.record()))
    await eventually(lambda: bool(bench.gateway.calls))
    task.cancel()
    await asyncio.wait([task])
    bench.assigned_at = uptime()
    assert await bench.work(bench.record(seen=True)) == "done"
    assert bench.gateway.calls == ["submit", "look_up", "look_up"]
    assert bench.books == 0, "the old assignment's doubt is gone"
    assert bench.gate.block(effect=True) is None


async def test_nothing_is_sent_without_a_lease_or_after_its_time() -> None:
    bench = Bench(Scripted())
    bench.lease = 0.5
    with pytest.raises(Retry, match="given this partition"):
        await bench.connector.handle(bench.record())
    bench.lease = 10.0
    assert await bench.work(bench.record(expires_in=timedelta(seconds=-1))) == "done"
    assert bench.gateway.calls == []
    assert bench.told == [("not_sent", None)]


async def test_time_may_run_out_while_a_call_stands_before_the_gateway() -> None:
    def slow(request_id: str) -> object:
        return answer(request_id)

    gateway = Scripted(submit=[slow])
    take = gateway.submit
    begun = asyncio.Event()

    async def submit(*args: object, **more: object) -> object:
        begun.set()
        await asyncio.sleep(0.3)
        return await take(*args, **more)  # type: ignore[arg-type]

    gateway.submit = submit  # type: ignore[method-assign, assignment]
    bench = Bench(gateway, concurrency=1)
    first = asyncio.create_task(bench.work(bench.record()))
    await begun.wait()
    second = bench.work(bench.record(request_id="r-2", expires_in=timedelta(seconds=0.1)))
    assert await second == "done"
    assert await first == "done"
    assert gateway.calls == ["submit"]
    assert sorted(said[0] for said in bench.told) == ["completed", "not_sent"]


# --- answers that say no, or nothing that can be believed


async def test_an_item_that_the_province_does_not_offer_is_rejected_with_a_reason() -> None:
    bench = Bench(Scripted(submit=[GatewayRefusedError("unknown_item")], look_up=[unknown_now]))
    assert await bench.work(bench.record()) == "done"
    (told,) = bench.published.outcomes
    assert told.outcome == "rejected"
    assert told.reason
    assert bench.books == 0


async def test_a_no_between_programs_is_held_for_an_operator() -> None:
    bench = Bench(Scripted(submit=[GatewayRefusedError("bad_request")], look_up=[unknown_now]))
    record = bench.record()
    assert await bench.work(record) == "refused: bad_request"
    await bench.connector.on_dead_letter(record, cause("refused"))
    assert bench.told == [("held", "refused")]
    assert bench.books == 0


async def test_refused_repeat_is_answered_by_a_look_up() -> None:
    bench = Bench(Scripted(submit=[GatewayRefusedError("duplicate")], look_up=[answer]))
    assert await bench.work(bench.record()) == "done"
    assert bench.told == [("completed", None)]


async def test_a_no_to_us_is_no_fault_of_the_request() -> None:
    bench = Bench(
        Scripted(submit=[AccessDeniedError("too_late"), AccessDeniedError("no_rights"), answer])
    )
    assert await bench.work(bench.record()) == "done"
    assert bench.gateway.calls == ["submit"] * 3, "nothing was done, so nothing has to be asked"


async def test_refused_authentication_leaves_the_send_in_doubt() -> None:
    """Somebody else's rubbish under our nonce was refused, and ours was acted upon."""
    bench = Bench(Scripted(submit=[NotRecognisedError("bad_signature")], look_up=[answer]))
    assert await bench.work(bench.record()) == "done"
    assert bench.gateway.calls == ["submit", "look_up"]


@pytest.mark.usefixtures("impatient")
async def test_answers_that_cannot_be_believed_end_with_a_person() -> None:
    bench = Bench(Scripted(submit=[BrokenAnswerError("wrong shape")], look_up=[unknown_now]))
    record = bench.record()
    given_up = await bench.work(record, patience=60)
    assert given_up == "answers that cannot be believed; it has not taken effect"
    assert bench.gateway.calls.count("submit") == module.BROKEN_LIMIT
    assert bench.gateway.calls[-1] == "look_up", "not given up before it was asked about"


@pytest.mark.usefixtures("impatient")
async def test_an_unclear_send_is_not_given_up_before_it_was_asked_about() -> None:
    bench = Bench(
        Scripted(submit=[UnclearAnswerError("cut")], look_up=[BrokenAnswerError("another request")])
    )
    given_up = await bench.work(bench.record(), patience=60)
    assert given_up == "another request; whether it took effect is not known"
    assert bench.gateway.calls.count("submit") == 1
    assert bench.gateway.calls.count("look_up") == module.BROKEN_LIMIT


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "said",
    [
        answer("r-another"),
        answer("r-1").model_copy(update={"result": None}),  # completed, with nothing in it
    ],
)
async def test_malformed_answer_is_not_believed(said: object) -> None:
    bench = Bench(Scripted(look_up=[said]))
    assert await bench.work(bench.record(CallKind.POLL), patience=60) != "done"
    assert set(bench.told) == {("waiting", "down")}


# --- documents


async def test_a_result_that_fits_into_no_event_ends_with_a_person() -> None:
    """It is within all bounds of its protocol: SOAP may say 1 MiB."""
    table = ResultTable(columns=["栏"] * 20, rows=[["字" * 200] * 20 for _ in range(60)])
    large = answer("r-1").model_copy(update={"result": RESULT.model_copy(update={"table": table})})
    bench = Bench(Scripted(submit=[large]))
    assert await bench.work(bench.record()) == "a result larger than an event may be"
    assert bench.told == []


async def test_a_document_is_kept_before_its_reference_is_told() -> None:
    bench = Bench(Scripted(submit=[lambda r: answer(r, documents=[PDF])], fetch=[b"%PDF"]))
    assert await bench.work(bench.record()) == "done"
    assert [ref.sha256 for ref in bench.published.outcomes[0].documents] == [PDF.sha256]


async def test_a_store_that_is_down_makes_the_outcome_wait_and_nothing_be_sent_again() -> None:
    with_document = [lambda r: answer(r, documents=[PDF])]
    bench = Bench(
        Scripted(submit=list(with_document), look_up=list(with_document), fetch=[b"%PDF"]),
        keeper=Keeper(StoreUnavailableError("down"), StoreUnavailableError("down")),
    )
    assert await bench.work(bench.record()) == "done"
    assert Counter(bench.gateway.calls) == {"submit": 1, "look_up": 2, "fetch": 1}
    assert bench.told == [("waiting", "store"), ("completed", None)]
    assert bench.books == 0


@pytest.mark.usefixtures("impatient")
async def test_a_document_that_cannot_be_had_ends_with_a_person() -> None:
    with_document = [lambda r: answer(r, documents=[PDF])]
    bench = Bench(
        Scripted(look_up=with_document), keeper=Keeper(*[BrokenAnswerError("no PDF")] * 20)
    )
    assert await bench.work(bench.record(CallKind.POLL)) == "no PDF"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("said", "settled"),
    [
        (answer, True),
        (GatewayRefusedError("bad_form"), True),
        (lambda _: answer("r-another"), False),
        (UnclearAnswerError("cut"), False),
    ],
    ids=["answered", "refused", "about another request", "unclear"],
)
async def test_hand_over_waits_for_sends_without_an_answer_about_them_alone(
    said: Any, settled: bool
) -> None:
    bench = Bench(Scripted(submit=[said], look_up=[unknown_now]))
    with contextlib.suppress(Retry, Poison):
        await bench.connector.handle(bench.record())
    note = bench.bound.note(0.0, "within-0.000", True)
    assert (bench.bound.of_predecessor(note) == 0.0) is settled
