"""Store documents (证明/凭证), encrypted, by id, each written once.

Events carry a reference to a document and never its bytes (claim check pattern).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tongban_common.envelope import KeyRing
from tongban_common.events.models import DocumentRef, Sealed
from tongban_common.store.client import DuplicateKey, Store, store_errors

MAX_BYTES = 10 * 1024 * 1024
"""Largest document in clear. It is under MongoDB's 16 MB for one record: no chunks are needed."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document's reference, and its bytes in clear (a PDF)."""

    ref: DocumentRef
    pdf: bytes


class DocumentStore:
    """Reads and writes the collection `documents`, which no topic can rebuild: it is backed up."""

    def __init__(self, store: Store, keys: KeyRing) -> None:
        self._documents = store.collection("documents")
        self._keys = keys

    async def put(
        self, request_id: str, ref: DocumentRef, pdf: bytes, sealed: Sealed, *, at: datetime
    ) -> DocumentRef:
        """Store a document and return its reference; idempotent: of two with one id the first
        stays.

        Raises:
            ValueError: the document is larger than MAX_BYTES.
            UnreadableEnvelopeError: the request's data key cannot be unwrapped.
            StoreUnavailableError: try again later.
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
        """Return the reference alone, or None if that request has no such document.

        Raises:
            StoreUnavailableError: try again later.
        """
        with store_errors():
            kept = await self._documents.find_one(
                {"_id": document_id, "request_id": request_id}, {"ref": 1}
            )
        return None if kept is None else DocumentRef.model_validate(kept["ref"])

    async def get(self, request_id: str, document_id: str) -> StoredDocument | None:
        """Return the document, or None if that request has no such document.

        Raises:
            UnreadableEnvelopeError: its key was destroyed.
            StoreUnavailableError: try again later.
        """
        with store_errors():
            record = await self._documents.find_one({"_id": document_id, "request_id": request_id})
        if record is None:
            return None
        sealed = Sealed.model_validate(record["sealed"])
        pdf = self._keys.open_bytes(request_id, sealed, document_id, bytes(record["box"]))
        return StoredDocument(DocumentRef.model_validate(record["ref"]), pdf)
