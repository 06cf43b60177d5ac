"""kill -9 between Kafka and the 202: the kiosk asks again and gets the request it had."""

from __future__ import annotations

import signal
from pathlib import Path

import aiohttp
import pytest

from tests.integration.intake.conftest import Stack
from tongban_common import topics


@pytest.mark.parametrize(
    ("place", "records"), [("intake.before_publish", 1), ("intake.after_publish", 2)]
)
async def test_dying_while_accepting_is_one_request(
    stack: Stack, tmp_path: Path, place: str, records: int
) -> None:
    key = f"crash-{place}"
    async with stack.replica(TONGBAN_FAULTPOINTS=f"{place}@{tmp_path / 'once'}") as intake:
        with pytest.raises(aiohttp.ClientError):
            await intake.submit(stack.body(), key)
        assert await intake.process.wait() == -signal.SIGKILL
    async with stack.replica() as intake:
        first = await intake.submit(stack.body(), key)
        again = await intake.submit(stack.body(), key)
    assert first.status == again.status == 202
    assert await first.read() == await again.read()
    request_id = (await first.json())["request_id"]
    events = await stack.events(topics.REQUESTS_SUBMITTED, request_id)
    assert len(events) == records
    assert len({event.id for event in events}) == 1
    assert len({event.body.body_digest for event in events}) == 1
