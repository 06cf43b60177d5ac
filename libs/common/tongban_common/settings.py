"""Settings that every process has: `TONGBAN_*` variables and nothing else."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tongban_common.clock import BusinessClock
from tongban_common.exit_codes import EX_CONFIG

DEVELOPMENT_SECRET = "tongban-development-only"  # noqa: S105 - refused in production by `production`


def _clock(value: Any) -> BusinessClock:
    return value if isinstance(value, BusinessClock) else BusinessClock.parse(value)


class CommonSettings(BaseSettings):
    """What every process is told by its environment. Subclasses add what only they need."""

    model_config = SettingsConfigDict(
        env_prefix="TONGBAN_", extra="ignore", arbitrary_types_allowed=True
    )

    kafka: str = Field("127.0.0.1:9092", description="bootstrap address, HOST:PORT[,HOST:PORT]")
    store: str = Field(
        "mongodb://127.0.0.1:27017",
        pattern=r"^(mongodb(\+srv)?://.+)?$",
        description="MongoDB URL; empty for a process that needs none",
    )
    store_name: str = Field("tongban", description="database name in the store")
    http_host: str = "127.0.0.1"
    http_port: int = Field(0, ge=0, le=65535, description="0 takes a free port")
    instance: str = Field(
        default_factory=lambda: os.environ.get("HOSTNAME") or socket.gethostname(),
        description="a name that survives a restart (StatefulSet pod): static group membership",
    )
    data: Path = Field(Path(".tongban"), description="directory for what a process keeps on disk")
    clock: Annotated[BusinessClock, NoDecode, BeforeValidator(_clock)] = Field(
        default_factory=BusinessClock.real
    )
    profile: str = Field("prompt", pattern="^(prompt|realistic|demo)$")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    drain_seconds: float = Field(10.0, gt=0, description="what SIGTERM leaves for work in flight")

    keyring: SecretStr = Field(
        SecretStr(json.dumps({"active": "dev", "keys": {"dev": "A" * 43}})),
        description='JSON {"active": id, "keys": {id: base64url of 32 bytes}}, or @FILE',
    )
    id_secret: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    token_secret: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    pseudonym_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        description="keys the analysts' pseudonyms and nothing else; changing it starts new ones",
    )
    gateway_secret: SecretStr = SecretStr(DEVELOPMENT_SECRET)


Settings = TypeVar("Settings", bound=CommonSettings)


def load(cls: type[Settings]) -> Settings:
    """Read the environment, or end the process with EX_CONFIG and a line a wrong variable."""
    try:
        return cls()
    except ValidationError as error:
        for problem in error.errors():
            name = "TONGBAN_" + "_".join(str(part) for part in problem["loc"]).upper()
            print(f"{name}: {problem['msg']}", file=sys.stderr)
        sys.exit(EX_CONFIG)
