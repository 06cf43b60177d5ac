"""`tongban restore` has printing handle again what neither the back-up nor a report has."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from tests.integration.outside_kit import CLOCK, completed, fresh_id, reprint
from tongban_common import topics
from tongban_common.domain.status import PrintStatus
from tongban_common.events import Body, Event, encode
from tongban_common.events.cloudevents import REPLAY_OF
from tongban_common.events.models import DocumentRef, PrintReported, RequestCompleted
from tongban_common.restoring import Restoration
from tongban_common.store import Store
from tongban_common.store.recovery import RESTORED
from tongban_kafka import Record
from tongban_printing.domain.orders import order_id
from tongban_printing.restorer import PrintingRestorer, document_ids


class Topics:
    """Has the methods of Snapshot that a restorer calls, over records in memory."""

    def __init__(self, bodies: dict[str, list[Body]]) -> None:
        self._bodies = bodies

    async def partitions(self, names: Iterable[str]) -> list[str]:
        return list(names)

    async def read(self, places: list[str], *, on_progress: Any) -> AsyncIterator[Record]:
        for topic in places:
            for offset, body in enumerate(self._bodies.get(topic, [])):
                event = Event(id=uuid.uuid4().hex, source="test", time=CLOCK.now(), body=body)
                value, headers = encode(event)
                yield Record(
                    topic=topic, partition=0, offset=offset, timestamp_ms=0,
                    key=body.request_id.encode(), value=value, headers=tuple(headers),
                    maybe_seen=False, assigned_at=0.0,
                )  # fmt: skip
        on_progress(1, 1)


class Restoring:
    """A restoration whose records are kept instead of sent."""

    def __init__(self, store: Store, bodies: dict[str, list[Body]]) -> None:
        self.snapshot, self.store, self.now = Topics(bodies), store, datetime.now(UTC)
        self.sent: list[tuple[str, bytes | None, dict[str, bytes]]] = []

    async def send(self, topic: str, key: Any, value: Any, headers: Any) -> None:
        assert value is not None
        self.sent.append((topic, key, dict(headers)))

    @contextmanager
    def progress(self, _: str) -> Iterator[Any]:
        yield lambda _done, _total: None


def printed(body: RequestCompleted, document: str, order: str, copy: int) -> PrintReported:
    return PrintReported(
        request_id=body.request_id, order_id=order, kiosk_id="k-1", branch_id="b-1",
        document=DocumentRef(document_id=document, title="证明", pages=1, sha256="0"),
        copy_number=copy, status=PrintStatus.PRINTED, seq=3, at=CLOCK.now(),
    )  # fmt: skip


async def restored(
    database: Store, bodies: dict[str, list[Body]]
) -> tuple[Restoring, dict[str, int]]:
    place = Restoring(database, bodies)
    return place, await PrintingRestorer().restore(cast(Restoration, place))


async def keep_document(database: Store, body: RequestCompleted) -> str:
    (document,) = document_ids(body)
    await database.collection("documents").insert_one({"_id": document})
    return document


async def test_print_order_without_a_report_is_handled_again(database: Store) -> None:
    body = completed(fresh_id())
    document = await keep_document(database, body)
    reported, unreported = (reprint(body.request_id, document_id=document, copy=n) for n in (2, 3))
    place, counts = await restored(
        database,
        {
            topics.REQUESTS_COMPLETED: [body],
            topics.PRINT_ORDERS: [reported, unreported],
            topics.DOCUMENTS_PRINTED: [
                printed(body, document, order_id(body.request_id, document, 1), 1),
                printed(body, document, reported.order_id, 2),
            ],
        },
    )
    assert (counts["reports applied"], counts["orders handled again"]) == (2, 1)
    [(topic, key, headers)] = place.sent
    assert (topic, key) == ("printing.replay", body.request_id.encode())
    assert headers[REPLAY_OF] == RESTORED


@pytest.mark.parametrize("wanted", [True, False])
async def test_completion_whose_order_is_missing_is_handled_again_if_it_prints(
    database: Store, wanted: bool
) -> None:
    body = completed(fresh_id(), print=wanted)
    await keep_document(database, body)
    place, counts = await restored(database, {topics.REQUESTS_COMPLETED: [body]})
    assert counts["documents made again"] == 0
    assert len(place.sent) == wanted
