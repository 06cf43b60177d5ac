"""Remember which documents a completed request has, for reprints.

This is no guard: the spool recognises an order by its id. A reprint of a request whose entry has
expired names its document, which is in the store as long as it may be read.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from tongban_common.events.models import DocumentRef
from tongban_common.store import NOW, Store, expire, store_errors
from tongban_common.topics import GUARDS_KEPT


class Printable(BaseModel):
    """The documents of a completed request: a record of the collection `printables`."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    request_id: str = Field(alias="_id")
    branch_id: str
    documents: list[DocumentRef]


class Printables:
    """Reads and writes the collection `printables`. Every method may raise
    StoreUnavailableError."""

    def __init__(self, store: Store) -> None:
        self._printables = store.collection("printables")

    async def prepare(self) -> None:
        """Make the index; idempotent."""
        await expire(self._printables, "kept_at", name="kept", after=GUARDS_KEPT)

    async def remember(self, printable: Printable) -> None:
        """Store an entry; idempotent. It expires by the store's clock."""
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
        """Return a request's entry; None if its completion was not read yet, or the entry
        expired."""
        with store_errors():
            record = await self._printables.find_one({"_id": request_id})
        return None if record is None else Printable.model_validate(record)
