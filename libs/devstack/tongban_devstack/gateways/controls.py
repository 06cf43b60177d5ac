"""Serve the controls of the simulated gateways: `/ledger` and `/faults`."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from tongban_devstack.gateways import application_store
from tongban_devstack.gateways.faults import GatewayFaults
from tongban_devstack.gateways.provinces import SimulatedProvince
from tongban_devstack.outside.faults import FaultBoard, problem, read_faults
from tongban_devstack.outside.journal import SqliteJournal


class GatewayControls:
    """Routes for tests and operators, without signatures; the process listens on the loopback."""

    def __init__(
        self,
        journal: SqliteJournal,
        faults: FaultBoard[GatewayFaults],
        provinces: Mapping[str, SimulatedProvince],
    ) -> None:
        self._provinces = provinces
        self._journal = journal
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ledger", self._ledger),
            web.get("/faults", self._get_faults),
            web.delete("/faults", self._clear_all),
            web.put("/faults/{province}", self._put_faults),
            web.delete("/faults/{province}", self._clear),
        ]

    async def _ledger(self, request: web.Request) -> web.Response:
        request_id = request.query.get("request_id")
        province = request.query.get("province")
        text = await self._journal.read(
            lambda connection: application_store.ledger_json(connection, request_id, province)
        )
        return web.Response(text=text, content_type="application/json")

    async def _get_faults(self, _: web.Request) -> web.Response:
        return web.json_response(self._faults.as_json())

    async def _put_faults(self, request: web.Request) -> web.Response:
        province = self._known(request)
        faults = await read_faults(request, GatewayFaults)
        await self._faults.put(province, faults)
        return web.json_response(faults.model_dump(mode="json"))

    async def _clear(self, request: web.Request) -> web.Response:
        await self._faults.clear(self._known(request))
        return web.Response(status=204)

    async def _clear_all(self, _: web.Request) -> web.Response:
        await self._faults.clear()
        return web.Response(status=204)

    def _known(self, request: web.Request) -> str:
        province = request.match_info["province"]
        if province not in self._provinces:
            known = ", ".join(self._provinces)
            raise problem(web.HTTPNotFound, f"There is no province {province}", f"known: {known}")
        return province
