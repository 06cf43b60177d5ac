"""What may be printed of a request: written on its completion, read when a reprint is ordered."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from tongban_common.events.models import DocumentRef
from tongban_common.store import Store, store_errors


class Printable(BaseModel):
    """A completed request, as the collection `printables` has it."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    request_id: str = Field(alias="_id")
    branch_id: str
    documents: list[DocumentRef]


class Printables:
    """Both methods may raise StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._printables = store.collection("printables")

    async def remember(self, printable: Printable) -> None:
        """Again changes nothing."""
        record = printable.model_dump(by_alias=True)
        key = record.pop("_id")
        with store_errors():
            await self._printables.update_one({"_id": key}, {"$setOnInsert": record}, upsert=True)

    async def find(self, request_id: str) -> Printable | None:
        """None where the request has not been completed, or not been seen here yet."""
        with store_errors():
            record = await self._printables.find_one({"_id": request_id})
        return None if record is None else Printable.model_validate(record)
