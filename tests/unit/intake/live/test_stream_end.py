"""A stream that is asked for again after its end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.common.test_private_texts import KEYS
from tongban_common.clock import BusinessClock
from tongban_common.store import StoreUnavailableError
from tongban_intake.http.limits import KioskSlots, Slots
from tongban_intake.live.hub import Hub
from tongban_intake.live.stream import EventStreams
from tongban_intake.readmodel.record import RequestRecord

CLOCK = BusinessClock.real()
GRACE = 90.0


class Model:
    """A read model of one request."""

    def __init__(
        self,
        *statuses: str,
        wants_print: bool = False,
        order: str | None = None,
        ago: float = 1.0,
    ) -> None:
        at = (CLOCK.now() - timedelta(seconds=ago)).isoformat()
        self.down = False
        self.document: dict[str, Any] = {
            "_id": "r-1",
            "print": wants_print,
            "timeline": {
                f"{seq:06d}": {"seq": seq, "status": status, "at": at, "by": "router"}
                for seq, status in enumerate(statuses, start=1)
            },
        }
        if order is not None:
            self.document["orders"] = {"o": {"000001": {"status": order, "at": at}}}

    async def get(self, _: str) -> RequestRecord | None:
        if self.down:
            raise StoreUnavailableError("down")
        return RequestRecord(self.document) if self.document["timeline"] else None

    async def over(self, told: int) -> bool:
        streams = EventStreams(
            Hub(),
            self,  # type: ignore[arg-type]
            keys=KEYS,
            slots=Slots(1),
            kiosk_slots=KioskSlots(1),
            heartbeat=1,
            grace=GRACE,
        )
        return await streams.over("r-1", sent=told, clock=CLOCK)


@pytest.mark.parametrize("final", ["rejected", "withdrawn", "expired", "failed", "completed"])
async def test_stream_after_the_final_status_is_over(final: str) -> None:
    model = Model("submitted", "routed", final)
    assert [await model.over(told) for told in (1, 2, 3, 9)] == [False, False, True, True]


async def test_stream_of_an_open_request_is_not_over() -> None:
    assert not await Model("submitted", "routed").over(2)
    assert not await Model().over(2)


@pytest.mark.parametrize(
    ("order", "ago", "over"),
    [
        (None, 1, False),
        ("queued", 1, False),
        ("printed", 1, True),
        ("queued", GRACE + 5, True),
        (None, GRACE + 5, True),
    ],
)
async def test_stream_stays_for_the_print_as_long_as_it_would_have(
    order: str | None, ago: float, over: bool
) -> None:
    assert await Model("completed", wants_print=True, order=order, ago=ago).over(1) is over


async def test_remark_after_the_final_status_is_still_told() -> None:
    model = Model("submitted", "rejected", "rejected")
    model.document["timeline"]["000003"]["note"] = True
    assert [await model.over(told) for told in (2, 3)] == [False, True]


async def test_stream_with_the_store_down_is_not_over() -> None:
    model = Model("rejected")
    model.down = True
    assert not await model.over(1)
