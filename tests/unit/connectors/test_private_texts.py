"""What a province writes into reasons, receipts, titles and codes, and where it may be read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.connectors.kit import KEYS, PROVINCE, Bench, Scripted, answer
from tongban_common.control.provinces import ProvinceControl
from tongban_common.domain.status import CallKind
from tongban_common.envelope import KeyDestroyedError, KeyRing, Sealed
from tongban_common.events.models import ProvinceOutcome
from tongban_common.private_texts import REASON, RECEIPT
from tongban_connectors.domain import texts
from tongban_connectors.domain.gateway import GatewayRefusedError, code_of
from tongban_connectors.gate import Block
from tongban_connectors.gate_sources import block_of
from tongban_provinces.models import GatewayAnswer, GatewayState, OfferedDocument

TALK = "申请人张三（身份证 110101 1990 0307 8690，电话一三八零零零零一二三四）与公安库不一致"
RECEIPT_NUMBER = "110101199003078690"


def opened(outcome: ProvinceOutcome, part: str) -> object:
    assert outcome.sealed is not None
    return KEYS.open(outcome.request_id, outcome.sealed, part)


@pytest.mark.parametrize(
    "state",
    [GatewayState.ACCEPTED, GatewayState.NEEDS_SUPPLEMENT, GatewayState.REJECTED,
     GatewayState.COMPLETED],
)  # fmt: skip
async def test_reason_and_receipt_of_a_province_are_sealed(state: GatewayState) -> None:
    bench = Bench(Scripted(submit=[answer("r-1", state, reason=TALK, receipt=RECEIPT_NUMBER)]))
    assert await bench.work(bench.record()) == "done"
    (told,) = bench.published.outcomes
    assert "张三" not in told.model_dump_json()
    assert RECEIPT_NUMBER not in told.model_dump_json()
    assert (opened(told, REASON), opened(told, RECEIPT)) == (TALK, RECEIPT_NUMBER)
    assert ("result" in told.sealed.parts) == (state is GatewayState.COMPLETED)  # type: ignore[union-attr]
    assert told.cause == "province"


async def test_answer_without_words_carries_no_envelope() -> None:
    bench = Bench(Scripted(submit=[answer("r-1", GatewayState.ACCEPTED)]))
    assert await bench.work(bench.record()) == "done"
    (told,) = bench.published.outcomes
    assert (told.sealed, told.reason, told.cause) == (None, None, None)


async def test_rejection_in_our_words_stays_in_clear() -> None:
    bench = Bench(Scripted(submit=[GatewayRefusedError("unknown_item")], look_up=[None]))
    assert await bench.work(bench.record()) == "done"
    (told,) = bench.published.outcomes
    assert (told.reason, told.sealed) == (texts.ITEM_NOT_OFFERED, None)


@pytest.mark.parametrize("kind", [CallKind.WITHDRAW, CallKind.POLL])
async def test_words_are_dropped_where_the_key_was_destroyed(kind: CallKind) -> None:
    known = answer("r-1", GatewayState.REJECTED, reason=TALK, receipt=RECEIPT_NUMBER)
    bench = Bench(Scripted(look_up=[known]))
    bench.connector._reporter._keys = _destroyed()
    assert await bench.work(bench.record(kind)) == "done"
    (told,) = bench.published.outcomes
    assert told.sealed is None
    assert "张三" not in told.model_dump_json()


async def test_withdrawal_is_reported_without_words_where_the_key_is_missing() -> None:
    known = answer("r-1", GatewayState.REJECTED, reason=TALK)
    bench = Bench(Scripted(look_up=[known]))
    bench.connector._reporter._keys = KeyRing("other", {"other": bytes(32)})
    assert await bench.work(bench.record(CallKind.WITHDRAW)) == "done"
    (told,) = bench.published.outcomes
    assert (told.outcome, told.sealed) == ("rejected", None)


def _destroyed() -> KeyRing:
    class Gone(KeyRing):
        def add(self, request_id: str, *_: object) -> Sealed:
            raise KeyDestroyedError(request_id)

    return Gone("dev", {"dev": bytes(32)})


# -- pauses -------------------------------------------------------------------------------------


async def told_of(block: Block) -> ProvinceOutcome:
    bench = Bench(Scripted(), sources=[lambda: block])
    with pytest.raises(TimeoutError):
        await bench.work(bench.record(), patience=0.3)
    (told,) = bench.published.outcomes
    return told


def control(bench_now: Callable[[], object], **more: object) -> ProvinceControl:
    return ProvinceControl(province=PROVINCE, paused=True, by="li", since=bench_now(), **more)  # type: ignore[arg-type]


async def test_pause_in_an_operators_own_words_reaches_the_applicant_sealed() -> None:
    now = Bench(Scripted()).clock.now
    sealed = KEYS.seal(f"control.provinces/{PROVINCE}", {REASON: TALK})
    told = await told_of(block_of(control(now, sealed=sealed), KEYS))
    assert (told.reason, told.cause) == (texts.WAITING["paused"], "paused")
    assert opened(told, REASON) == texts.paused(TALK)
    assert "张三" not in told.model_dump_json()


async def test_clear_words_of_an_older_pause_are_sealed_too() -> None:
    told = await told_of(block_of(control(Bench(Scripted()).clock.now, reason=TALK), KEYS))
    assert "张三" not in told.model_dump_json()
    assert opened(told, REASON) == texts.paused(TALK)


async def test_pause_in_known_words_stays_in_clear() -> None:
    told = await told_of(block_of(control(Bench(Scripted()).clock.now, reason="系统升级"), KEYS))
    assert (told.reason, told.sealed) == (texts.paused("系统升级"), None)


def test_pause_whose_words_cannot_be_opened_is_a_pause() -> None:
    other = KeyRing("other", {"other": b"x" * 32})
    sealed = other.seal(f"control.provinces/{PROVINCE}", {REASON: TALK})
    block = block_of(control(Bench(Scripted()).clock.now, sealed=sealed), KEYS)
    assert (block.cause, block.reason) == ("paused", texts.WAITING["paused"])


# -- codes and titles ---------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["id_110101199003078690", "13800001234", "1380000", "张三", 5, ""])
def test_code_that_may_be_a_number_of_a_person_is_unspecified(said: object) -> None:
    assert code_of(said) == "unspecified"


@pytest.mark.parametrize("said", ["unknown_item", "e40312", "code_5"])
def test_code_is_kept(said: str) -> None:
    assert code_of(said) == said


async def test_title_of_a_province_is_replaced_by_the_items_name() -> None:
    paper = OfferedDocument(
        name="c", title="张三社保证明 110101199003078690", sha256="0" * 64, size=1
    )
    other = paper.model_copy(update={"name": "d", "sha256": "1" * 64})

    def completed(papers: list[OfferedDocument]) -> GatewayAnswer:
        return answer("r-1", documents=papers)

    for papers, titles in (
        ([paper], ["社保"]),
        ([paper, other], ["社保（1）", "社保（2）"]),
    ):
        bench = Bench(Scripted(submit=[completed(papers)], fetch=[b"x"]))
        assert await bench.work(bench.record()) == "done"
        (told,) = bench.published.outcomes
        assert [document.title for document in told.documents] == titles
