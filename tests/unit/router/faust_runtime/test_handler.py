"""The router's own trouble ends the process; only a fault of the record puts a record aside."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from structlog.testing import capture_logs

from tests.unit.router.domain.test_lifecycle import START, begun, outcome, submitted
from tongban_common.domain.status import OutcomeKind, Status
from tongban_common.events import Event, encode
from tongban_router.domain.state import RequestState
from tongban_router.faust_runtime import app as app_module
from tongban_router.faust_runtime import handler as module
from tongban_router.faust_runtime.app import Router
from tongban_router.faust_runtime.batch_reader import UnreadableBatch
from tongban_router.faust_runtime.consumer import UnreadableMessage
from tongban_router.settings import RouterSettings

NAME = "张三三"


class Died(BaseException):
    """Stands for the end of the process."""


class BareRouter:
    """Wraps a router's handler without a running Faust application."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[str, bytes | None, dict[str, bytes]]] = []
        self.real = Router(RouterSettings(data=directory)).handler
        self.real._emit = self.real._dead_letters._emit = self._emit
        self.real._dead_letters._known.set()
        self.real._fence._lease.renew(time.monotonic())
        self.real._fence.begin()
        self.real.requests.table = {}
        monkeypatch.setattr(module, "die", self._die)

    async def _emit(self, topic: str, key: Any, _value: Any, headers: Any) -> None:
        self.sent.append((topic, key, dict(headers)))

    @staticmethod
    def _die(event: str, error: BaseException, _topic: str) -> None:
        raise Died(event, type(error).__name__)

    async def handle(self, message: Any) -> None:
        await self.real.handle(SimpleNamespace(message=message))


@pytest.fixture
def router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BareRouter:
    return BareRouter(tmp_path, monkeypatch)


def message_of(body: Any, **change: Any) -> SimpleNamespace:
    value, headers = encode(Event("e-1", "test", body, START))
    fields = {"topic": "requests.submitted", "partition": 0, "offset": 0, "timestamp": None}
    return SimpleNamespace(**fields | {"key": b"r-1", "value": value, "headers": headers} | change)


class FullDisk(dict[bytes, bytes]):
    """A table whose disk has no room left; RocksDB's binding raises a plain Exception."""

    def __setitem__(self, key: bytes, value: bytes) -> None:
        raise Exception("IO error: No space left on device")


class Damaged(dict[bytes, bytes]):
    def get(self, *_: Any) -> Any:
        raise Exception("Corruption: block checksum mismatch")


@pytest.mark.parametrize("table", [FullDisk, Damaged])
async def test_a_table_that_fails_ends_the_process_and_puts_nothing_aside(
    router: BareRouter, table: type
) -> None:
    router.real.requests.table = table()
    with pytest.raises(Died, match="own_trouble"):
        await router.handle(message_of(submitted()))
    assert router.sent == []


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device")])
async def test_exhausted_memory_or_a_failed_call_of_the_system_ends_the_process(
    router: BareRouter, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router.real._lifecycle, "apply", raising(error))
    with pytest.raises(Died, match="own_trouble"):
        await router.handle(message_of(submitted()))
    assert router.sent == []


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


async def test_a_request_that_cannot_be_held_is_not_passed_over(
    router: BareRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router.real, "_hold", raising(RuntimeError(NAME)))
    with pytest.raises(Died, match="not_held"):
        await router.handle(message_of(submitted(), value=b"garbage"))


async def test_a_request_whose_state_is_unreadable_does_not_stop_its_partition(
    router: BareRouter,
) -> None:
    router.real.requests.table = {b"r-1": b"{}"}
    with capture_logs() as logs:
        await router.handle(message_of(submitted()))
    assert [topic for topic, *_ in router.sent] == ["tongban-router.dlt"]
    assert [line["event"] for line in logs if line["log_level"] == "critical"] == [
        "router.not_held"
    ]


async def test_a_header_whose_value_is_null_is_put_aside(router: BareRouter) -> None:
    message = message_of(submitted())
    message.headers = [("ce_id", None), *message.headers[2:]]
    await router.handle(message)
    letters = [headers for topic, _, headers in router.sent if topic == "tongban-router.dlt"]
    assert [letter["dlt_reason"] for letter in letters] == [b"header missing: ce_id"]


async def test_additional_null_header_is_ignored(router: BareRouter) -> None:
    message = message_of(submitted())
    message.headers = [*message.headers, ("x", None)]
    await router.handle(message)
    assert router.sent[-1][0] == "province.340000.requests"


@pytest.mark.parametrize("name", ["ce_type", "ce_time"])
async def test_a_header_is_quoted_nowhere(router: BareRouter, name: str) -> None:
    message = message_of(submitted())
    quoted = NAME.encode()
    message.headers = [(n, quoted if n == name else value) for n, value in message.headers]
    with capture_logs() as logs:
        await router.handle(message)
    letter = next(headers for topic, _, headers in router.sent if topic.endswith(".dlt"))
    assert NAME not in letter["dlt_reason"].decode()
    assert NAME not in repr(logs)


async def test_fault_is_logged_without_quoted_values(router: BareRouter) -> None:
    state, call_id = begun()
    kept = state.model_dump_json(exclude_defaults=True).replace('"routed"', f'"{NAME}"')
    router.real.requests.table = {b"r-1": kept.encode()}
    body = outcome(OutcomeKind.REJECTED, call_id)
    with capture_logs() as logs:
        await router.handle(message_of(body, topic="requests.outcomes"))
    assert NAME not in repr(logs)
    faults = [line for line in logs if line["event"] == "router.fault"]
    assert faults[0]["wrong"] == "/history/1/status: enum"


async def test_an_unreadable_batch_is_one_dead_letter_that_names_its_place(
    router: BareRouter,
) -> None:
    message = UnreadableMessage(
        "requests.submitted", 3, 12, 0.0, 0, [], None, None, None, tp=TP("requests.submitted", 3)
    )
    place = [("dlt_offset", b"7"), ("dlt_next_offset", b"13")]
    message.batch = UnreadableBatch(7, 12, (None, b"", place))
    await router.handle(message)
    assert router.sent == [("tongban-router.dlt", None, dict(place))]


async def test_record_behind_a_skipped_one_ends_the_process(router: BareRouter) -> None:
    router.real._gaps.begin({("requests.submitted", 0): 4})
    with pytest.raises(Died, match="records_passed_over"):
        await router.handle(message_of(submitted(), offset=5))
    assert router.sent == []


async def test_log_shorter_than_the_handled_offset_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "die", BareRouter._die)
    real, tp = Router(RouterSettings(data=tmp_path)), TP("requests.submitted", 0)
    real._before_seek({tp: 40}, {tp: 40})
    with pytest.raises(Died, match="log_went_back"):
        real._before_seek({tp: 0}, {tp: 12})


async def test_a_fault_of_the_record_holds_its_request(router: BareRouter) -> None:
    await router.handle(message_of(submitted()))
    await router.handle(message_of(submitted(), value=b"garbage", offset=1))
    kept = RequestState.model_validate_json(router.real.requests.table[b"r-1"])
    assert kept.status is Status.HELD
