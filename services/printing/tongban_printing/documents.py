"""Makes a request's documents, or takes those that its province made."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tongban_common import faultpoints
from tongban_common.domain.ids import derived_id
from tongban_common.domain.titles import title_of
from tongban_common.envelope import KeyRing
from tongban_common.events import wrong_fields
from tongban_common.events.models import DocumentRef, RequestCompleted
from tongban_common.opening import opening_envelope
from tongban_common.store import DocumentStore
from tongban_kafka import Poison
from tongban_printing import metrics
from tongban_printing.contents import (
    TEMPLATES,
    ProvinceResult,
    SheetApplicant,
    SheetTemplate,
    contents,
)
from tongban_printing.errors import PrintingError
from tongban_printing.renderer import Renderer, RenderError

_Model = TypeVar("_Model", bound=BaseModel)


class UnmakeableDocumentError(PrintingError):
    """No document can be made of a result, by any replica; whoever waits for it is told.

    The text holds nothing of the contents.
    """

    def __init__(self, why: str, what: str) -> None:
        super().__init__(what)
        self.why = why
        """A word for metrics: too_long, too_much, cannot_set or no_result."""


class DocumentMaker:
    """From a completed request to documents in the store."""

    def __init__(self, *, renderer: Renderer, documents: DocumentStore, keys: KeyRing) -> None:
        self._renderer = renderer
        self._documents = documents
        self._keys = keys

    async def documents_of(
        self, body: RequestCompleted, *, repeat: bool = False
    ) -> list[DocumentRef]:
        """The request's documents, which are in the store by now; none if its item has none.

        What the province made comes before what we could make. A repeat returns what the first
        call has stored, even if a template has changed since.

        Raises:
            KeyDestroyedError: what would stand in it was destroyed with its key.
            UnmakeableDocumentError: no document can be made of it, now or later.
            Poison: an operator has to look: a newer version or another key may make it.
            Retry, StoreUnavailable: not now.
        """
        if body.documents:
            return body.documents
        if body.item.template is None:
            return []
        template = TEMPLATES.get(body.item.template)
        if template is None:
            raise Poison(f"no template {body.item.template!r} in this version")
        return [await self._make(body, template, repeat=repeat)]

    async def _make(
        self, body: RequestCompleted, template: SheetTemplate, *, repeat: bool
    ) -> DocumentRef:
        document_id = derived_id("document", body.request_id, 0)
        data = contents(
            template,
            document_id=document_id,
            request_id=body.request_id,
            item=body.item,
            applicant=self._open(body, "applicant", SheetApplicant),
            result=self._open(body, "result", ProvinceResult),
        )
        if repeat and (kept := await self._documents.ref(body.request_id, document_id)):
            return kept
        faultpoints.reached("printing.before_render")
        try:
            with metrics.RENDER_SECONDS.time():
                document = await self._renderer.render(
                    template, data, at=body.completed_at, lane=body.item.province
                )
        except RenderError as error:
            raise UnmakeableDocumentError(error.why.value, str(error)) from error
        ref = DocumentRef(
            document_id=document_id,
            title=title_of(body.item),
            pages=document.pages,
            sha256=document.sha256,
        )
        faultpoints.reached("printing.before_store_document")
        kept = await self._documents.put(
            body.request_id, ref, document.pdf, body.sealed, at=body.completed_at
        )
        faultpoints.reached("printing.after_store_document")
        return kept

    def _open(self, body: RequestCompleted, part: str, model: type[_Model]) -> _Model:
        with opening_envelope():
            value = self._keys.open(body.request_id, body.sealed, part)
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise UnmakeableDocumentError(
                "no_result", f"{part}: {wrong_fields(error, of=model)}"
            ) from None
