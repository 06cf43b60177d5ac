"""Which class speaks a province's protocol. A province that speaks one of them needs no code."""

from __future__ import annotations

import aiohttp

from tongban_common.catalogue.models import Province
from tongban_router.connectors.gateway import Gateway
from tongban_router.connectors.rest import RestGateway
from tongban_router.connectors.soap import SoapGateway

_SPEAKERS: dict[str, type[RestGateway | SoapGateway]] = {"rest": RestGateway, "soap": SoapGateway}


def make_gateway(
    province: Province, session: aiohttp.ClientSession, *, base: str, secret: str
) -> Gateway:
    """The gateway of a province, as `provinces.yaml` says.

    `base` is where the simulated provinces are; a path that is a URL stands for itself.
    """
    said = province.gateway
    return _SPEAKERS[said.protocol](
        session,
        said.path if "://" in said.path else base.rstrip("/") + said.path,
        province=province.code,
        secret=secret,
        connect_timeout_s=said.connect_timeout_ms / 1000,
        timeout_s=said.timeout_ms / 1000,
    )
