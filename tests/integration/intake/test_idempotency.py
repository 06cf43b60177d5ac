"""Same kiosk, key and body: the same request, whichever replica answers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from tests.integration.intake.conftest import Replica, Stack, token
from tests.integration.intake.test_reading import shown
from tests.integration.intake.test_submit import problem
from tongban_common import topics
from tongban_common.domain.status import Status


async def test_a_repeat_gets_the_same_answer_and_no_second_event(
    intake: Replica, stack: Stack
) -> None:
    body = stack.body()
    first = await intake.submit(body, "repeat-0001")
    backwards = dict(reversed(body.items()))
    spaced = await intake.call(
        "POST",
        "/v1/requests",
        data=json.dumps(backwards, indent=3),
        headers={"Idempotency-Key": "repeat-0001", "Content-Type": "application/json"},
    )
    assert spaced.status == first.status == 202
    assert await spaced.read() == await first.read()
    request_id = (await first.json())["request_id"]
    assert len(await stack.events(topics.REQUESTS_SUBMITTED, request_id)) == 1


async def test_another_body_under_the_key_is_422(intake: Replica, stack: Stack) -> None:
    assert (await intake.submit(stack.body(), "reused-0001")).status == 202
    found = await problem(await intake.submit(stack.body(print=False), "reused-0001"), 422)
    assert found["type"].endswith("idempotency-key-reused")


async def test_refused_request_does_not_use_up_its_key(intake: Replica, stack: Stack) -> None:
    await problem(await intake.submit(stack.body() | {"form": {}}, "refused-0001"), 422)
    assert (await intake.submit(stack.body(), "refused-0001")).status == 202


async def test_calls_at_once_under_one_key_are_one_request(intake: Replica, stack: Stack) -> None:
    answers = await asyncio.gather(
        *(intake.submit(stack.body(), "at-once-0001") for _ in range(25))
    )
    assert {answer.status for answer in answers} == {202}
    assert len({await answer.read() for answer in answers}) == 1
    request_id = (await answers[0].json())["request_id"]
    assert len(await stack.events(topics.REQUESTS_SUBMITTED, request_id)) == 1


async def test_of_two_bodies_at_once_one_wins(intake: Replica, stack: Stack) -> None:
    bodies = [stack.body(), stack.body(print=False)] * 8
    answers = await asyncio.gather(*(intake.submit(body, "at-once-0002") for body in bodies))
    assert Counter(answer.status for answer in answers) == {202: 8, 422: 8}
    won = next(answer for answer in answers if answer.status == 202)
    event = await stack.submitted((await won.json())["request_id"])
    assert {answers[index].status for index in range(0, 16, 2)} == {202 if event.print else 422}


async def test_kiosks_do_not_share_keys(intake: Replica, stack: Stack) -> None:
    seen = set()
    for kiosk in ("kiosk-001", "kiosk-002"):
        headers = {"Authorization": f"Bearer {token(kiosk)}"}
        answer = await intake.submit(stack.body(), "shared-0001", headers=headers)
        seen.add((await answer.json())["request_id"])
    assert len(seen) == 2


async def test_repeat_at_another_replica_returns_the_first_request(
    intake: Replica, stack: Stack
) -> None:
    async with stack.replica() as other:
        # Before anything is projected: both may publish, under one event id.
        first, second = await asyncio.gather(
            intake.submit(stack.body(), "replicas-0001"),
            other.submit(stack.body(), "replicas-0001"),
        )
        assert (first.status, second.status) == (202, 202)
        # Which of the notes is on record, the topic decides (ADR 0014).
        told = [{**(await each.json()), "notes": []} for each in (first, second)]
        assert told[0] == told[1]
        event = await stack.submitted((await first.json())["request_id"])

        # Afterwards the read model tells.
        event = await stack.accepted(intake, "replicas-0002")
        await stack.tell(event, Status.SUBMITTED, Status.ROUTED)
        assert (await shown(other, event.request_id, Status.ROUTED))["timeline"]
        again = await other.submit(stack.body(), "replicas-0002")
        assert again.status == 202
        assert (await again.json())["request_id"] == event.request_id
        await problem(await other.submit(stack.body(print=False), "replicas-0002"), 422)
        assert len(await stack.events(topics.REQUESTS_SUBMITTED, event.request_id)) == 1


async def test_request_accepted_before_a_stop_is_on_the_topic(stack: Stack) -> None:
    """SIGTERM in the middle of a crowd: 202 or a clear refusal, nothing in between."""
    async with stack.replica() as intake:

        async def submit(number: int) -> str | None:
            try:
                answer = await intake.submit(stack.body(), f"draining-{number:04d}")
            except OSError:
                return None
            assert answer.status in (202, 503)
            return (await answer.json()).get("request_id") if answer.status == 202 else None

        crowd = [asyncio.create_task(submit(number)) for number in range(80)]
        await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)
        assert await intake.stop() == 0
        accepted = [found for found in await asyncio.gather(*crowd) if found]
    assert accepted
    for request_id in accepted[:: max(1, len(accepted) // 5)]:
        await stack.submitted(request_id)
