"""Define `tongban restore`: rebuild guards after the store was restored from a back-up."""

from __future__ import annotations

import json
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tongban_common.exit_codes import EX_TEMPFAIL
from tongban_common.settings import CommonSettings, load
from tongban_common.store import Store
from tongban_common.store.recovery import mark_restored
from tongban_kafka import EventProducer, Snapshot
from tongban_ops.cli.console import (
    LONG_STORE_MS,
    Json,
    must_be_ours,
    open_store,
    operator_producer,
    progress,
    run,
    stop,
)
from tongban_ops.operators.restorers import members, restorers


@dataclass(frozen=True, slots=True)
class _Restoration:
    snapshot: Snapshot
    store: Store
    producer: EventProducer
    now: datetime

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        await self.producer.send(topic, key=key, value=value, headers=headers)

    def progress(self, doing: str) -> AbstractContextManager[Any]:
        return progress(doing)


def restore(as_json: Json = False) -> None:
    """Rebuild the guards of printing and notify after the store was restored from a back-up.

    TONGBAN_STORE names the store. Stop printing and notify before, and start them afterwards. What
    they have reported since the back-up is read from the topics. A sheet that may have come out
    without a report becomes a question to the lobby manager; a message that may have been sent is
    looked up at its providers before it is sent. Idempotent: after an interruption run it again.

    Exit codes: 0 done, 66 the topics are not those of this store, 69 Kafka or the store does not
    answer, 75 printing or notify is running.
    """
    settings = load(CommonSettings)
    result = run(_restore(settings))
    if as_json:
        print(json.dumps(result))
        return
    for group, counts in result.items():
        print(f"{group}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    print("Start printing and notify; then `tongban rebuild` brings the read model up to date.")


async def _restore(settings: CommonSettings) -> dict[str, dict[str, int]]:
    wanted = restorers()
    if running := await members(settings.cluster, [each.group for each in wanted]):
        names = ", ".join(f"{group} has {count} members" for group, count in running.items())
        raise stop(f"{names}: stop them first, or they act on guards that are missing", EX_TEMPFAIL)
    async with (
        open_store(settings, "; begin again", timeout_ms=LONG_STORE_MS) as store,
        Snapshot(settings.cluster) as snapshot,
        operator_producer(settings.cluster) as producer,
    ):
        await must_be_ours(snapshot, store)
        # Mark the store before anything else is written: a service that starts too early, or after
        # this command has died, must see that the store was restored.
        await mark_restored(store, round(time.time() * 1000))
        restoration = _Restoration(snapshot, store, producer, settings.clock.now())
        return {each.group: await each.restore(restoration) for each in wanted}
