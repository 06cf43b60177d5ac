"""The connectors' classes, to speak with simulated provinces in every protocol."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from tests.integration.devstack.simulation_kit import SECRET, Simulation, application
from tongban_connectors.domain.gateway import Gateway
from tongban_connectors.gateways.protocols import speaking
from tongban_provinces.models import GatewayAnswer


@dataclass(frozen=True)
class Spoken:
    """A protocol, with a province of each manner that speaks it."""

    protocol: str
    honours: str
    refuses: str
    twice: str

    def gateway(
        self,
        place: Simulation,
        province: str,
        *,
        timeout_s: float = 20,
        base: str = "",
        secret: str = SECRET,
    ) -> Gateway:
        tail = "/soap" if self.protocol == "soap" else ""
        return speaking(
            self.protocol,
            place.http,
            f"{base or place.url}/p/{province}{tail}",
            callback_url=None,
            province=province,
            secret=secret,
            connect_timeout_s=5,
            timeout_s=timeout_s,
        )


SPOKEN = {
    each.protocol: each
    for each in (
        Spoken("rest", "110000", "120000", "130000"),
        Spoken("rest_callback", "140000", "150000", "210000"),
        Spoken("soap", "220000", "230000", "310000"),
    )
}


async def submit(
    speaks: Gateway, request_id: str, *, within: float = 60, **other: Any
) -> GatewayAnswer:
    body = {**application(request_id), **other}
    del body["act_before"]
    return await speaks.submit(body, act_before=time.time() + within)
