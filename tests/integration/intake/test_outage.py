"""Kafka away: refused in time. The store away: accepted, and reading says that it is late."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tests.integration.intake.conftest import Replica, Stack, until
from tests.integration.intake.test_events import watching
from tests.integration.intake.test_reading import shown
from tests.integration.intake.test_submit import problem
from tongban_common import topics
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.events.models import DocumentRef, NotificationReported
from tongban_common.store import Store
from tongban_intake.readmodel.projector import SOURCES

pytestmark = pytest.mark.long

DOCUMENT = DocumentRef(document_id="d-1", title="证明", pages=1, sha256="ef" * 32)


@pytest.fixture(scope="module")
async def replica(fragile: Stack) -> AsyncIterator[Replica]:
    """Started before there is any item: it waits for the catalogue and says so."""
    async with fragile.replica(ready=False) as running:

        async def knows_that_there_is_none() -> bool:
            waiting = await running.session.get(f"{running.url}/readyz")
            assert waiting.status == 503
            problems = (await waiting.json())["problems"]
            return "enrolled" not in problems and "no item" in problems.get("catalogue", "")

        await until(knows_that_there_is_none)
        await problem(await running.submit(fragile.body(), "nothing-offered"), 404)
        await fragile.offer()

        async def ready() -> bool:
            return (await running.session.get(f"{running.url}/readyz")).status == 200

        await until(ready)
        yield running


@asynccontextmanager
async def frozen(server: Any) -> AsyncIterator[None]:
    """The process stands still: connections stay open and nothing answers."""
    server.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.send_signal(signal.SIGCONT)


async def accepts(replica: Replica, fragile: Stack, key: str) -> None:
    async def accepted() -> bool:
        return (await replica.submit(fragile.body(), key)).status == 202

    await until(accepted, seconds=60, what="accepting again")


async def test_submission_to_a_frozen_kafka_is_503_in_time(
    replica: Replica, fragile: Stack
) -> None:
    await accepts(replica, fragile, "before-outage")
    async with frozen(fragile.broker):
        answers = []
        for number in range(3):
            began = time.monotonic()
            answers.append(await replica.submit(fragile.body(), f"outage-{number:04d}"))
            assert time.monotonic() - began < 2.2
        began = time.monotonic()
        answers += await asyncio.gather(
            *(replica.submit(fragile.body(), f"outage-{n:04d}") for n in range(3, 60)),
            *(replica.submit(fragile.body(), "outage-0000") for _ in range(5)),
        )
        assert time.monotonic() - began < 4
        for answer in answers:
            await problem(answer, 503)
            assert int(answer.headers["Retry-After"]) >= 1
        # What Kafka had before is still told, and what it was asked is remembered by nobody.
        await problem(await replica.submit(fragile.body(print=False), "before-outage"), 422)
    await accepts(replica, fragile, "outage-0000")
    answer = await replica.submit(fragile.body(), "outage-0000")
    await fragile.submitted((await answer.json())["request_id"])


async def test_submission_without_kafka_is_503_until_it_is_back(
    replica: Replica, fragile: Stack
) -> None:
    fragile.broker.send_signal(signal.SIGKILL)
    await fragile.broker.wait()
    await fragile.broker.stop()
    began = time.monotonic()
    await problem(await replica.submit(fragile.body(), "gone-000001"), 503)
    assert time.monotonic() - began < 2.2
    await fragile.broker.start()
    await accepts(replica, fragile, "gone-000001")


@pytest.mark.usefixtures("replica")
async def test_too_many_at_once_are_turned_away(fragile: Stack) -> None:
    async with fragile.replica(TONGBAN_MAX_ACCEPTING="4") as small:
        async with frozen(fragile.broker):
            began = time.monotonic()
            answers = await asyncio.gather(
                *(small.submit(fragile.body(), f"crowd-{n:05d}") for n in range(40))
            )
            assert time.monotonic() - began < 2.5
        assert {answer.status for answer in answers} == {503}
        details = [(await problem(answer, 503))["detail"] for answer in answers]
        assert sum("人数较多" in detail for detail in details) >= 36 - 4


async def test_without_the_store_requests_are_accepted_and_read_as_delayed(
    replica: Replica, fragile: Stack
) -> None:
    known = await fragile.accepted(replica, "store-down-1")
    await fragile.tell(known, Status.SUBMITTED, Status.ROUTED)
    await shown(replica, known.request_id, Status.ROUTED)
    async with frozen(fragile.database):
        took = []
        for number in range(6):
            began = time.monotonic()
            answer = await replica.submit(fragile.body(print=False), f"store-down-a{number}")
            took.append(time.monotonic() - began)
            assert answer.status == 202
        assert max(took) < 1.5
        request_id = (await answer.json())["request_id"]
        event = await fragile.submitted(request_id)
        late = await replica.get(f"/v1/requests/{request_id}")
        assert (late["status"], late["delayed"]) == ("submitted", True)
        assert late["item_code"] == event.item.code
        assert (await replica.get(f"/v1/requests/{known.request_id}"))["delayed"] is True
        for path in (f"/v1/requests/{request_id}/documents/d", "/v1/verify/0123456789ABCDEF"):
            await problem(await replica.call("GET", path), 503)
        page = await replica.session.get(f"{replica.url}/verify/0123456789ABCDEF")
        assert page.status == 503
        assert "这不说明材料有问题" in await page.text()
        await problem(
            await replica.post(f"/v1/requests/{request_id}/withdrawal", {}, "store-down-w"), 503
        )
        async with watching(replica, request_id) as watcher:
            await fragile.tell(event, Status.SUBMITTED, Status.REJECTED)
            live = await watcher.take("status", 2)
            assert [data["status"] for _, _, data in live] == ["submitted", "rejected"]
    await shown(replica, request_id, Status.REJECTED)
    assert (await replica.get(f"/v1/requests/{known.request_id}"))["status"] == "routed"


async def test_the_read_model_is_rebuilt_from_the_topics(replica: Replica, fragile: Stack) -> None:
    for number in range(12):
        event = await fragile.accepted(replica, f"rebuild-{number:04d}")
        await fragile.tell(event, Status.SUBMITTED, Status.ROUTED, Status.COMPLETED)
        await fragile.report_print(event, DOCUMENT, PrintStatus.QUEUED, seq=1)
        await fragile.report_print(event, DOCUMENT, PrintStatus.PRINTED, seq=2)
        for status in ("held", "sent"):
            message = NotificationReported(
                request_id=event.request_id,
                reference="ref",
                template="completed",
                channel="sms",
                status=status,  # type: ignore[arg-type]
                provider=None,
                at=event.submitted_at,
            )
            event_id = f"message-{number}-{status}"
            await fragile.send(topics.NOTIFICATIONS_SENT, message, event_id)
        await shown(replica, event.request_id, Status.COMPLETED)
        rating = {"grade": 1 + number % 5}
        path = f"/v1/requests/{event.request_id}/rating"
        assert (await replica.post(path, rating, f"rebuild-{number:04d}")).status == 202

    requests = Store(fragile.store, "tongban").collection("requests")

    async def all_documents() -> list[Any]:
        found: list[Any] = await requests.find({}).sort("_id").to_list(None)
        return found

    async def settled() -> list[Any] | None:
        found = await all_documents()
        whole = [each for each in found if "rating" in each and len(_messages(each)) == 2]
        return found if len(whole) == 12 else None

    before = await until(settled, what="twelve whole documents")
    assert await replica.stop() == 0
    await _begin_anew(fragile.kafka)
    await requests.drop()
    assert await all_documents() == []
    async with fragile.replica():

        async def same() -> bool:
            return await all_documents() == before

        await until(same, seconds=60, what="the same documents")


def _messages(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document.get("messages", {}).get("ref", {})
    return found


async def _begin_anew(kafka: str) -> None:
    """Commit offset 0 everywhere in the group's name, once its members have timed out."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, group_id=topics.READMODEL_GROUP, enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [
            TopicPartition(source, partition)
            for source in SOURCES
            for partition in range(topics.TOPICS[source].partitions)
        ]
        consumer.assign(partitions)

        async def committed() -> bool:
            try:
                await consumer.commit(dict.fromkeys(partitions, 0))
            except KafkaError:
                return False
            return True

        await until(committed, seconds=40, what="an empty group")
    finally:
        await consumer.stop()
