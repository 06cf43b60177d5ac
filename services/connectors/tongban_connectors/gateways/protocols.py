"""Create the gateway class for a province's protocol.

This is the only module that knows all protocols. A province that speaks one of them needs a line in
`catalogue/provinces.yaml` and no code. A new protocol is a class with the methods of `Gateway`, and
a case in `speaking`.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict, Unpack

import aiohttp

from tongban_common.catalogue.models import Province
from tongban_connectors.callbacks import callback_url
from tongban_connectors.domain.gateway import Gateway
from tongban_connectors.gateways.receipts import ReceiptGateway
from tongban_connectors.gateways.rest import RestGateway
from tongban_connectors.gateways.soap import SoapGateway


class CallLimits(TypedDict):
    """Arguments of every protocol's class; `RestGateway` explains the time-outs."""

    province: str
    secret: str
    connect_timeout_s: float
    timeout_s: float
    read_timeout_s: NotRequired[float | None]


def make_gateway(
    province: Province,
    session: aiohttp.ClientSession,
    *,
    base: str,
    secret: str,
    callbacks: str = "",
) -> Gateway:
    """Create the gateway of a province, as `catalogue/provinces.yaml` describes it.

    Args:
        base: base URL of relative paths, where the simulated provinces are.
        secret: the setting from which province tokens are derived.
        callbacks: our own base URL as provinces reach it; empty: none can call back.
    """
    config = province.gateway
    url = config.path if "://" in config.path else base.rstrip("/") + config.path
    return speaking(
        config.protocol,
        session,
        url,
        callback_url=callback_url(callbacks, province.code),
        province=province.code,
        secret=secret,
        connect_timeout_s=config.connect_timeout_ms / 1000,
        read_timeout_s=config.read_timeout_ms / 1000,
        timeout_s=config.timeout_ms / 1000,
    )


def speaking(
    protocol: str,
    session: aiohttp.ClientSession,
    url: str,
    *,
    callback_url: str | None,
    **limits: Unpack[CallLimits],
) -> Gateway:
    """Create the gateway at an address, which need not be in the catalogue.

    Args:
        callback_url: where the province sends callbacks, if the protocol has any; None: nowhere.

    Raises:
        ValueError: there is no such protocol.
    """
    match protocol:
        case "rest":
            return RestGateway(session, url, **limits)
        case "rest_callback":
            return ReceiptGateway(session, url, **limits, callback_url=callback_url)
        case "soap":
            return SoapGateway(session, url, **limits)
    raise ValueError(f"no protocol {protocol!r}")
