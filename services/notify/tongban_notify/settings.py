"""Settings of the process `tongban-notify`."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from tongban_common.settings import DEVELOPMENT_SECRET, CaFile, CommonSettings
from tongban_kafka import tls
from tongban_notify.delivery import BEGIN_WITHIN
from tongban_notify.domain.quiet import QuietHours
from tongban_notify.domain.texts import MessageTexts, TextsError


def _names(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(filter(None, (name.strip() for name in value.split(","))))
    return value


def _quiet_hours(value: Any) -> Any:
    return QuietHours.parse(value) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
"""A list of names, written as `aurora,borealis` in the environment."""


class NotifySettings(CommonSettings):
    """Settings of the notification service: its SMS providers, their time-outs, quiet hours."""

    SECRETS = frozenset({"keyring", "id_secret", "sms_key"})

    devices: str = Field("http://127.0.0.1:8631", description="base URL of the SMS providers")
    sms_providers: Names = Field(
        ("aurora", "borealis"), min_length=1, description="names, in the order of attempts"
    )
    sms_honouring: Names = Field(
        ("aurora",),
        description="providers that treat a repeated reference as the same message",
    )
    sms_key: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET), description="bearer key at the SMS providers"
    )
    sms_ca_file: CaFile = Field(
        None, description="PEM; authorities of the SMS providers, beside the system's"
    )
    sms_timeout_s: float = Field(5.0, gt=0, description="seconds of one call; wall clock")
    sms_settle_s: float = Field(
        20.0,
        gt=0,
        description="seconds after the start of a send until a provider's answer that it does not "
        "know the message counts; longer than any call may take at the provider",
    )
    quiet_hours: Annotated[QuietHours | None, NoDecode, BeforeValidator(_quiet_hours)] = Field(
        None,
        description="22:00-07:00, business time: messages wait for the end; empty for none",
    )

    message_texts: Path | None = Field(
        None, description="TOML with the texts of the messages; empty: those of the service"
    )

    @field_validator("message_texts")
    @classmethod
    def _readable(cls, file: Path | None) -> Path | None:
        try:
            MessageTexts.load(file)
        except TextsError as error:
            raise ValueError(f"{file}: {error}") from error
        return file

    def sms_tls(self) -> ssl.SSLContext:
        """Return the context for SMS providers."""
        ca = self.sms_ca_file
        return tls.client_context(
            None if ca is None else ("TONGBAN_SMS_CA_FILE", ca), beside_system=True
        )

    @field_validator("sms_settle_s")
    @classmethod
    def _outlasts_a_call(cls, value: float, info: ValidationInfo) -> float:
        least = BEGIN_WITHIN + float(info.data.get("sms_timeout_s", 0.0))
        if value < least:
            raise ValueError(
                f"at least {least:g}: {BEGIN_WITHIN:g} s to begin a call and TONGBAN_SMS_TIMEOUT_S"
            )
        return value
