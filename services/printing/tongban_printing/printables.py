"""What may be printed of a request: written on its completion, read when a reprint is ordered.

Not a guard: an order is known by its own id (`spool`), and a reprint of what is not kept here any
more names its document, which is in the store for as long as it may be read.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from tongban_common.events.models import DocumentRef
from tongban_common.store import NOW, Store, expire, store_errors
from tongban_common.topics import GUARDS_KEPT


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
        await expire(self._printables, "kept_at", name="kept", after=GUARDS_KEPT)

    async def remember(self, printable: Printable) -> None:
        """Again changes nothing. The time it is kept is counted by the store's clock."""
        told = printable.model_dump(exclude={"request_id"})
        record = {"_id": "$_id", "kept_at": NOW, **{k: {"$literal": v} for k, v in told.items()}}
        first = {"$eq": [{"$type": "$kept_at"}, "missing"]}
        with store_errors():
            await self._printables.update_one(
                {"_id": printable.request_id},
                [{"$replaceWith": {"$cond": [first, record, "$$ROOT"]}}],
                upsert=True,
            )

    async def find(self, request_id: str) -> Printable | None:
        """None where the request has not been completed, was not seen here yet, or was long ago."""
        with store_errors():
            record = await self._printables.find_one({"_id": request_id})
        return None if record is None else Printable.model_validate(record)
