"""Define `tongban rebuild`: rebuild the read model from the topics and the router's table."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Annotated, Any

import typer

from tongban_common.settings import CommonSettings, load
from tongban_intake.readmodel.projector import Projector
from tongban_intake.readmodel.rebuild import in_router, incomplete, project, republish_requests
from tongban_kafka import Snapshot
from tongban_ops.cli.console import (
    LONG_STORE_MS,
    By,
    Json,
    login_name,
    must_be_ours,
    open_store,
    operator_producer,
    progress,
    run,
)


def rebuild(
    rate: Annotated[
        float, typer.Option(min=1, max=5000, help="histories per second to request from the router")
    ] = 100.0,
    everything: Annotated[
        bool, typer.Option("--all", help="request every history, not only the incomplete ones")
    ] = False,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Rebuild the read model in the store that TONGBAN_STORE names, while all services run.

    Reads the topics from their beginning, then asks the router for the histories of requests that
    are open for longer than the topics are kept. Idempotent: after an interruption run it again.
    Requests that ended before the oldest record of requests.status can be restored from a back-up
    only.

    Exit codes: 0 done, 66 the topics are not those of this store, 69 Kafka or the store does not
    answer.
    """
    settings = load(CommonSettings)
    result = run(_rebuild(settings, rate=rate, everything=everything, by=by or login_name()))
    if as_json:
        print(json.dumps(result))
        return
    print(
        f"{result['events']} events applied, {result['unreadable']} records passed over that are "
        f"no event; {result['republished']} of {result['in_router']} histories asked of the router"
    )


async def _rebuild(
    settings: CommonSettings, *, rate: float, everything: bool, by: str
) -> dict[str, Any]:
    async with open_store(
        settings, "; what was rebuilt stays, begin again", timeout_ms=LONG_STORE_MS
    ) as store:
        await store.ping()
        async with Snapshot(settings.cluster) as snapshot:
            await must_be_ours(snapshot, store)
            with progress("reading the topics") as report:
                done = await project(snapshot, Projector(store), on_progress=report)
            known = await in_router(snapshot)
        wanted = known if everything else [each async for each in incomplete(store, known)]
        await _request_histories(settings, wanted, rate=rate, by=by)
    return {
        "events": done.events,
        "unreadable": done.unreadable,
        "in_router": len(known),
        "republished": len(wanted),
    }


async def _request_histories(
    settings: CommonSettings, request_ids: list[str], *, rate: float, by: str
) -> None:
    """Ask the router for histories at an even rate: it goes on with its own work meanwhile."""
    if not request_ids:
        return
    records = republish_requests(
        request_ids, run_id=str(uuid.uuid4()), by=by, at=settings.clock.now()
    )
    began = time.monotonic()
    async with operator_producer(settings.cluster) as producer:
        with progress("asking the router") as report:
            for number, (topic, key, value, headers) in enumerate(records, start=1):
                await producer.send(topic, key=key, value=value, headers=headers)
                report(number, len(request_ids))
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
