"""Which class speaks to a province: the one place that knows all protocols.

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
from tongban_router.connectors.settings import ConnectorSettings


def make_gateway(
    province: Province, settings: ConnectorSettings, session: aiohttp.ClientSession
) -> Gateway:
    """The province's gateway, in its protocol; `session` is shared by all that speak HTTP."""
    limits = province.gateway
    base = limits.path if "://" in limits.path else settings.gateways.rstrip("/") + limits.path
    secret = settings.gateway_secret.get_secret_value()
    connect_timeout_s, timeout_s = limits.connect_timeout_ms / 1000, limits.timeout_ms / 1000
    match limits.protocol:
        case "rest":
            return RestGateway(
                session,
                base,
                province=province.code,
                secret=secret,
                connect_timeout_s=connect_timeout_s,
                timeout_s=timeout_s,
            )
        case "rest_callback":
            return ReceiptGateway(
                session,
                base,
                province=province.code,
                secret=secret,
                connect_timeout_s=connect_timeout_s,
                timeout_s=timeout_s,
                callback_url=callback_url(settings.callbacks, province.code),
            )
        case "soap":
            raise ValueError(f"{province.code}: no gateway speaks SOAP yet")
