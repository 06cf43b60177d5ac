"""A provider is taken out of the settings while it may have a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.outside_kit import completed, fresh_id, outside, until
from tongban_common import topics
from tongban_common.events.models import NotificationReported


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_message_of_a_removed_provider_is_held_and_settled_once_it_is_back(
    tmp_path: Path, store: str
) -> None:
    quick = {"TONGBAN_SMS_TIMEOUT_S": "1", "TONGBAN_SMS_SETTLE_S": "3"}
    async with outside(tmp_path, store, **quick) as place:
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
        await place.end(without)
        place.start("notify", TONGBAN_SMS_PROVIDERS="borealis,aurora")
        await until(lambda: statuses(first) == ["held", "sent"], "its being settled", 90)
        sent = [(row["request_id"], row["provider"]) for row in await place.messages()]
        assert sorted(sent) == sorted([(first, "aurora"), (second, "borealis")])
        assert all(row["count"] == 1 for row in await place.messages())
