"""Serve the controls of the simulated gateways: `/ledger` and `/faults`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from aiohttp import web

from tongban_devstack.gateways import application_store
from tongban_devstack.gateways.faults import GatewayFaults
from tongban_devstack.outside.faults import FaultBoard, fault_routes, json_report, problem
from tongban_devstack.outside.journal import SqliteJournal


@dataclass(kw_only=True, eq=False)
class GatewayControls:
    """Routes for tests and operators, without signatures; the process listens on the loopback."""

    journal: SqliteJournal
    faults: FaultBoard[GatewayFaults]
    provinces: Collection[str]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ledger", self._ledger),
            web.get("/faults", self._get_faults),
            web.delete("/faults", self._clear_all),
            *fault_routes("/faults/{province}", self.faults, self._known),
        ]

    async def _ledger(self, request: web.Request) -> web.Response:
        filters = map(request.query.get, ("request_id", "province"))
        return await json_report(self.journal, application_store.ledger_json, *filters)

    async def _get_faults(self, _: web.Request) -> web.Response:
        return web.json_response(self.faults.as_json())

    async def _clear_all(self, _: web.Request) -> web.Response:
        await self.faults.clear()
        return web.Response(status=204)

    def _known(self, request: web.Request) -> str:
        province = request.match_info["province"]
        if province not in self.provinces:
            known = ", ".join(self.provinces)
            raise problem(web.HTTPNotFound, f"There is no province {province}", f"known: {known}")
        return province
