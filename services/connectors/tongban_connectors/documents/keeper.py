"""Fetch, check, encrypt and store the documents that provinces made.

The event on the topic carries a reference alone (the claim check pattern).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tongban_common import faultpoints
from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import derived_id
from tongban_common.events.models import DocumentRef, ProvinceCall
from tongban_common.store import DocumentStore
from tongban_common.store.documents import MAX_BYTES
from tongban_connectors.documents.inspector import Inspector, NotAPdfError
from tongban_connectors.domain.gateway import BrokenAnswerError
from tongban_connectors.records import envelope_errors
from tongban_provinces.models import OfferedDocument

Fetch = Callable[[OfferedDocument, int], Awaitable[bytes]]
"""`Gateway.fetch`, bound to one request."""
_BIG = 256 * 1024
"""Bytes from which hashing would hold up the event loop."""


class Budget:
    """Bounds the bytes of documents that are in memory at once."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[None]:
        """Wait for `size` bytes and hold them; a larger size than the budget takes all of it."""
        size = min(size, self._size)
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            self._free += size
            async with self._changed:
                self._changed.notify_all()


class DocumentKeeper:
    """Keeps the documents of one province, whose large or slow ones delay no other province."""

    def __init__(
        self,
        store: DocumentStore,
        inspector: Inspector,
        clock: BusinessClock,
        *,
        budget: int = MAX_BYTES + MAX_BYTES // 2,
    ) -> None:
        self._store = store
        self._inspector = inspector
        self._clock = clock
        self._budget = Budget(budget)
        self._inspecting = asyncio.Lock()

    async def keep(self, call: ProvinceCall, offered: OfferedDocument, fetch: Fetch) -> DocumentRef:
        """Return the reference of a document, after storing it if it is not there yet.

        Idempotent: the document's id is derived from the request and the hash.

        Raises:
            BrokenAnswerError: it is not what the signed answer announced, or no printable PDF.
            StoreUnavailableError: the store is away. If it was before, nothing was fetched.
            KeyDestroyedError, Retry, Poison: see `envelope_errors`.
            GatewayError, GateClosedError: raised by `fetch`.
        """
        document_id = derived_id("document", call.request_id, offered.sha256)
        known = await self._store.ref(call.request_id, document_id)
        if known is not None:
            return known
        async with self._budget.of(offered.size):
            faultpoints.reached("connector.before_fetch")
            pdf = await whole(offered, fetch)
            faultpoints.reached("connector.after_fetch")
            ref = DocumentRef(
                document_id=document_id,
                title=offered.title,
                pages=await self._checked(offered, pdf),
                sha256=offered.sha256,
            )
            faultpoints.reached("connector.before_store_document")
            with envelope_errors():
                kept = await self._store.put(
                    call.request_id, ref, pdf, call.sealed, at=self._clock.now()
                )
            faultpoints.reached("connector.after_store_document")
            return kept

    async def _checked(self, offered: OfferedDocument, pdf: bytes) -> int:
        """Return the number of pages, if the document is the announced one and can be printed."""
        if len(pdf) != offered.size or await _sha256(pdf) != offered.sha256:
            raise BrokenAnswerError("a document other than the one announced")
        # One document of a province at a time, so that no province delays the others for long.
        async with self._inspecting:
            try:
                return await self._inspector.pages(pdf)
            except NotAPdfError as error:
                raise BrokenAnswerError(f"a document that cannot be printed: {error}") from error


async def whole(offered: OfferedDocument, fetch: Fetch) -> bytes:
    """Fetch a document piece by piece, and never more than its announced size and one piece.

    Raises:
        BrokenAnswerError: it has another size than announced.
        GatewayError, GateClosedError: raised by `fetch`.
    """
    pieces, size = [], 0
    while size < offered.size:
        piece = await fetch(offered, size)
        size += len(piece)
        if not piece or size > offered.size:
            raise BrokenAnswerError("a document other than the one announced")
        pieces.append(piece)
    return b"".join(pieces)


async def _sha256(data: bytes) -> str:
    if len(data) < _BIG:
        return hashlib.sha256(data).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
