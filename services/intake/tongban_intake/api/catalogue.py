"""Serve the catalogue: summary, list of items, one item with form and examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from tongban_common.catalogue import Audience, ItemKind, Zone
from tongban_intake.api import examples
from tongban_intake.api import openapi as docs
from tongban_intake.api.examples import ItemCode
from tongban_intake.api.schemas import ItemDetails, ItemPage, Summary
from tongban_intake.catalogue_index import ItemFilters, listed
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.services import services_of
from tongban_intake.text import Text


class ItemQuery(BaseModel):
    """Query parameters of the list of items."""

    zone: Zone | None = Field(None, examples=["cross_province"])
    province: str | None = Field(
        None, pattern=r"^[1-6][0-9]0000$", description="GB/T 2260", examples=["340000"]
    )
    domain: str | None = Field(None, max_length=20, examples=["社会保障"])
    kind: ItemKind | None = Field(None, examples=["print"])
    audience: Audience | None = Field(None, examples=["person"])
    q: str | None = Field(
        None,
        max_length=64,
        description="Chinese, pinyin or its initials (`sbkgs`), everyday words, a province's name "
        "beside them; all words must be found",
        examples=["社保缴费证明"],
    )
    page: int = Field(1, ge=1, le=100_000)
    page_size: int = Field(50, ge=1, le=200)

    @property
    def filters(self) -> ItemFilters:
        """Return the filters, without the search words and the paging."""
        return {
            "zone": self.zone,
            "province": self.province,
            "domain": self.domain,
            "kind": self.kind,
            "audience": self.audience,
        }


router = APIRouter(prefix="/v1/catalogue", tags=["catalogue"])


@router.get(
    "/summary",
    responses={
        200: docs.answer(Summary, "Totals", examples.SUMMARY),
        **docs.NOT_MODIFIED,
        **docs.problems(Kind.UNAUTHENTICATED, Kind.TOO_MANY),
    },
)
async def summary(request: Request) -> Response:
    """Return the totals of each zone."""
    services = services_of(request)
    services.reader(request)
    index = services.catalogue_index
    return _cached(request, index.revision, lambda: orjson.dumps(index.overview.summary))


@router.get(
    "/items",
    responses={
        200: docs.answer(ItemPage, "A page", examples.ITEM_PAGE),
        **docs.NOT_MODIFIED,
        **docs.problems(Kind.UNAUTHENTICATED, Kind.INVALID, Kind.TOO_MANY),
    },
)
async def items(request: Request, wanted: Annotated[ItemQuery, Query()]) -> Response:
    """Return the items that match, with `q` best match first, otherwise most used first."""
    services = services_of(request)
    zone = services.reader(request).zone
    index = services.catalogue_index

    def body() -> bytes:
        found = index.page(
            wanted.filters,
            q=wanted.q,
            page=wanted.page,
            page_size=wanted.page_size,
            near_zone=zone,
        )
        return orjson.dumps(
            {
                "items": [listed(item) for item in found.items],
                "total": found.total,
                "page": wanted.page,
                "next_page": found.next_page,
            }
        )

    # The ETag depends on the kiosk's zone, because the order of the result does.
    return _cached(request, f"{index.revision}-{zone}", body)


@router.get(
    "/items/{code}",
    responses={
        200: docs.answer(ItemDetails, "The item", examples.ITEM),
        **docs.NOT_MODIFIED,
        **docs.problems(Kind.UNAUTHENTICATED, Kind.NOT_FOUND, Kind.TOO_MANY),
    },
)
async def item(request: Request, code: ItemCode) -> Response:
    """Return an item with its form and examples."""
    services = services_of(request)
    services.reader(request)
    index = services.catalogue_index
    body = index.details(code)
    if body is None:
        raise ProblemError(
            Kind.NOT_FOUND,
            Text("没有这个事项，或已停止办理", "There is no such item, or it is offered no more"),
        )
    return _cached(request, index.tag(code), lambda: body)


def _cached(request: Request, version: str, body: Callable[[], bytes]) -> Response:
    """Answer with an ETag, or with 304, without computing the body, where the client has it. The
    client has to revalidate each time (no-cache), so that a new item shows at once."""
    tag = f'"{version}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = [each.strip() for each in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body(), media_type="application/json", headers=headers)
