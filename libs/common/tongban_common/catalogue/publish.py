"""Putting items on `catalogue.items`, where every intake replica reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tongban_common.catalogue.models import Item
from tongban_common.kafka import EventProducer
from tongban_common.topics import CATALOGUE_ITEMS


async def publish(bootstrap: str, items: Iterable[Item], *, timeout_s: float = 30.0) -> int:
    """Write each item under its code, and return how many once Kafka has them all.

    Writing an item that is there already is harmless: the topic is compacted.

    Raises:
        KafkaUnavailable: not all were acknowledged in time; publish again.
    """
    async with EventProducer(
        bootstrap, client_id="catalogue", delivery_timeout=timeout_s, linger_ms=5
    ) as producer:
        sent = [
            producer.send(
                CATALOGUE_ITEMS,
                key=item.code.encode(),
                value=item.model_dump_json().encode(),
                headers=[("content-type", b"application/json")],
            )
            for item in items
        ]
        await asyncio.gather(*sent)
    return len(sent)
