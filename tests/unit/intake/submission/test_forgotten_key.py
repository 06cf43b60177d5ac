"""A key that comes again after its request was forgotten does not make the province act twice."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.connectors.kit import PROVINCE, Bench, Scripted, answer
from tests.unit.intake.kit import Door, Readable, body, items, kiosk
from tongban_common import topics
from tongban_common.catalogue import Item
from tongban_common.events import decode
from tongban_common.events.models import RequestSubmitted
from tongban_common.store import DuplicateKey
from tongban_intake.readmodel.completeness import Completeness
from tongban_kafka import Record
from tongban_router.domain.emission import outgoing
from tongban_router.domain.lifecycle import Lifecycle
from tongban_router.domain.state import Rules

KEY = "comes-again-on-monday"
PLACE = (topics.REQUESTS_STATUS, 0)


def of_beijing() -> Item:
    """An item of the province that the kit's connector speaks to."""
    return next(
        item
        for item in items()
        if item.province == PROVINCE and item.example_applicant["type"] == "person"
    )


def marked(record: Record) -> bool:
    return dict(record.headers).get("ce_repeat") == b"true"


async def submit(door: Door, key: str = KEY) -> Record:
    await door.acceptor.accept(kiosk(), key, body(of_beijing()))
    return door.topic.records[-1]


def routed(record: Record, bench: Bench) -> Record:
    """The call to the province, of a router that remembers nothing of this request."""
    event = decode(record.value, record.headers)
    assert isinstance(event.body, RequestSubmitted)
    decision = Lifecycle(Rules()).apply(
        None, event.id, event.body, now=event.body.submitted_at, maybe_seen=event.repeat
    )
    (_, key, value, headers) = list(outgoing(decision))[-1]
    created_ms = round(time.time() * 1000)
    return Record(
        "province", 0, 7, created_ms, key, value, tuple(headers), False, bench.assigned_at
    )


async def test_submission_with_store_away_makes_the_connector_ask_first() -> None:
    door = Door()
    door.readable.down = True
    record = await submit(door)
    assert marked(record)
    bench = Bench(
        Scripted(look_up=[answer], submit=[AssertionError("acted twice")]), clock=door.clock
    )
    assert await bench.work(routed(record, bench)) == "done"
    assert bench.gateway.calls == ["look_up"]


async def test_submission_with_store_up_is_sent_at_once() -> None:
    door = Door()
    record = await submit(door)
    assert not marked(record)
    bench = Bench(Scripted(), clock=door.clock)
    assert await bench.work(routed(record, bench)) == "done"
    assert bench.gateway.calls == ["submit"]


async def test_submission_to_a_resting_store_is_marked_as_well() -> None:
    """A store that failed a moment ago is not asked for a second: that is "not asked" too."""
    door = Door()
    door.readable.down = True
    await submit(door, "first-of-two-keys")
    door.readable.down = False
    assert marked(await submit(door, "second-of-two-keys"))
    assert door.readable.calls[-1][0] in ("accepted", "open_for")
    assert len(door.readable.calls) <= 2


async def test_submission_with_an_incomplete_read_model_is_marked() -> None:
    door = Door()
    door.complete = False
    assert marked(await submit(door))


async def test_key_that_the_read_model_knows_is_not_published_again() -> None:
    door = Door()
    await submit(door)
    readable = Readable()
    readable.project(door.last)
    later = Door(readable)
    later.complete = False
    accepted = await later.acceptor.accept(kiosk(), KEY, body(of_beijing()))
    assert accepted.request_id == door.last.request_id
    assert later.topic.records == []


class Positions:
    """A topic and a consumer group whose offsets are set by hand."""

    def __init__(self, *, begin: int = 0, end: int = 0, committed: int | None = None) -> None:
        self.begin, self.end, self.at = begin, end, committed

    async def begins(self) -> dict[tuple[str, int], int]:
        return {PLACE: self.begin}

    async def ends(self) -> dict[tuple[str, int], int]:
        return {PLACE: self.end}

    async def committed(self) -> dict[tuple[str, int], int]:
        return {} if self.at is None else {PLACE: self.at}

    async def projected_last(self, committed: Mapping[tuple[str, int], int]) -> set[str]:
        return {f"r-{offset}" for offset in committed.values() if offset > self.begin}


class Origins:
    """The store's one document."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] | None = None
        self.lost = False
        """Set to make the store lack the requests that were projected last."""

    async def count_documents(self, query: dict[str, Any]) -> int:
        return 0 if self.lost else len(query["_id"]["$in"])

    async def delete_many(self, _: Any) -> None:
        self.kept = None

    def collection(self, _: str) -> Origins:
        return self

    async def find_one(self, _: Any) -> dict[str, Any] | None:
        return self.kept

    async def insert_one(self, document: dict[str, Any]) -> None:
        if self.kept is not None:
            raise DuplicateKey
        self.kept = document


class Times:
    """Clocks that are moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, tzinfo=UTC)

    def completeness(self, positions: Positions, origins: Origins) -> Completeness:
        return Completeness(
            positions,
            origins,  # type: ignore[arg-type]
            monotonic=lambda: self.now.timestamp(),  # noqa: PLW0108 - `now` is moved
            now=lambda: self.now,
        )


@pytest.fixture
def times() -> Times:
    return Times()


async def test_read_model_of_an_empty_topic_is_complete(times: Times) -> None:
    found = times.completeness(Positions(), Origins())
    assert not found.complete
    await found.look()
    assert found.complete


async def test_read_model_behind_at_start_is_complete_once_it_has_caught_up(times: Times) -> None:
    positions, origins = Positions(end=50, committed=10), Origins()
    origins.kept = {"whole_from": times.now}
    found = times.completeness(positions, origins)
    await found.look()
    assert not found.complete
    positions.end, positions.at = 90, 50
    await found.look()
    assert found.complete


async def test_read_model_that_stops_projecting_is_incomplete_after_an_hour(times: Times) -> None:
    positions = Positions()
    found = times.completeness(positions, Origins())
    positions.end = 5
    await found.look()
    positions.at = 5
    await found.look()
    positions.end = 9
    times.now += timedelta(minutes=59)
    assert found.complete
    await found.look()  # all that was there 59 minutes ago: the goal moves to what is there now
    times.now += timedelta(minutes=59)
    await found.look()
    assert found.complete
    times.now += timedelta(minutes=2)
    await found.look()
    assert not found.complete


@pytest.mark.parametrize(
    "positions",
    [Positions(end=50, committed=50), Positions(begin=20, end=50)],
    ids=["collection lost", "retention has deleted events"],
)
async def test_read_model_without_its_past_is_incomplete_for_as_long_as_keys_repeat(
    times: Times, positions: Positions
) -> None:
    origins = Origins()
    first = times.completeness(positions, origins)
    positions.at = positions.at or 0
    await first.look()
    positions.at = positions.end
    await first.look()
    assert not first.complete
    times.now += topics.KEYS_REPEATED + timedelta(seconds=1)
    later = times.completeness(positions, origins)
    await later.look()
    assert later.complete


async def whole(times: Times) -> tuple[Positions, Origins, Completeness]:
    """Return a read model that has been compared once and says that it is whole."""
    positions, origins = Positions(end=50, committed=50), Origins()
    origins.kept = {"whole_from": times.now}
    found = times.completeness(positions, origins)
    await found.look()
    return positions, origins, found


async def test_read_model_played_back_from_a_backup_is_incomplete_although_it_says_whole(
    times: Times,
) -> None:
    """The back-up has the document that says since when the read model is whole."""
    positions, origins, found = await whole(times)
    assert found.complete
    origins.lost = True
    await found.look()
    assert not found.complete
    origins.lost = False  # what comes next is projected again; what was lost stays lost
    await found.look()
    assert not found.complete
    restarted = times.completeness(positions, origins)
    await restarted.look()
    assert not restarted.complete


async def test_read_model_is_incomplete_where_the_log_ends_below_what_was_committed(
    times: Times,
) -> None:
    positions, _, found = await whole(times)
    positions.end = 30
    await found.look()
    assert not found.complete


async def test_replicas_that_start_together_agree(times: Times) -> None:
    origins = Origins()
    first = times.completeness(Positions(), origins)
    await first.look()
    second = times.completeness(Positions(end=3, committed=3), origins)
    await second.look()
    assert (first.complete, second.complete) == (True, True)
