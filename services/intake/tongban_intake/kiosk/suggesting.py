"""Serve hits for the search field while a person types: GET /kiosk/suggestions.

The page works without it: the search button posts the same words to the list of items.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from tongban_common.catalogue import Item
from tongban_intake.catalogue_index import CatalogueIndex, ItemFilters
from tongban_intake.kiosk import display
from tongban_intake.kiosk.session import Session
from tongban_intake.lru_cache import LruCache
from tongban_intake.services import Services
from tongban_intake.text import Text

_MOST = 6
_LONGEST = 64
_CACHED = 2000
"""Answers kept in memory. The first letters of what people look for are few."""
_NO_FILTERS: ItemFilters = {
    "zone": None,
    "province": None,
    "domain": None,
    "kind": None,
    "audience": None,
}


def router(services: Services, session: Session) -> APIRouter:
    """Return the route GET /kiosk/suggestions. Its rate is bounded like that of all GETs of a
    kiosk; a browser may keep an answer for a minute."""
    routes = APIRouter(prefix="/kiosk", include_in_schema=False, route_class=session.route_class())
    suggestions = Suggestions(services.catalogue_index)

    @routes.get("/suggestions")
    async def suggest(request: Request, q: Annotated[str, Query(max_length=_LONGEST)]) -> Response:
        kiosk = session.kiosk(request)
        body = suggestions.body(q, near_zone=kiosk.zone)
        headers = {"Cache-Control": "private, max-age=60", "Vary": "Cookie"}
        return Response(body, media_type="application/json", headers=headers)

    return routes


class Suggestions:
    """Finds the services whose names match, each once, however many provinces offer it."""

    def __init__(self, index: CatalogueIndex) -> None:
        self._index = index
        self._answers: LruCache[tuple[str, ...], bytes] = LruCache(_CACHED)

    def body(self, q: str, *, near_zone: str | None) -> bytes:
        """Return the answer for these words as JSON: hits with name, place and link, and the number
        of items that match."""
        words = " ".join(q.split())
        key = (self._index.revision, display.current().language, near_zone or "", words)
        body = self._answers.get(key)
        if body is None:
            body = orjson.dumps(self._find(words, near_zone))
            self._answers.put(key, body)
        return body

    def _find(self, words: str, near_zone: str | None) -> dict[str, object]:
        if not words:
            return {"hits": [], "total": 0}
        found = self._index.catalogue.search(words, near_zone=near_zone, **_NO_FILTERS)
        by_name: dict[str, list[Item]] = {}
        for item in found:
            by_name.setdefault(item.name, []).append(item)
        hits = [_hit(name, items) for name, items in list(by_name.items())[:_MOST]]
        return {"hits": hits, "total": len(found)}


def _hit(name: str, items: list[Item]) -> dict[str, str]:
    if len(items) == 1:
        return {
            "name": name,
            "where": items[0].province_name,
            "link": f"/kiosk/items/{items[0].code}",
        }
    where = Text(f"{len(items)} 个省份", f"{len(items)} provinces")
    return {
        "name": name,
        "where": display.said(where),
        "link": f"/kiosk/items?{urlencode({'q': name})}",
    }
