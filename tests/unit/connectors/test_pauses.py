"""A paused province is not called, by no way that leads to a call."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.connectors.kit import Bench, Scripted, answer, eventually
from tongban_common.domain.status import CallKind
from tongban_connectors.domain import texts
from tongban_connectors.gate import Block
from tongban_kafka import Retry

PAUSE = Block("paused", reason=texts.paused("系统升级"))


async def test_paused_call_is_reported_once_and_continues_after_the_pause() -> None:
    pause = [PAUSE]
    bench = Bench(Scripted(), sources=[lambda: pause[0] if pause else None])
    for _ in range(3):
        for kind in (CallKind.SUBMIT, CallKind.POLL, CallKind.WITHDRAW):
            with pytest.raises(Retry) as waits:
                await bench.connector.handle(bench.record(kind))
            assert waits.value.when is not None
            waits.value.when.cancel()
    assert bench.gateway.calls == []
    told = [(said.outcome.value, said.cause, said.reason) for said in bench.published.outcomes]
    assert told == [("waiting", "paused", "省级平台暂停办理（系统升级），恢复后自动继续")] * 3
    pause.clear()
    assert await bench.work(bench.record()) == "done"
    assert bench.gateway.calls == ["submit"]


async def test_paused_call_continues_when_the_pause_is_withdrawn() -> None:
    pause = [PAUSE]
    bench = Bench(Scripted(), sources=[lambda: pause[0] if pause else None])
    task = asyncio.create_task(bench.work(bench.record()))
    await eventually(lambda: bench.gate.waiting == 1)
    pause.clear()
    assert await task == "done"


@pytest.mark.parametrize("seen", [False, True])
async def test_queued_call_is_not_sent_during_a_pause(seen: bool) -> None:
    """A pause holds for those in the queue of a slow province; what is under way is finished."""
    pause: list[Block] = []
    may_answer = asyncio.Event()
    gateway = Scripted(submit=[answer], look_up=[answer])
    take = gateway.submit

    async def submit(*args: object, **more: object) -> object:
        said = await take(*args, **more)  # type: ignore[arg-type]
        await may_answer.wait()
        return said

    gateway.submit = submit  # type: ignore[method-assign, assignment]
    bench = Bench(gateway, sources=[lambda: pause[0] if pause else None], concurrency=1)
    first = asyncio.create_task(bench.connector.handle(bench.record()))
    await eventually(lambda: gateway.calls == ["submit"])
    second = asyncio.create_task(bench.connector.handle(bench.record(request_id="r-2", seen=seen)))
    await asyncio.sleep(0)
    pause.append(PAUSE)
    may_answer.set()
    await first
    with pytest.raises(Retry, match="paused") as waits:
        await second
    assert waits.value.when is not None
    waits.value.when.cancel()
    assert gateway.calls == ["submit"]
    assert [said[0] for said in bench.told] == ["completed", "waiting"]
