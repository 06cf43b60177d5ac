"""Define the settings of intake, beside those that all processes share."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from tongban_common.settings import CommonSettings


class IntakeSettings(CommonSettings):
    """Reads the environment variables `TONGBAN_*` of intake. Sizes are in bytes, times in real
    seconds, unless a name says otherwise."""

    SECRETS = frozenset({"keyring", "id_secret", "token_secret", "pseudonym_secret"})

    body_limit: int = Field(
        256 * 1024, gt=0, description="largest body of a POST, bytes; 413 beyond"
    )
    body_seconds: float = Field(
        10.0, gt=0, description="seconds for a whole body to arrive; then 408"
    )
    header_seconds: float = Field(10.0, gt=0, description="seconds for a whole head to arrive")
    send_seconds: float = Field(30.0, gt=0, description="seconds for which a client may not read")
    max_connections: int = Field(8000, gt=0, description="open connections; 503 beyond")

    probe_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port of /livez, /readyz and /metrics; default: the public port",
    )

    token_seconds: int = Field(
        900, gt=0, description="life of a kiosk's bearer token; longer only in development"
    )
    token_endpoint: str = Field(
        "",
        description="URLs of POST /v1/token as kiosks call it, separated by commas (`aud` of their "
        "assertions); default: that of http_host and http_port",
    )
    assistant_seconds: int = Field(
        900, gt=0, description="life of a lobby manager's sign-in; never beyond the kiosk's token"
    )
    assistant_idle_seconds: int = Field(
        180, gt=0, description="seconds without use after which a sign-in at the kiosk's page ends"
    )
    assistant_threads: int = Field(2, gt=0, description="PINs checked at once")
    assisted_sign_in: bool = Field(
        False, description="require a signed-in lobby manager for `channel: assisted`"
    )

    kiosk_rate: float = Field(20.0, gt=0, description="POSTs a second from one kiosk, sustained")
    kiosk_burst: int = Field(60, gt=0, description="POSTs at once from one kiosk")
    read_rate: float = Field(100.0, gt=0, description="GETs a second from one kiosk, sustained")
    read_burst: int = Field(500, gt=0, description="GETs at once from one kiosk")
    kiosk_accepting: int = Field(
        64, gt=0, description="submissions of one kiosk at once; 503 beyond"
    )
    kiosk_streams: int = Field(32, gt=0, description="open event streams of one kiosk; 503 beyond")
    token_rate: float = Field(
        5.0, gt=0, description="assertions a second from one address, before they are verified"
    )
    token_burst: int = Field(100, gt=0, description="assertions at once from one address")
    stranger_rate: float = Field(
        2.0, gt=0, description="requests a second without a token from one address, sustained"
    )
    stranger_burst: int = Field(
        30, gt=0, description="requests at once without a token from one address"
    )
    strangers_rate: float = Field(
        50.0, gt=0, description="requests a second without a token from all addresses, sustained"
    )
    strangers_burst: int = Field(
        200, gt=0, description="requests at once without a token from all addresses"
    )
    proxies: str = Field(
        "127.0.0.1",
        description="addresses and networks, comma-separated, whose X-Forwarded-For is trusted",
    )
    max_accepting: int = Field(512, gt=0, description="submissions at once; 503 beyond")
    accept_seconds: float = Field(
        1.5, gt=0, description="seconds for Kafka to acknowledge; then 503"
    )
    recent_requests: int = Field(50_000, gt=0, description="accepted requests kept in memory")
    store_ms: int = Field(2000, gt=0, description="milliseconds that a GET waits for the store")
    readmodel_store_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of the time for which the read model of one process keeps the store "
        "busy; messages and sheets that wait for the same store come in between",
    )
    digest_ms: int = Field(
        300, gt=0, description="milliseconds that a submission waits for the store"
    )

    max_streams: int = Field(5000, gt=0, description="open event streams; 503 beyond")
    stream_heartbeat: float = Field(
        15.0, gt=0, description="seconds of silence after which a stream sends a comment"
    )
    stream_grace: float = Field(
        90.0, ge=0, description="seconds after the final status for which a stream waits for prints"
    )
    catalogue: Path | None = Field(None, description="directory with holidays.yaml")
    idle_seconds: int = Field(
        90, gt=0, description="seconds after which an untouched personal page goes home"
    )
    touch_keyboard: Literal["touch", "always", "never"] = Field(
        "touch",
        description="when the kiosk's pages show their own keyboard: for a field that is touched, "
        "for every field, as on a kiosk without a keyboard, or never",
    )
    login_origins: str = Field(
        "",
        description="origins, comma-separated, of kiosk agents whose pages may post a login too",
    )
    visit_seconds: int = Field(
        1800, gt=0, description="seconds without use after which a visit at the kiosk's page ends"
    )

    def token_audiences(self, port: int) -> tuple[str, ...]:
        """Return the audiences that an assertion may name; `port` is the one this process listens
        on."""
        configured = tuple(url for each in self.token_endpoint.split(",") if (url := each.strip()))
        host = f"[{self.http_host}]" if ":" in self.http_host else self.http_host
        return configured or (f"http://{host}:{port}/v1/token",)
