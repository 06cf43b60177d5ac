"""A provider is taken out of the settings while it may have a message."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.integration.outside_kit import BIN, Outside, completed, fresh_id, outside, until
from tongban_common import topics
from tongban_common.events.models import NotificationReported
from tongban_common.kafka import apply_topics


async def tongban(place: Outside, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        BIN / "tongban", *arguments, env=place.env, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_it_is_held_and_goes_on_once_the_provider_is_back(tmp_path: Path, store: str) -> None:
    quick = {"TONGBAN_SMS_TIMEOUT_S": "1", "TONGBAN_SMS_SETTLE_S": "3"}
    async with outside(tmp_path, store, **quick) as place:
        await apply_topics(place.kafka, [topics.TOPICS[topics.CONTROL_DEAD_LETTERS]])
        first, second = fresh_id(), fresh_id()
        await place.say(topics.REQUESTS_COMPLETED, completed(first))

        def statuses(request_id: str) -> list[str]:
            return [report.status for report in place.said(NotificationReported, request_id)]

        gone = {"TONGBAN_SMS_PROVIDERS": "borealis"}
        dead = place.start("notify", TONGBAN_FAULTPOINTS="notify.after_send")
        await dead.wait()  # aurora has it, and nobody knows
        place.running.remove(dead)
        without = place.start("notify", **gone)
        await until(lambda: statuses(first) == ["held"], "its being held", 60)
        await place.say(topics.REQUESTS_COMPLETED, completed(second))
        await until(lambda: statuses(second) == ["sent"], "the next one", 60)
        [letter] = json.loads(await tongban(place, "dlt", "list", "--json"))
        assert "TONGBAN_SMS_PROVIDERS" in letter["cause"]
        await place.end(without)
        place.start("notify", TONGBAN_SMS_PROVIDERS="borealis,aurora")
        await tongban(place, "dlt", "replay", letter["id"])
        await until(lambda: statuses(first) == ["held", "sent"], "its being settled", 60)
        sent = [(row["request_id"], row["provider"]) for row in await place.messages()]
        assert sorted(sent) == sorted([(first, "aurora"), (second, "borealis")])
        assert all(row["count"] == 1 for row in await place.messages())
