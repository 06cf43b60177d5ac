"""Which class speaks a province's protocol: the one place that knows them all.

A province that speaks one of them needs a line in `catalogue/provinces.yaml` and no code. A new
protocol is a class beside `RestGateway` that offers `Gateway`, and a case here.
"""

from __future__ import annotations

import aiohttp

from tongban_common.catalogue.models import Province
from tongban_router.connectors.callbacks import callback_url
from tongban_router.connectors.gateway import Gateway
from tongban_router.connectors.receipts import ReceiptGateway
from tongban_router.connectors.rest import RestGateway


def make_gateway(
    province: Province,
    session: aiohttp.ClientSession,
    *,
    base: str,
    secret: str,
    callbacks: str = "",
) -> Gateway:
    """The gateway of a province, as `provinces.yaml` says.

    `base` is where the simulated provinces are; a path that is a URL stands for itself.
    `callbacks` is our own base URL as provinces reach it; empty: none can call back.
    """
    said = province.gateway
    url = said.path if "://" in said.path else base.rstrip("/") + said.path
    connect_timeout_s, timeout_s = said.connect_timeout_ms / 1000, said.timeout_ms / 1000
    match said.protocol:
        case "rest":
            return RestGateway(
                session,
                url,
                province=province.code,
                secret=secret,
                connect_timeout_s=connect_timeout_s,
                timeout_s=timeout_s,
            )
        case "rest_callback":
            return ReceiptGateway(
                session,
                url,
                province=province.code,
                secret=secret,
                connect_timeout_s=connect_timeout_s,
                timeout_s=timeout_s,
                callback_url=callback_url(callbacks, province.code),
            )
        case "soap":
            raise ValueError(f"{province.code}: no gateway speaks SOAP yet")
