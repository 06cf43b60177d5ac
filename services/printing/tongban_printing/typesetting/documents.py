"""Make a request's documents, or use those that its province made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tongban_common import faultpoints
from tongban_common.domain.ids import derived_id
from tongban_common.domain.titles import title_of
from tongban_common.envelope import KeyRing, opening_envelope
from tongban_common.events import wrong_fields
from tongban_common.events.models import DocumentRef, ItemSnapshot, RequestCompleted
from tongban_common.store import DocumentStore
from tongban_kafka import Poison
from tongban_printing import metrics
from tongban_printing.domain.contents import (
    TEMPLATES,
    ProvinceResult,
    SheetApplicant,
    SheetTemplate,
    contents,
)
from tongban_printing.errors import PrintingError, SealError
from tongban_printing.typesetting.renderer import Renderer, RenderError
from tongban_printing.typesetting.seals import Seals

NO_SEALS = Seals()
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_Model = TypeVar("_Model", bound=BaseModel)


class UnmakeableDocumentError(PrintingError):
    """Raised when no replica can make a document of a result; the applicant is informed.

    The text quotes nothing of the contents.
    """

    def __init__(self, why: str, what: str) -> None:
        super().__init__(what)
        self.why = why
        """The label for metrics: too_long, too_much, cannot_set or no_result."""


class DocumentMaker:
    """Makes the documents of completed requests and stores them.

    Args:
        verify_url: address of the public page on which codes are typed; None: no QR code.
    """

    def __init__(
        self,
        *,
        renderer: Renderer,
        documents: DocumentStore,
        keys: KeyRing,
        seals: Seals = NO_SEALS,
        verify_url: str | None = None,
    ) -> None:
        self._renderer = renderer
        self._documents = documents
        self._keys = keys
        self._seals = seals
        self._verify_url = verify_url

    async def documents_of(
        self, body: RequestCompleted, *, repeat: bool = False
    ) -> list[DocumentRef]:
        """Return the references of the request's documents, once they are in the store.

        The list is empty if the item has no document. A document of the province takes precedence
        over one of ours. Idempotent: a repeat returns what the first call stored, even if the
        template has changed since.

        Raises:
            KeyDestroyedError: the contents were destroyed with their key.
            UnmakeableDocumentError: no document can be made of the result, now or later.
            Poison: an operator has to act: a newer version or another key may make it.
            Retry, StoreUnavailableError: a later attempt may succeed.
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
            verify_url=self._verify_url,
            seal=self._seals.of(body.item.province),
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


async def try_seals(seals: Seals, renderer: Renderer) -> None:
    """Set a sheet with each seal: a picture that cannot be set would make every sheet of its
    province one that is reported as unmakeable for good.

    Raises:
        SealError: names the province's file.
    """
    item = ItemSnapshot(
        code="0", version=1, name="seal", category="seal", province="000000", kind="print",
        template="certificate", promised_days=0,
    )  # fmt: skip
    for province, picture in seals.pictures.items():
        data = contents(
            TEMPLATES["certificate"],
            document_id="",
            request_id="",
            item=item,
            applicant=SheetApplicant(type="person", name="seal"),
            result=ProvinceResult(number="", issuer="seal", issued_on=""),
            seal=picture,
        )
        try:
            await renderer.render(TEMPLATES["certificate"], data, at=_EPOCH)
        except RenderError as error:
            raise SealError(f"{province}.svg cannot be printed: {error}") from None
