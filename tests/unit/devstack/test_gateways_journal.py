"""The journal of the simulated outside: group commit, order, and what a failure undoes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tongban_devstack.outside.faults import FAULTS_SCHEMA, FaultBoard, FaultSet
from tongban_devstack.outside.journal import GROUP, WAITING, SqliteJournal

SCHEMA = "CREATE TABLE IF NOT EXISTS notes (number INTEGER PRIMARY KEY, thread INTEGER);"


def note(number: int) -> Callable[[sqlite3.Connection], int]:
    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO notes (number) VALUES (?)", (number,))
        return number

    return work


def count(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("SELECT count(*) FROM notes").fetchone()
    return int(number)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    async with SqliteJournal(tmp_path / "deep" / "journal.sqlite3", SCHEMA) as opened:
        yield opened


async def test_more_than_fits_is_written_in_the_end(journal: SqliteJournal) -> None:
    numbers = range(WAITING + 2 * GROUP)
    assert await asyncio.gather(*(journal.write(note(n)) for n in numbers)) == list(numbers)
    assert await journal.read(count) == len(numbers)


async def test_transaction_sees_earlier_transactions(journal: SqliteJournal) -> None:
    counts = await asyncio.gather(
        *(call for n in range(50) for call in (journal.write(note(n)), journal.write(count)))
    )
    assert counts[1::2] == list(range(1, 51))


async def test_failed_transaction_rolls_back_alone(journal: SqliteJournal) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        note(1000)(connection)
        raise ValueError("on second thoughts")

    answers = await asyncio.gather(
        journal.write(note(1)),
        journal.write(fails),
        journal.write(note(1)),
        journal.write(note(2)),
        return_exceptions=True,
    )
    assert answers[0] == 1
    assert isinstance(answers[1], ValueError)
    assert isinstance(answers[2], sqlite3.IntegrityError)
    assert answers[3] == 2
    assert await journal.read(count) == 2


async def test_acknowledged_write_is_visible_to_other_connections(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    await journal.write(note(1))
    with sqlite3.connect(tmp_path / "deep" / "journal.sqlite3") as other:
        assert count(other) == 1


async def test_a_caller_that_gives_up_does_not_stop_the_work(journal: SqliteJournal) -> None:
    task = asyncio.create_task(journal.write(note(1)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await journal.write(count) == 1


async def test_reports_cannot_write(journal: SqliteJournal) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await journal.read(note(1))


async def test_close_waits_for_pending_writes(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "journal", SCHEMA) as journal:
        tasks = [asyncio.create_task(journal.write(note(n))) for n in range(500)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*tasks) == list(range(500))
    async with SqliteJournal(tmp_path / "journal", SCHEMA) as journal:
        assert await journal.read(count) == 500


class _Faults(FaultSet):
    broken: bool = False


async def test_faults_are_kept_by_family_and_their_changes_told(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "journal", FAULTS_SCHEMA) as journal:
        board = FaultBoard(journal, "doors", _Faults)
        other = FaultBoard(journal, "windows", _Faults)
        changed = board.changed
        await board.put("front", _Faults(broken=True))
        assert changed.is_set()
        assert not board.changed.is_set()
        await other.put("front", _Faults())
        await other.clear()
        assert board.of("front").broken
        assert not board.of("back").broken
    async with SqliteJournal(tmp_path / "journal", FAULTS_SCHEMA) as journal:
        board = FaultBoard(journal, "doors", _Faults)
        await board.load()
        assert board.as_json() == {"front": {"broken": True}}
        await board.clear("front")
        await board.load()
        assert board.as_json() == {}
