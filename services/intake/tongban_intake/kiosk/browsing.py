"""Serve the pages to find an item, home and lists. They show no personal data."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tongban_common.catalogue import Item
from tongban_intake.access.tokens import Kiosk
from tongban_intake.api.catalogue import ItemQuery
from tongban_intake.catalogue_index import CatalogueIndex
from tongban_intake.kiosk import display
from tongban_intake.kiosk.login import KioskLogin
from tongban_intake.kiosk.rendering import Pages
from tongban_intake.kiosk.session import Session
from tongban_intake.services import Services

_MOST_USED = 6
_PAGE_SIZE = 12


def router(services: Services, pages: Pages, session: Session) -> APIRouter:
    """Return the routes of /kiosk, of /kiosk/login, connection, display and items below it, and of
    the static files. `/kiosk?over=1` is where an idle page leads: the next person finds the pages
    as they are by default."""
    routes = APIRouter(prefix="/kiosk", include_in_schema=False, route_class=session.route_class())
    index = services.catalogue_index

    @routes.get("/")
    async def with_slash() -> Response:
        return RedirectResponse("/kiosk", status_code=303)

    kiosk_login = KioskLogin(services, pages, session)

    @routes.get("/login")
    async def login(request: Request, token: str = "") -> Response:
        return kiosk_login.page(request, token)

    @routes.post("/login")
    async def log_in(request: Request) -> Response:
        return await kiosk_login.log_in(request)

    @routes.get("/static/{name}")
    async def static(name: str) -> Response:
        return pages.static.response(name)

    @routes.get("/connection")
    async def answers() -> Response:
        """Tell a page that has lost the connection that the service answers again."""
        return Response(status_code=204)

    @routes.get("/display")
    async def show_as(request: Request, show: str, back: str = display.HOME) -> Response:
        display.choose(request, show)
        return RedirectResponse(display.page_of_ours(back), status_code=303)

    @routes.get("")
    async def home(request: Request, over: bool = False) -> Response:
        kiosk = session.kiosk(request)
        if over:
            display.forget(request)
            return RedirectResponse("/kiosk", status_code=303)
        session.begin_visit(request, kiosk)
        return pages.page(
            "home.html",
            kiosk=kiosk,
            overview=index.overview,
            most_used=_most_used(index.catalogue.filter(zone=kiosk.zone)),
        )

    @routes.get("/items")
    async def items(request: Request, wanted: Annotated[ItemQuery, Query()]) -> Response:
        return _items_page(pages, index, session.kiosk(request), wanted)

    return routes


def _items_page(pages: Pages, index: CatalogueIndex, kiosk: Kiosk, wanted: ItemQuery) -> Response:
    found = index.page(
        wanted.filters,
        q=wanted.q,
        page=wanted.page,
        page_size=_PAGE_SIZE,
        near_zone=kiosk.zone,
    )
    chosen = wanted.model_dump(exclude={"page", "page_size"}, exclude_none=True, mode="json")

    def link(**changes: str | int | None) -> str:
        query = {k: v for k, v in {**chosen, **changes}.items() if v is not None}
        return f"/kiosk/items?{urlencode(query)}"

    return pages.page(
        "items.html",
        kiosk=kiosk,
        found=found,
        chosen=chosen,
        page=wanted.page,
        last_page=max(1, -(-found.total // _PAGE_SIZE)),
        link=link,
        provinces=index.overview.provinces,
    )


def _most_used(items: list[Item]) -> list[dict[str, str]]:
    """Return the most used services, each once. If several provinces offer one, it links to the
    list of them."""
    by_category: dict[str, list[Item]] = {}
    for item in items:
        by_category.setdefault(item.category, []).append(item)
    return [
        {
            "name": first.name,
            "kind": first.kind.value,
            "where": "" if len(offered) > 1 else first.province_name,
            "provinces": str(len(offered)),
            "link": f"/kiosk/items?{urlencode({'q': first.name, 'zone': first.zones[0].value})}"
            if len(offered) > 1
            else f"/kiosk/items/{first.code}",
        }
        for first, *others in list(by_category.values())[:_MOST_USED]
        for offered in [[first, *others]]
    ]
