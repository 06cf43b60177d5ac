"""Settings of the connectors."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from tongban_common.settings import CommonSettings
from tongban_common.topics import PROVINCES


class ConnectorSettings(CommonSettings):
    """Adds the provinces of this process, and how it reaches them and they reach it."""

    SECRETS = frozenset({"keyring", "gateway_secret", "id_secret"})

    provinces: str = Field("", description="codes separated by commas; empty: all 31")
    gateways: str = Field("http://127.0.0.1:8600", description="base of relative gateway paths")
    catalogue: Path | None = Field(None, description="directory with provinces.yaml")
    callbacks: str = Field(
        "", description="our base URL as provinces reach it, for callbacks; empty: polling alone"
    )
    max_in_flight: int = Field(2000, gt=0, description="records held for each province")

    @field_validator("provinces")
    @classmethod
    def _known(cls, text: str) -> str:
        wrong = [code for code in text.split(",") if code and code not in PROVINCES]
        if wrong:
            raise ValueError(f"not among the 31 provinces (GB/T 2260): {', '.join(wrong)}")
        return text

    def province_codes(self) -> tuple[str, ...]:
        """Return the codes of the provinces whose topics this process consumes."""
        return tuple(code for code in self.provinces.split(",") if code) or PROVINCES
