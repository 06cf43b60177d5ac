"""Settings of every process, read from `TONGBAN_*` variables alone."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from tongban_common.clock import BusinessClock
from tongban_common.exit_codes import EX_CONFIG
from tongban_common.secret_files import (
    SUFFIX,
    SecretFileSource,
    UnusableSecret,
    secret_fields,
)
from tongban_common.store_address import StoreAddress, StoreSecurity
from tongban_kafka import (
    KafkaCluster,
    KafkaSecurity,
    SaslMechanism,
    SecurityProtocol,
    SettingFileError,
    tls,
    use_operator_texts,
)

KAFKA_VARIABLES = {
    "bootstrap.servers": "TONGBAN_KAFKA",
    "security.protocol": "TONGBAN_KAFKA_SECURITY_PROTOCOL",
    "sasl.mechanism": "TONGBAN_KAFKA_SASL_MECHANISM",
    "sasl.username": "TONGBAN_KAFKA_SASL_USERNAME",
    "sasl.password": "TONGBAN_KAFKA_SASL_PASSWORD",
    "sasl.password.file": "TONGBAN_KAFKA_SASL_PASSWORD_FILE",
    "ssl.ca.location": "TONGBAN_KAFKA_SSL_CA_FILE",
    "ssl.certificate.location": "TONGBAN_KAFKA_SSL_CERTIFICATE_FILE",
    "ssl.key.location": "TONGBAN_KAFKA_SSL_KEY_FILE",
}
"""The variable of each setting of Kafka's clients, by Kafka's property name."""
NO_KAFKA_SECURITY: Mapping[str, str] = {
    **{name: "" for key, name in KAFKA_VARIABLES.items() if key != "bootstrap.servers"},
    KAFKA_VARIABLES["security.protocol"]: "PLAINTEXT",
}
"""An environment in which a child process uses no security, whatever its parent's settings are."""
NO_STORE_SECURITY: Mapping[str, str] = {
    f"TONGBAN_STORE_{name}": ""
    for name in (
        "USERNAME",
        "PASSWORD",
        "PASSWORD_FILE",
        "AUTH_SOURCE",
        "TLS",
        "TLS_CA_FILE",
        "TLS_CERTIFICATE_FILE",
        "TLS_KEY_FILE",
    )
}
"""An environment in which a child process uses a store without TLS and credentials, whatever its
parent's settings are."""
use_operator_texts(setting_names=KAFKA_VARIABLES, hole_hint="see `tongban topics holes {topic}`")

DEVELOPMENT_SECRET = "tongban-development-only"  # noqa: S105 - refused outside development
"""The public default of every secret. `CommonSettings` accepts it in the development environment
alone."""
DEVELOPMENT_KEY_RING = json.dumps({"active": "dev", "keys": {"dev": "A" * 43}})
"""The public default key ring: one key of 32 zero bytes."""
SECRET_BYTES = 32
"""The least length of a secret outside development: what `secrets.token_urlsafe(24)` returns."""


Sampler = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]
"""The samplers of OpenTelemetry's specification."""


def _clock(value: Any) -> BusinessClock:
    return value if isinstance(value, BusinessClock) else BusinessClock.parse(value)


def _empty_is_unset(value: Any) -> Any:
    """Return None for an empty variable: compose files and charts pass unset values as ""."""
    return None if value == "" else value


_UNLESS_EMPTY = BeforeValidator(_empty_is_unset)
KAFKA = "127.0.0.1:9092"


def _default_kafka(value: Any) -> Any:
    """Return the default for an empty address, since a variable that is empty counts as unset."""
    return value or KAFKA


OptionalPath = Annotated[Path | None, _UNLESS_EMPTY]
OptionalSecret = Annotated[SecretStr | None, _UNLESS_EMPTY]
OptionalText = Annotated[str | None, _UNLESS_EMPTY]


def _authorities(file: Path | None, info: ValidationInfo) -> Path | None:
    if file is not None:
        tls.client_context((variable_of(info.field_name or ""), file))
    return file


CaFile = Annotated[Path | None, _UNLESS_EMPTY, AfterValidator(_authorities)]
"""A PEM file of authorities that is read when the settings are, so that a wrong one is refused."""


class CommonSettings(BaseSettings):
    """Settings of every process, read from its environment. Subclasses add their own.

    Outside the development environment a process is refused (see `load`) when a secret of `SECRETS`
    is unset, public, shorter than `SECRET_BYTES` or equal to another one: a single replica with a
    misspelt variable would otherwise issue tokens and seal personal data under a public secret.
    """

    SECRETS: ClassVar[frozenset[str]] = frozenset()
    """Fields that this process needs as secrets. Other secrets stay unset: a process cannot leak a
    secret that it does not hold."""

    model_config = SettingsConfigDict(
        env_prefix="TONGBAN_",
        extra="ignore",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    environment: Literal["production", "development"] = Field(
        "production", description="development accepts the public default secrets"
    )
    kafka: Annotated[str, BeforeValidator(_default_kafka)] = Field(
        KAFKA, description="bootstrap address, HOST:PORT[,HOST:PORT]"
    )
    kafka_security_protocol: SecurityProtocol = Field(
        "PLAINTEXT", description="what protects connections to the brokers"
    )
    kafka_sasl_mechanism: Annotated[SaslMechanism | None, _UNLESS_EMPTY] = Field(
        None, description="SCRAM-SHA-512 unless set"
    )
    kafka_sasl_username: Annotated[str | None, _UNLESS_EMPTY] = Field(
        None, description="user name at the brokers"
    )
    kafka_sasl_password: Annotated[SecretStr | None, _UNLESS_EMPTY] = Field(
        None, description="password at the brokers; better in a file"
    )
    kafka_sasl_password_file: Annotated[Path | None, _UNLESS_EMPTY] = Field(
        None, description="file with the password, instead of the variable"
    )
    kafka_ssl_ca_file: Annotated[Path | None, _UNLESS_EMPTY] = Field(
        None, description="PEM; the system's authorities unless set"
    )
    kafka_ssl_certificate_file: Annotated[Path | None, _UNLESS_EMPTY] = Field(
        None, description="PEM; for brokers that require a client certificate"
    )
    kafka_ssl_key_file: Annotated[Path | None, _UNLESS_EMPTY] = Field(
        None, description="PEM, without a pass phrase"
    )
    group_session_seconds: float = Field(
        6.0, gt=0, description="seconds of silence after which a killed process's partitions move"
    )
    group_heartbeat_seconds: float = Field(
        0.5, gt=0, description="seconds between heartbeats: partitions wait for one when they move"
    )
    store: str = Field(
        "mongodb://127.0.0.1:27017",
        pattern=r"^(mongodb(\+srv)?://.+)?$",
        repr=False,
        description="MongoDB URL; empty for a process that needs none",
    )
    store_username: OptionalText = Field(None, description="user name at the store")
    store_password: OptionalSecret = Field(None, description="password at the store")
    store_auth_source: OptionalText = Field(
        None, description="database that has the user; admin unless the URL names another"
    )
    store_tls: Annotated[bool, BeforeValidator(lambda value: False if value == "" else value)] = (
        Field(False, description="encrypt, and check the store's certificate and host name")
    )
    store_tls_ca_file: OptionalPath = Field(
        None, description="PEM; the system's authorities unless set"
    )
    store_tls_certificate_file: OptionalPath = Field(
        None, description="PEM; for a store that requires a client certificate"
    )
    store_tls_key_file: OptionalPath = Field(None, description="PEM, without a pass phrase")
    store_name: str = Field("tongban", description="database name in the store")
    http_host: str = Field(
        "127.0.0.1", description="address to listen at, for probes, metrics and the service's HTTP"
    )
    http_port: int = Field(0, ge=0, le=65535, description="0 takes a free port")
    instance: str = Field(
        default_factory=lambda: os.environ.get("HOSTNAME") or socket.gethostname(),
        description="a name that survives a restart (StatefulSet pod): static group membership",
    )
    data: Path = Field(Path(".tongban"), description="directory for a process's files")
    clock: Annotated[BusinessClock, NoDecode, BeforeValidator(_clock)] = Field(
        default_factory=BusinessClock.real,
        description="business time, as START@SPEED: 2026-03-02T09:00:00+08:00@60",
    )
    profile: str = Field(
        "prompt",
        pattern="^(prompt|realistic|demo)$",
        description="how the simulated provinces behave; realistic: with their service hours",
    )
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level that is logged"
    )
    drain_seconds: float = Field(10.0, gt=0, description="seconds after SIGTERM for work in flight")
    tracing: bool = Field(
        default=False, description="record spans and export them; the OTEL_* below need it"
    )
    otel_exporter_otlp_endpoint: str = Field(
        "http://127.0.0.1:4318",
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        pattern=r"^https?://[^\s/]+",
        description="base URL of the collector (OTLP over HTTP)",
    )
    otel_service_name: Annotated[str | None, _UNLESS_EMPTY] = Field(
        None,
        validation_alias="OTEL_SERVICE_NAME",
        description="name of the service in traces; `tongban-` and the process unless set",
    )
    otel_traces_sampler: Sampler = Field(
        "parentbased_always_on",
        validation_alias="OTEL_TRACES_SAMPLER",
        description="which traces are recorded; parentbased: as the caller decided, where one did",
    )
    otel_traces_sampler_arg: float = Field(
        1.0,
        validation_alias="OTEL_TRACES_SAMPLER_ARG",
        ge=0,
        le=1,
        description="share of the traces, for the samplers with a ratio",
    )

    keyring: SecretStr = Field(
        SecretStr(DEVELOPMENT_KEY_RING),
        description='JSON {"active": id, "keys": {id: base64url of 32 bytes}}, or @FILE',
    )
    id_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        description="keys what is derived from a kiosk's key or a number: request ids, opt-outs",
    )
    token_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET), description="signs kiosks' tokens, and keys PINs' digests"
    )
    token_secret_accepted: OptionalSecret = Field(
        None, description="a second secret that verifies: the next one, then the one before"
    )
    pin_secret: OptionalSecret = Field(
        None, description="keys PINs' digests; the token secret unless set"
    )
    pseudonym_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        description="keys the analysts' pseudonyms and nothing else; changing it starts new ones",
    )
    gateway_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        description="derives the keys that sign messages to and from each province",
    )
    gateway_secret_accepted: OptionalSecret = Field(
        None, description="a second secret that verifies provinces' callbacks, as above"
    )

    _cluster: KafkaCluster = PrivateAttr()
    _store_address: StoreAddress = PrivateAttr()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment, and the files that `VARIABLE_FILE` names for secrets."""
        del dotenv_settings, file_secret_settings
        return init_settings, SecretFileSource(settings_cls), env_settings

    @field_validator("*", mode="before")
    @classmethod
    def _secret_was_read(cls, value: Any) -> Any:
        if isinstance(value, UnusableSecret):
            raise SettingFileError(value.line)
        return value

    @property
    def cluster(self) -> KafkaCluster:
        """Return the address and security of the Kafka cluster, for every client of the process."""
        return self._cluster

    @property
    def store_address(self) -> StoreAddress:
        """Return the URL and security of the store, for every client of the process."""
        return self._store_address

    @property
    def token_secrets(self) -> tuple[str, ...]:
        """Return the secrets under which tokens and pages are accepted. The first signs."""
        return _all_accepted(self.token_secret, self.token_secret_accepted)

    @property
    def gateway_secrets(self) -> tuple[str, ...]:
        """Return the secrets under which callbacks are accepted. The first signs our calls."""
        return _all_accepted(self.gateway_secret, self.gateway_secret_accepted)

    @property
    def pin_key(self) -> str:
        """Return the secret that keys the digests of PINs."""
        return (self.pin_secret or self.token_secret).get_secret_value()

    @model_validator(mode="after")
    def _kafka_can_be_reached(self) -> Self:
        security = KafkaSecurity(
            protocol=self.kafka_security_protocol,
            mechanism=self.kafka_sasl_mechanism,
            username=self.kafka_sasl_username,
            password=self.kafka_sasl_password,
            password_file=self.kafka_sasl_password_file,
            ca_file=self.kafka_ssl_ca_file,
            certificate_file=self.kafka_ssl_certificate_file,
            key_file=self.kafka_ssl_key_file,
        )
        self._cluster = KafkaCluster(self.kafka, security)
        return self

    @model_validator(mode="after")
    def _session_outlives_heartbeats(self) -> Self:
        if self.group_session_seconds < 3 * self.group_heartbeat_seconds:
            raise ValueError(
                "TONGBAN_GROUP_SESSION_SECONDS: less than three TONGBAN_GROUP_HEARTBEAT_SECONDS"
            )
        return self

    @model_validator(mode="after")
    def _store_can_be_reached(self) -> Self:
        security = StoreSecurity(
            username=self.store_username,
            password=self.store_password,
            auth_source=self.store_auth_source,
            tls=self.store_tls,
            ca_file=self.store_tls_ca_file,
            certificate_file=self.store_tls_certificate_file,
            key_file=self.store_tls_key_file,
        )
        self._store_address = StoreAddress(self.store, security)
        return self

    @model_validator(mode="after")
    def _secrets_are_secret(self) -> Self:
        if self.environment == "production":
            values = {
                name: secret.get_secret_value()
                for name in (*self.SECRETS, *(f"{each}_accepted" for each in self.SECRETS))
                if (secret := getattr(self, name, None)) is not None
            }
            problems = [problem for name in sorted(values) if (problem := _weakness(name, values))]
            if problems:
                raise ValueError("\n".join(problems))
        return self


def _weakness(name: str, values: dict[str, str]) -> str | None:
    """Return one line that says why `values[name]` is too weak a secret; None if it is strong."""
    value, variable = values[name], variable_of(name)
    if value in (DEVELOPMENT_SECRET, DEVELOPMENT_KEY_RING):
        return (
            f"{variable}: not set, and its default is public; give a secret of at least "
            f"{SECRET_BYTES} bytes (TONGBAN_ENVIRONMENT=development accepts the default)"
        )
    is_reference = name in SecretFileSource.FOLLOWED and value.startswith("@")
    if len(value.encode()) < SECRET_BYTES and not is_reference:
        return f"{variable}: shorter than {SECRET_BYTES} bytes"
    same = sorted(
        variable_of(other) for other in values if other != name and values[other] == value
    )
    return (
        f"{variable}: the same as {', '.join(same)}; each needs a value of its own"
        if same
        else None
    )


def _all_accepted(current: SecretStr, other: SecretStr | None) -> tuple[str, ...]:
    return tuple(each.get_secret_value() for each in (current, other) if each is not None)


def without_secret_files(model: type[CommonSettings] = CommonSettings) -> dict[str, str]:
    """Return an environment in which a child process reads no secret from its parent's files: its
    own variables would contradict them."""
    return {f"{variable_of(field)}{SUFFIX}": "" for field in secret_fields(model)}


def variable_of(field: str) -> str:
    """Return the environment variable that a field is read from: OpenTelemetry's own name where
    that has one."""
    name = field.upper()
    return name if name.startswith("OTEL_") else f"TONGBAN_{name}"


Settings = TypeVar("Settings", bound=CommonSettings)


def load(cls: type[Settings]) -> Settings:
    """Read the environment, or end the process with EX_CONFIG and one line for each wrong variable.

    No line quotes a value: it may be a secret.
    """
    try:
        return cls()
    except ValidationError as error:
        for problem in error.errors():
            text = problem["msg"].removeprefix("Value error, ")
            cause = problem.get("ctx", {}).get("error")
            if problem["loc"] and not isinstance(cause, SettingFileError):
                text = f"{variable_of('_'.join(str(part) for part in problem['loc']))}: {text}"
            print(text, file=sys.stderr)
        sys.exit(EX_CONFIG)
