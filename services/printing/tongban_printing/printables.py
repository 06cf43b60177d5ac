"""What may be printed of a request: written on its completion, read when a reprint is ordered.

Not a guard: an order is known by its own id (`spool`), and a reprint of what is not kept here any
more names its document, which is in the store for as long as it may be read.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from tongban_common.events.models import DocumentRef
from tongban_common.store import Store, store_errors

KEPT_SECONDS = 90 * 24 * 3600
"""Wall clock, from the completion."""


class Printable(BaseModel):
    """A completed request, as the collection `printables` has it."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    request_id: str = Field(alias="_id")
    branch_id: str
    documents: list[DocumentRef]


class Printables:
    """Every method may raise StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._printables = store.collection("printables")

    async def prepare(self) -> None:
        """Make the index; again changes nothing."""
        with store_errors():
            await self._printables.create_index(
                "kept_at", name="kept", expireAfterSeconds=KEPT_SECONDS
            )

    async def remember(self, printable: Printable) -> None:
        """Again changes nothing."""
        record = {**printable.model_dump(by_alias=True), "kept_at": datetime.now(UTC)}
        key = record.pop("_id")
        with store_errors():
            await self._printables.update_one({"_id": key}, {"$setOnInsert": record}, upsert=True)

    async def find(self, request_id: str) -> Printable | None:
        """None where the request has not been completed, was not seen here yet, or was long ago."""
        with store_errors():
            record = await self._printables.find_one({"_id": request_id})
        return None if record is None else Printable.model_validate(record)
