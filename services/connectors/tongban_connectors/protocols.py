"""Which class speaks a province's protocol: the one place that knows them all.

A province that speaks one of them needs a line in `catalogue/provinces.yaml` and no code. A new
protocol is a class beside `RestGateway` that offers `Gateway`, and a case here.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict, Unpack

import aiohttp

from tongban_common.catalogue.models import Province
from tongban_connectors.callbacks import callback_url
from tongban_connectors.gateway import Gateway
from tongban_connectors.receipts import ReceiptGateway
from tongban_connectors.rest import RestGateway
from tongban_connectors.soap import SoapGateway


class CallLimits(TypedDict):
    """What every protocol's class is told; the time-outs are those of `RestGateway`."""

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
    """The gateway of a province, as `provinces.yaml` says.

    `base` is where the simulated provinces are; a path that is a URL stands for itself.
    `callbacks` is our own base URL as provinces reach it; empty: none can call back.
    """
    said = province.gateway
    url = said.path if "://" in said.path else base.rstrip("/") + said.path
    return speaking(
        said.protocol,
        session,
        url,
        callback_url=callback_url(callbacks, province.code),
        province=province.code,
        secret=secret,
        connect_timeout_s=said.connect_timeout_ms / 1000,
        read_timeout_s=said.read_timeout_ms / 1000,
        timeout_s=said.timeout_ms / 1000,
    )


def speaking(
    protocol: str,
    session: aiohttp.ClientSession,
    url: str,
    *,
    callback_url: str | None,
    **limits: Unpack[CallLimits],
) -> Gateway:
    """The gateway at an address, whether a catalogue has it or not. `callback_url` is where it is
    to call back, if it speaks of that; None: nowhere.

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
