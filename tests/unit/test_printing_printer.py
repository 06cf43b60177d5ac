"""What a printer's answers below IPP come to."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from tongban_printing.printer import Printer, PrinterTrouble


@pytest.mark.parametrize("status", [200, 404, 503])
@pytest.mark.parametrize("body", ["服务不可用".encode("gbk"), b"", b"<html>"])
async def test_what_is_no_ipp_is_trouble_and_no_fault(status: int, body: bytes) -> None:
    """A page of a printer's web server, in whatever encoding, is no reason to stop for a fault."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, content_type="text/html")

    app = web.Application()
    app.add_routes([web.post("/ipp/print", answer)])
    async with TestServer(app) as server, ClientSession() as session:
        printer = Printer(str(server.make_url("/ipp/print")), session)
        with pytest.raises(PrinterTrouble):
            await printer.open_jobs()
