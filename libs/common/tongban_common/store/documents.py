"""Documents (证明/凭证): encrypted, by id, written once (the claim check of DESIGN section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tongban_common.envelope import KeyRing
from tongban_common.events.models import DocumentRef, Sealed
from tongban_common.store.client import DuplicateKey, Store, store_errors

MAX_BYTES = 10 * 1024 * 1024
"""Of a document in clear. Under MongoDB's 16 MB for one record, so no chunks are needed."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document's reference and its bytes in clear (a PDF)."""

    ref: DocumentRef
    pdf: bytes


class DocumentStore:
    """The collection `documents`, which cannot be rebuilt from the topics and is backed up."""

    def __init__(self, store: Store, keys: KeyRing) -> None:
        self._documents = store.collection("documents")
        self._keys = keys

    async def put(
        self, request_id: str, ref: DocumentRef, pdf: bytes, sealed: Sealed, *, at: datetime
    ) -> DocumentRef:
        """Keep a document; where the id is there already, the first one stays and is returned.

        Raises:
            ValueError: larger than MAX_BYTES.
            UnreadableEnvelopeError: the request's data key is gone.
            StoreUnavailableError: ask again later.
        """
        if len(pdf) > MAX_BYTES:
            raise ValueError(f"a document has {MAX_BYTES} bytes at most, this one {len(pdf)}")
        record = {
            "_id": ref.document_id,
            "request_id": request_id,
            "ref": ref.model_dump(),
            "sealed": sealed.model_copy(update={"parts": {}}).model_dump(),
            "box": self._keys.seal_bytes(request_id, sealed, ref.document_id, pdf),
            "at": at,
        }
        with store_errors():
            try:
                await self._documents.insert_one(record)
            except DuplicateKey:
                kept = await self._documents.find_one({"_id": ref.document_id}, {"ref": 1})
                return DocumentRef.model_validate(kept["ref"])
        return ref

    async def ref(self, request_id: str, document_id: str) -> DocumentRef | None:
        """The reference alone, or None where that request has no such document.

        Raises:
            StoreUnavailableError: ask again later.
        """
        with store_errors():
            kept = await self._documents.find_one(
                {"_id": document_id, "request_id": request_id}, {"ref": 1}
            )
        return None if kept is None else DocumentRef.model_validate(kept["ref"])

    async def get(self, request_id: str, document_id: str) -> StoredDocument | None:
        """The document of that request, or None where there is none.

        Raises:
            UnreadableEnvelopeError: its key was destroyed.
            StoreUnavailableError: ask again later.
        """
        with store_errors():
            record = await self._documents.find_one({"_id": document_id, "request_id": request_id})
        if record is None:
            return None
        sealed = Sealed.model_validate(record["sealed"])
        pdf = self._keys.open_bytes(request_id, sealed, document_id, bytes(record["box"]))
        return StoredDocument(DocumentRef.model_validate(record["ref"]), pdf)
