"""GET /v1/requests/{id}/events: history and live in one, without gap or repeat."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.integration.intake.conftest import Replica, Stack, token
from tests.integration.intake.test_reading import shown
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.events.models import DocumentRef

DOCUMENT = DocumentRef(document_id="d-1", title="证明", pages=1, sha256="ab" * 32)


class Watcher:
    """A client of server-sent events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> tuple[str, str | None, Any] | None:
        """Event, id, data; None at the end of the stream. Comments are passed over."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            while line := (await self._response.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if line != "\n":
                    fields[name] = value
                elif "event" in fields:
                    return fields["event"], fields.get("id"), json.loads(fields["data"])
                else:
                    fields = {}
        return None

    async def take(self, event: str, count: int) -> list[Any]:
        """The next events of that name."""
        found: list[Any] = []
        while len(found) < count:
            came = await self.next()
            assert came is not None, f"the stream ended after {found}"
            if came[0] == event:
                found.append(came)
        return found

    async def rest(self) -> list[Any]:
        """All until the end."""
        found = []
        while (came := await self.next()) is not None:
            found.append(came)
        return found


@asynccontextmanager
async def watching(
    intake: Replica, request_id: str, last: str | None = None
) -> AsyncIterator[Watcher]:
    headers = {"Authorization": f"Bearer {token()}"}
    if last is not None:
        headers["Last-Event-ID"] = last
    url = f"{intake.url}/v1/requests/{request_id}/events"
    async with intake.session.get(url, headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Watcher(response)


def ids_of(events: list[Any]) -> list[str]:
    return [number for name, number, _ in events if name == "status"]


async def test_history_then_live_then_the_end(intake: Replica, stack: Stack) -> None:
    event = await stack.accepted(intake, "events-whole")
    await stack.tell(event, Status.SUBMITTED, Status.ROUTED)
    await shown(intake, event.request_id, Status.ROUTED)
    async with watching(intake, event.request_id) as watcher:
        before = await watcher.take("status", 2)
        assert [data["status"] for _, _, data in before] == ["submitted", "routed"]
        await stack.tell(event, Status.ACCEPTED, Status.COMPLETED, seq=3)
        live = await watcher.take("status", 2)
        assert ids_of(before + live) == ["1", "2", "3", "4"]
        await stack.report_print(event, DOCUMENT, PrintStatus.QUEUED, seq=1)
        await stack.report_print(event, DOCUMENT, PrintStatus.PRINTED, seq=2)
        rest = await watcher.rest()
    prints = [data["status"] for name, _, data in rest if name == "print"]
    # A look at the read model in between tells how the order stands, not how it came to that.
    assert prints in (["queued", "printed"], ["printed"])
    assert rest[-1][0] == "end"


async def test_resumed_stream_sends_new_events_once(intake: Replica, stack: Stack) -> None:
    event = await stack.accepted(intake, "events-resume")
    await stack.tell(event, Status.SUBMITTED, Status.ROUTED, Status.ACCEPTED)
    await shown(intake, event.request_id, Status.ACCEPTED)
    async with watching(intake, event.request_id, last="2") as watcher:
        assert ids_of(await watcher.take("status", 1)) == ["3"]
        # A repeat, as after a crash of the router.
        await stack.tell(event, Status.SUBMITTED, Status.ROUTED, Status.ACCEPTED)
        await stack.tell(event, Status.REJECTED, seq=4)
        assert ids_of(await watcher.rest()) == ["4"]
    async with watching(intake, event.request_id, last="nonsense") as watcher:
        assert ids_of(await watcher.rest()) == ["1", "2", "3", "4"]


async def test_watchers_that_come_in_the_middle_miss_nothing(intake: Replica, stack: Stack) -> None:
    """Statuses come while watchers open their streams: each sees all of them, once, in order."""
    event = await stack.accepted(intake, "events-race", print=False)
    count = 60
    seen: list[list[str]] = []

    async def watch() -> None:
        last: str | None = None
        mine: list[str] = []
        while not mine or mine[-1] != str(count):
            async with watching(intake, event.request_id, last) as watcher:
                # Some break off and come again, as browsers do.
                while (came := await watcher.next()) is not None:
                    if came[0] != "status":
                        continue
                    mine.append(str(came[1]))
                    last = came[1]
                    if len(mine) % 17 == 0:
                        break
        seen.append(mine)

    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            if number % 6 == 0:
                tasks.create_task(watch())
            status = Status.REJECTED if number == count - 1 else Status.ROUTED
            await stack.tell(event, status, seq=number + 1)
    assert len(seen) == 10
    for mine in seen:
        assert mine == [str(number) for number in range(1, count + 1)]


async def test_a_quiet_stream_has_a_heartbeat_and_ends_when_intake_stops(stack: Stack) -> None:
    async with stack.replica(TONGBAN_STREAM_HEARTBEAT="0.2") as intake:
        answer = await intake.submit(stack.body(), "events-quiet")
        url = f"{intake.url}{(await answer.json())['events_url']}"
        headers = {"Authorization": f"Bearer {token()}"}
        async with intake.session.get(url, headers=headers) as response:
            beats = 0
            async with asyncio.timeout(10):
                while beats < 3:
                    beats += (await response.content.readline()).startswith(b":")
                intake.process.terminate()
                rest = await response.content.read()
        assert b"event: end" not in rest
        assert await intake.stop() == 0


async def test_too_many_streams_are_503(stack: Stack) -> None:
    async with stack.replica(TONGBAN_MAX_STREAMS="1") as intake:
        answer = await intake.submit(stack.body(), "events-many")
        path = (await answer.json())["events_url"]
        headers = {"Authorization": f"Bearer {token()}"}
        async with intake.session.get(intake.url + path, headers=headers) as response:
            await response.content.readline()
            second = await intake.call("GET", path)
            assert second.status == 503
            assert int(second.headers["Retry-After"]) >= 1
