"""What the broker would not take must not end the router: it is put aside as poison is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.test_lifecycle import START, begun, outcome
from tongban_common.domain.status import OutcomeKind, Status
from tongban_common.events import Event, encode
from tongban_common.events.models import Sealed
from tongban_router.dispatch.app import MOST_KEPT, Dispatcher
from tongban_router.dispatch.settings import RouterSettings
from tongban_router.dispatch.state import RequestState

TAKEN = 1_048_576
"""Bytes of a record that Kafka takes."""


@pytest.mark.parametrize(("size", "status"), [(900_000, "completed"), (1_000_000, "held")])
async def test_an_outcome_that_fits_into_no_record_of_ours_holds_its_request(
    tmp_path: Path, size: int, status: str
) -> None:
    sent: list[str] = []

    async def emit(topic: str, _key: Any, value: bytes, _headers: Any) -> None:
        assert len(value) < TAKEN
        sent.append(topic)

    dispatcher = Dispatcher(RouterSettings(data=tmp_path))
    dispatcher._emit = dispatcher._aside._emit = emit  # type: ignore[method-assign]
    state, call_id = begun()
    dispatcher.table = {b"r-1": state.model_dump_json(exclude_defaults=True).encode()}
    result = Sealed(kid="k", key="x", parts={"result": "r" * size})
    body = outcome(OutcomeKind.COMPLETED, call_id, sealed=result)
    value, headers = encode(Event("o-1", "test", body, START))
    assert len(value) < TAKEN
    message = SimpleNamespace(
        topic="requests.outcomes", partition=0, offset=0, timestamp=None,
        key=b"r-1", value=value, headers=headers,
    )  # fmt: skip
    await dispatcher._handle(SimpleNamespace(message=message))
    kept = dispatcher.table[b"r-1"]
    assert len(kept) <= MOST_KEPT
    assert RequestState.model_validate_json(kept).status is Status(status)
    assert ("tongban-router.dlt" in sent) == (status == "held")
