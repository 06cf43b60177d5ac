"""Tests a worker whose process is in trouble, and records that are strange but readable."""

from __future__ import annotations

import errno

import pytest
from aiokafka import TopicPartition
from structlog.testing import capture_logs

from tests.unit.kafka.fetcher_kit import Wire, batch, rows
from tests.unit.kafka.worker_kit import QUICK, Handled, Letters, WiredWorker, until, working
from tongban_kafka import BatchWorker, Poison, ProcessTroubleError, Record, is_process_trouble

A = TopicPartition("a", 0)


class KeyNotThere(ProcessTroubleError):
    """Stands for the own error of a layer."""


def _from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


TROUBLES = [
    MemoryError(),
    OSError(errno.ENOSPC, "disk full"),
    OSError(errno.EMFILE, "too many files"),
    ConnectionRefusedError(),
    KeyNotThere(),
    RuntimeError("can't start new thread"),
    _from(RuntimeError("bulk write"), OSError(errno.EIO, "io")),
    _from(Poison("no event"), MemoryError()),
]
FAULTS = [
    ValueError(),
    RecursionError(),
    TimeoutError(),
    FileNotFoundError(errno.ENOENT, "no such file"),
    OSError("cannot identify image file"),
    Poison("no event"),
]


@pytest.mark.parametrize("error", TROUBLES, ids=repr)
def test_trouble_of_the_process_is_recognised(error: Exception) -> None:
    assert is_process_trouble(error)


@pytest.mark.parametrize("error", FAULTS, ids=repr)
def test_fault_of_a_record_is_no_trouble_of_the_process(error: Exception) -> None:
    assert not is_process_trouble(error)


@pytest.mark.parametrize("error", TROUBLES, ids=repr)
async def test_trouble_of_the_process_is_waited_out_without_a_dead_letter(
    error: Exception,
) -> None:
    attempts = 0

    async def handle(_: Record) -> None:
        nonlocal attempts
        attempts += 1
        if attempts <= 20:
            raise error

    wire = Wire(A)
    wire.write(A, batch(0, rows(1)), 1)
    worker = WiredWorker(wire, handle)
    with capture_logs() as logs:
        async with working(worker):
            await until(lambda: wire.commits[-1:] == [{A: 1}])
    assert worker.letters.written == []
    assert worker.metric("process_troubles_total", topic="a") == 20
    assert [line["log_level"] for line in logs if line["event"] == "process_in_trouble"] == [
        "critical"
    ]


async def test_batch_in_trouble_is_repeated_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    async def handle(records: object) -> None:
        calls.append(len(list(records)))  # type: ignore[call-overload]
        if len(calls) < 10:
            raise MemoryError

    wire = Wire(A)
    wire.write(A, batch(0, rows(4)), 4)
    letters = Letters()
    worker = WiredWorker(wire, Handled())
    batches = BatchWorker(worker.config, ["t"], handle, producer=letters, registry=worker.registry)
    monkeypatch.setattr(batches, "_connect", lambda: WiredWorker._connect(batches))  # type: ignore[arg-type]
    monkeypatch.setattr(batches, "wire", wire, raising=False)
    async with working(batches):
        await until(lambda: wire.commits[-1:] == [{A: 4}])
    assert calls == [4] * 10
    assert letters.written == []


async def test_ordinary_exceptions_still_end_as_dead_letters() -> None:
    async def handle(_: Record) -> None:
        raise ValueError

    wire = Wire(A)
    wire.write(A, batch(0, rows(1)), 1)
    worker = WiredWorker(wire, handle, retry=QUICK)
    async with working(worker):
        await until(lambda: wire.commits[-1:] == [{A: 1}])
    (letter,) = worker.letters.written
    assert letter["dlt_attempts"] == b"6"


@pytest.mark.parametrize(
    ("row", "headers"),
    [
        ((None, None), [("ce_id", None)]),
        ((None, b"v"), [("ce_id", b"\xff\xfe"), ("", b"")]),
        ((b"\xff", b"v"), [("ce_id", b"1"), ("ce_id", None)]),
        ((b"k", None), [("large", b"x" * 900_000)]),
    ],
    ids=["null header, no key, no value", "not UTF-8", "the same header twice", "huge header"],
)
async def test_strange_record_becomes_a_dead_letter_unchanged(
    row: tuple[bytes | None, bytes | None], headers: list[tuple[str, bytes | None]]
) -> None:
    async def handle(record: Record) -> None:
        record.header("ce_id")
        raise Poison("no event")

    wire = Wire(A)
    wire.write(A, batch(0, [row], headers=headers), 1)
    worker = WiredWorker(wire, handle)
    async with working(worker):
        await until(lambda: wire.commits[-1:] == [{A: 1}])
    (letter,) = worker.letters.written
    assert letter["dlt_offset"] == b"0"
    assert headers[0][0] in letter
