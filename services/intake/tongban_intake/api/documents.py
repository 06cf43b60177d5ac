"""Serve documents, and verify sheets by their codes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tongban_common.domain.verification import file_code, grouped, normal, sheet_code
from tongban_common.envelope import KeyMissingError, UnreadableEnvelopeError
from tongban_common.observability import request_context
from tongban_intake.api import examples
from tongban_intake.api import openapi as docs
from tongban_intake.api.examples import DocumentId, RequestId, VerificationCode
from tongban_intake.api.schemas import Verified
from tongban_intake.problems import Kind, ProblemError, envelope_problems, gone, unreadable_now
from tongban_intake.readmodel import public
from tongban_intake.readmodel.record import RequestRecord
from tongban_intake.services import Services, services_of
from tongban_intake.text import Text

_SANDBOX = "sandbox; default-src 'none'; frame-ancestors 'none'"
_EMBEDDED = (
    "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'self'"
)
"""Policy for PDFs in the kiosk's own page. Chromium shows no PDF in a sandbox (Chromium issue
271452); PDFs with active content are refused before they are stored."""


router = APIRouter(tags=["documents"])


@router.get(
    "/v1/requests/{request_id}/documents/{document_id}",
    response_class=Response,
    responses={
        200: {
            "description": "The document",
            "content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}},
        },
        **docs.problems(*docs.READ, Kind.GONE),
    },
)
async def document(request: Request, request_id: RequestId, document_id: DocumentId) -> Response:
    """Return a document of a request as a PDF."""
    services = services_of(request)
    kiosk = services.reader(request)
    services.must_be_own(kiosk, request_id)
    return await fetch(services, request_id, document_id)


@router.get(
    "/v1/verify/{code}",
    responses={
        200: docs.answer(Verified, "One of ours", examples.VERIFIED),
        **docs.problems(Kind.NOT_FOUND, Kind.TOO_MANY, Kind.UNAVAILABLE),
    },
    openapi_extra={"security": []},
)
async def verify(request: Request, code: VerificationCode) -> Response:
    """Report whether a sheet is genuine, and what to compare on it; for anyone."""
    services = services_of(request)
    services.anonymous_rates.take(request)
    return Response(orjson.dumps(await verified(services, code)), media_type="application/json")


async def fetch(
    services: Services, request_id: str, document_id: str, *, embedded: bool = False
) -> Response:
    """Return a document as a PDF; `embedded` is True if the kiosk's page shows it in a frame.

    Raises:
        ProblemError: 404; 410, its key was destroyed; 503, this replica does not have its key yet.
        StoreUnavailableError: the store does not answer.
    """
    with request_context(request_id), envelope_problems():
        found = await services.document_store.get(request_id, document_id)
    if found is None:
        record = await services.read_model.get(request_id)
        if record is not None and record.swept:
            raise gone()
        raise ProblemError(Kind.NOT_FOUND, Text("没有这份材料", "The request has no such document"))
    return Response(
        found.pdf,
        media_type="application/pdf",
        headers={
            "Content-Disposition": f"inline; filename*=UTF-8''{quote(found.ref.title)}.pdf",
            "ETag": f'"{found.ref.sha256}"',
            "Cache-Control": "private, no-store",
            # A province's PDF may have scripts and links, which a viewer must not run.
            "Content-Security-Policy": _EMBEDDED if embedded else _SANDBOX,
        },
    )


async def verified(services: Services, code: str) -> dict[str, Any]:
    """Return what a holder of a sheet may compare with it, without anything that identifies the
    applicant.

    Raises:
        ProblemError: 404, no document has this code; 503, this replica does not have the key yet.
        StoreUnavailableError: the store does not answer.
    """
    wanted = normal(code)
    record = await services.read_model.by_code(wanted) if wanted else None
    if record is None or not record.projected or wanted is None:
        raise ProblemError(
            Kind.NOT_FOUND,
            Text(
                "没有查到使用该验证码的材料，请核对后重新输入",
                "No document carries this code; compare it and try again",
            ),
        )
    return {"genuine": True, **_public(services, record, wanted), **_compared(services, record)}


def _public(services: Services, record: RequestRecord, code: str) -> dict[str, Any]:
    document_id, document = next(
        (document_id, fields)
        for document_id, fields in record.documents.items()
        if code in (sheet_code(document_id), file_code(fields["sha256"]))
    )
    item = record.item
    offered = services.catalogue_index.get(item.code)
    return {
        "code": grouped(sheet_code(document_id)),
        # A province's own title may name a person.
        "title": item.name,
        "item_code": item.code,
        "item_name": item.name,
        "province": item.province,
        "issuer": offered.department if offered else item.province,
        "issued_on": record.last["at"][:10],
        "pages": document["pages"],
        "sha256": document["sha256"],
    }


def _compared(services: Services, record: RequestRecord) -> dict[str, Any]:
    """Return the parts of the sheet's contents that are in the envelope. A sheet whose key was
    destroyed is still genuine, but nothing is left to compare it with."""
    try:
        applicant = services.keys.open(record.request_id, record.sealed, "applicant")
        sealed = record.sealed
        known = "result" in sealed.parts
        result = services.keys.open(record.request_id, sealed, "result") if known else {}
    except KeyMissingError:
        raise unreadable_now() from None
    except UnreadableEnvelopeError:
        return {"personal_data": "destroyed"}
    number = {"number": str(result["number"])} if "number" in result else {}
    return {
        **public.holder(applicant),
        **number,
        "figures": public.figures(result, applicant),
    }
