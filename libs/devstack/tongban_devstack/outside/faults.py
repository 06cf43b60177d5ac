"""Keep the faults that tests set: stored per target, valid until cleared, also over a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from tongban_devstack.outside.journal import SqliteJournal

FAULTS_SCHEMA = """
CREATE TABLE IF NOT EXISTS faults (
    family TEXT, target TEXT, body TEXT NOT NULL, PRIMARY KEY (family, target)
) WITHOUT ROWID;
"""


class FaultSet(BaseModel):
    """Base of the fault sets; every field's default is harmless."""

    model_config = ConfigDict(extra="forbid", frozen=True)


F = TypeVar("F", bound=FaultSet)


class FaultBoard(Generic[F]):
    """Faults of one family of targets (provinces, printers, providers), in memory and stored."""

    def __init__(self, journal: SqliteJournal, family: str, model: type[F]) -> None:
        self.model = model
        self._journal = journal
        self._family = family
        self._none = model()
        self._set: dict[str, F] = {}
        self._changed = asyncio.Event()

    async def load(self) -> None:
        """Load the faults that were set before a restart."""
        rows = await self._journal.execute(
            "SELECT target, body FROM faults WHERE family = ?", (self._family,)
        )
        self._set = {target: self.model.model_validate_json(body) for target, body in rows}

    def of(self, target: str) -> F:
        """Return the faults of a target; the harmless set if none are set."""
        return self._set.get(target, self._none)

    async def put(self, target: str, faults: F) -> None:
        """Replace all faults of a target."""
        await self._journal.execute(
            "INSERT OR REPLACE INTO faults VALUES (?, ?, ?)",
            (self._family, target, faults.model_dump_json()),
        )
        self._set[target] = faults
        self._tell()

    async def clear(self, target: str | None = None) -> None:
        """Clear the faults of one target, or of all."""
        await self._journal.execute(
            "DELETE FROM faults WHERE family = ? AND (? IS NULL OR target = ?)",
            (self._family, target, target),
        )
        if target is None:
            self._set.clear()
        else:
            self._set.pop(target, None)
        self._tell()

    @property
    def changed(self) -> asyncio.Event:
        """Return the event that the next change sets. Get it before reading the faults."""
        return self._changed

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Return the faults by target."""
        return {name: faults.model_dump(mode="json") for name, faults in sorted(self._set.items())}


def fault_routes(
    path: str,
    board: FaultBoard[F],
    target_of: Callable[[web.Request], str],
    before: Callable[[str, F], Awaitable[F]] | None = None,
) -> list[web.RouteDef]:
    """Return the routes that set (PUT) and clear (DELETE) the faults of one target.

    Args:
        path: route with a placeholder for the target.
        target_of: returns the target that a request names, or raises the answer for an unknown one.
        before: carries out the faults that are acts, and returns the ones to store.
    """

    async def put(request: web.Request) -> web.Response:
        target = target_of(request)
        faults = await read_faults(request, board.model)
        await board.put(target, await before(target, faults) if before else faults)
        return web.json_response(faults.model_dump(mode="json"))

    async def clear(request: web.Request) -> web.Response:
        await board.clear(target_of(request))
        return web.Response(status=204)

    return [web.put(path, put), web.delete(path, clear)]


async def json_report(
    journal: SqliteJournal, work: Callable[..., str], *filters: str | None
) -> web.Response:
    """Answer with the JSON text that `work` makes on a read-only connection."""
    text = await journal.read(work, *filters)
    return web.Response(text=text, content_type="application/json")


async def read_faults(request: web.Request, model: type[F]) -> F:
    """Parse the body of a PUT as a fault set.

    Raises:
        web.HTTPBadRequest: the body is not a JSON object.
        web.HTTPUnprocessableEntity: a field is wrong; problem+json names each and its valid values.
    """
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise problem(web.HTTPBadRequest, "The body is not JSON", str(error)) from error
    if not isinstance(body, dict):
        raise problem(web.HTTPBadRequest, "The body is not a JSON object", "send {} for no faults")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        errors = [
            {"pointer": "/" + "/".join(map(str, each["loc"])), "message": each["msg"]}
            for each in error.errors(include_url=False)
        ]
        allowed = "allowed fields, with their harmless values: " + model().model_dump_json()
        raise problem(
            web.HTTPUnprocessableEntity, "These faults cannot be set", allowed, errors
        ) from error


def problem(
    kind: type[web.HTTPClientError],
    title: str,
    detail: str,
    errors: list[dict[str, str]] | None = None,
) -> web.HTTPClientError:
    """Return a problem+json answer (RFC 9457), to be raised or returned."""
    body: dict[str, Any] = {"title": title, "status": kind.status_code, "detail": detail}
    if errors:
        body["errors"] = errors
    text = json.dumps(body, ensure_ascii=False)
    return kind(text=text, content_type="application/problem+json")
