"""A province whose worker fails by an error that nobody foresaw leaves the others working."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
from prometheus_client import REGISTRY

from tests.unit.connectors.kit import eventually
from tongban_common.catalogue.holidays import Holidays
from tongban_common.catalogue.provinces import load_provinces
from tongban_common.clock import BusinessClock
from tongban_connectors import gate_sources as pauses_module
from tongban_connectors import province as module
from tongban_connectors.gate import Gate
from tongban_connectors.gate_sources import Pauses, following
from tongban_connectors.province import ConnectorDependencies, ProvinceRunner
from tongban_connectors.settings import ConnectorSettings
from tongban_kafka import ConsumerFailedError, DeadLetterLimitError

LIVES: dict[str, list[BaseException]] = {}
"""By group: how each next life of its worker ends; without one, it works until it is stopped."""


class FakeWorker:
    """A worker that ends as it is told."""

    begun: ClassVar[dict[str, int]] = {}

    def __init__(self, config: Any, *_: Any, **__: Any) -> None:
        self._group = config.group
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        self.begun[self._group] = self.begun.get(self._group, 0) + 1
        if LIVES.get(self._group):
            raise LIVES[self._group].pop(0)
        await self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()

    def liveness(self) -> str | None:
        return None

    def readiness(self) -> str | None:
        return None


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "Worker", FakeWorker)
    monkeypatch.setattr(module, "RESTARTS", SimpleNamespace(delay=lambda _: 0.01))
    monkeypatch.setattr(module, "FLOOD_PAUSE_S", 0.01)
    monkeypatch.setattr(pauses_module, "RESTARTS", SimpleNamespace(delay=lambda _: 0.2))
    FakeWorker.begun = {}
    yield
    LIVES.clear()


def runners(*codes: str) -> list[ProvinceRunner]:
    provinces = load_provinces()
    means: Any = ConnectorDependencies(
        settings=ConnectorSettings(),
        session=None,  # type: ignore[arg-type]
        producer=None,  # type: ignore[arg-type]
        documents=None,  # type: ignore[arg-type]
        inspector=None,  # type: ignore[arg-type]
        holidays=Holidays(),
        keys=None,  # type: ignore[arg-type]
    )
    return [ProvinceRunner(means, provinces[code]) for code in codes]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("offset 10 lies before 500"),
        RuntimeError("x"),
        OSError(24, "Too many open files"),
        MemoryError(),
        ExceptionGroup("unhandled errors in a TaskGroup", [ValueError("a"), KeyError("b")]),
        asyncio.CancelledError(),
        ConsumerFailedError("x"),
        DeadLetterLimitError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_failed_worker_is_replaced_while_others_continue(error: BaseException) -> None:
    failing, *others = runners("110000", "120000", "130000")
    group = module.connector_group(failing.code)
    LIVES[group] = [error, error]
    async with asyncio.TaskGroup() as tasks:
        for runner in (failing, *others):
            tasks.create_task(runner.run())
        await eventually(lambda: FakeWorker.begun.get(group, 0) == 3)
        assert {each: FakeWorker.begun[each] for each in FakeWorker.begun if each != group} == {
            module.connector_group(other.code): 1 for other in others
        }
        for runner in (failing, *others):
            assert runner.liveness() is None
            runner.stop()


async def test_failed_worker_is_reported_until_the_next_one_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RESTARTS", SimpleNamespace(delay=lambda _: 3600))
    (runner,) = runners("110000")
    LIVES[module.connector_group(runner.code)] = [ValueError("张三")]
    running = asyncio.create_task(runner.run())
    await eventually(lambda: runner.readiness() is not None)
    assert runner.readiness() == "its worker failed: ValueError"
    labels = {"province": runner.code}
    assert REGISTRY.get_sample_value("tongban_connector_stopped", labels) == 1
    assert runner.liveness() is None, "a new process would stop the others and mend nothing"
    runner.stop()
    await asyncio.wait_for(running, 5)


async def test_cancelled_runner_ends() -> None:
    (runner,) = runners("110000")
    running = asyncio.create_task(runner.run())
    await eventually(lambda: bool(FakeWorker.begun))
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()


@pytest.mark.parametrize("error", [ValueError("x"), asyncio.CancelledError()], ids=repr)
async def test_reader_of_pauses_that_fails_begins_again_and_ends_nobody(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    pauses = Pauses("nowhere:9", BusinessClock.real(), cast(Any, None))
    lives = 0

    async def run() -> None:
        nonlocal lives
        lives += 1
        if lives < 3:
            raise error
        pauses._view._ready.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(pauses._view, "run", run)
    entered = asyncio.Event()

    async def work() -> None:
        async with following(pauses, asyncio.Event()):
            entered.set()

    working = asyncio.create_task(work())
    await eventually(lambda: lives == 1)
    assert "cannot be read" in str(pauses.readiness())
    assert not entered.is_set(), "a province that is paused would be called"
    await asyncio.wait_for(working, 5)
    assert lives == 3


async def test_source_that_fails_keeps_its_province_shut_and_blames_no_record() -> None:
    broken = True

    def source() -> None:
        if broken:
            raise OverflowError("date value out of range")

    gate = Gate("110000", clock=BusinessClock.real(), sources=[source])
    block = gate.block(effect=True)
    assert block is not None
    assert block.cause == "down"
    place = gate.join_queue(effect=True)
    broken = False
    await asyncio.wait_for(place, 5)
