"""Settings of the connectors."""

from __future__ import annotations

import ssl
from pathlib import Path

from pydantic import Field, field_validator

from tongban_common.settings import CaFile, CommonSettings
from tongban_common.topics import PROVINCES
from tongban_kafka import tls


class ConnectorSettings(CommonSettings):
    """Adds the provinces of this process, and how it reaches them and they reach it."""

    SECRETS = frozenset({"keyring", "gateway_secret", "id_secret"})

    provinces: str = Field("", description="codes separated by commas; empty: all 31")
    gateways: str = Field("http://127.0.0.1:8600", description="base of relative gateway paths")
    gateway_ca_file: CaFile = Field(
        None, description="PEM; authorities of gateways, beside the system's"
    )
    catalogue: Path | None = Field(None, description="directory with provinces.yaml")
    callbacks: str = Field(
        "", description="our base URL as provinces reach it, for callbacks; empty: polling alone"
    )
    prompt_seconds: float = Field(
        3.0, gt=0,
        description="how long after its start a call may take effect at a province that answers at"
        " once: after a kill its successor waits so long, not for the call's time-out. 2 s of it"
        " are for the clocks",
    )  # fmt: skip
    max_in_flight: int = Field(2000, gt=0, description="records held for each province")

    @field_validator("provinces")
    @classmethod
    def _known(cls, text: str) -> str:
        wrong = [code for code in text.split(",") if code and code not in PROVINCES]
        if wrong:
            raise ValueError(f"not among the 31 provinces (GB/T 2260): {', '.join(wrong)}")
        return text

    def gateway_tls(self) -> ssl.SSLContext:
        """Return the context for gateways: some provinces have certificates of public authorities,
        others of an authority of the government's own."""
        ca = self.gateway_ca_file
        return tls.client_context(
            None if ca is None else ("TONGBAN_GATEWAY_CA_FILE", ca), beside_system=True
        )

    def province_codes(self) -> tuple[str, ...]:
        """Return the codes of the provinces whose topics this process consumes."""
        return tuple(code for code in self.provinces.split(",") if code) or PROVINCES
