"""Describes how clients reach a cluster: its address, TLS and SASL.

`client_options` turns them into the arguments of aiokafka's clients; every client of this package
is made with it.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import structlog
from pydantic import SecretStr

from tongban_kafka import tls
from tongban_kafka.errors import MessagingError
from tongban_kafka.followed_files import FollowedContext, FollowedPassword
from tongban_kafka.operator_texts import Setting
from tongban_kafka.setting_files import SettingFileError, read_secret_file

log = structlog.get_logger(__name__)

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]


class KafkaSecurityError(MessagingError, ValueError):
    """Raised for settings that contradict one another or are incomplete. `lines` has one line for
    each wrong setting; no line quotes a value."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSecurity:
    """Holds the TLS and SASL settings of a client.

    Args:
        mechanism: None is the default, SCRAM-SHA-512.
        password: the SASL password; or `password_file`, whose trailing line ends are ignored.
        ca_file: PEM certificates of the authorities that the client trusts; None trusts those of
            the system.
        certificate_file: PEM certificate of this client with its chain; `key_file` is its key,
            which must not be encrypted.
    """

    protocol: SecurityProtocol = "PLAINTEXT"
    mechanism: SaslMechanism | None = None
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    @property
    def uses_tls(self) -> bool:
        """Return True if connections are encrypted."""
        return self.protocol in ("SSL", "SASL_SSL")

    @property
    def uses_sasl(self) -> bool:
        """Return True if the client has a user name and a password."""
        return self.protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    @property
    def tls_files(self) -> list[Path]:
        """Return the files with certificates and the key."""
        files = (self.ca_file, self.certificate_file, self.key_file)
        return [file for file in files if file is not None]

    def arguments(self) -> dict[str, Any]:
        """Read the files and return the security arguments of an aiokafka client. Connections that
        begin after a file was changed use its new content.

        Raises:
            KafkaSecurityError: settings contradict one another, one is missing, or a file cannot
                be used.
        """
        if problems := [*self._useless(), *self._missing()]:
            raise KafkaSecurityError(*problems)
        arguments: dict[str, Any] = {"security_protocol": self.protocol}
        if self.uses_sasl:
            arguments["sasl_mechanism"] = self.mechanism or "SCRAM-SHA-512"
            arguments["sasl_plain_username"] = self.username
            arguments["sasl_plain_password"] = self._password()
        if self.uses_tls:
            arguments["ssl_context"] = FollowedContext(self.tls_files, self._ssl_context)
        return arguments

    def _useless(self) -> list[str]:
        """Return a line for each setting that has no effect under the protocol: the operator who
        set it expects a protection that is not there."""
        sasl = {
            Setting.MECHANISM: self.mechanism,
            Setting.USERNAME: self.username,
            Setting.PASSWORD: self.password,
            Setting.PASSWORD_FILE: self.password_file,
        }
        tls = {Setting.CA_FILE: self.ca_file, Setting.CERTIFICATE_FILE: self.certificate_file,
               Setting.KEY_FILE: self.key_file}  # fmt: skip
        given: list[tuple[Setting, str]] = []
        if not self.uses_sasl:
            given += [(name, "SASL") for name, value in sasl.items() if value is not None]
        if not self.uses_tls:
            given += [(name, "TLS") for name, value in tls.items() if value is not None]
        return [
            f"{name}: {Setting.PROTOCOL}={self.protocol} uses no {what}; unset one of the two"
            for name, what in given
        ]

    def _missing(self) -> list[str]:
        lines = []
        protocol = f"{Setting.PROTOCOL}={self.protocol}"
        password, password_file = Setting.PASSWORD, Setting.PASSWORD_FILE
        certificate, key = Setting.CERTIFICATE_FILE, Setting.KEY_FILE
        if self.uses_sasl:
            if not self.username:
                lines.append(f"{Setting.USERNAME}: not set, and {protocol} needs it")
            if self.password is not None and self.password_file is not None:
                lines.append(f"{password_file}: {password} is set too; unset one of the two")
            elif self.password is None and self.password_file is None:
                lines.append(
                    f"{password}: neither it nor {password_file} is set, and {protocol} needs one"
                )
        if self.uses_tls:
            if self.key_file is not None and self.certificate_file is None:
                lines.append(f"{key}: there is no {certificate} that it is the key of")
            if self.certificate_file is not None and self.key_file is None:
                lines.append(f"{certificate}: there is no {key} with its key")
        return lines

    def _password(self) -> str:
        if self.password is not None:
            return self.password.get_secret_value()
        assert self.password_file is not None  # noqa: S101 - see `_missing`
        return FollowedPassword(self.password_file, self._password_of_file)

    def _password_of_file(self) -> str:
        assert self.password_file is not None  # noqa: S101 - see `_missing`
        with _as_security_errors():
            return read_secret_file(str(Setting.PASSWORD_FILE), self.password_file)

    def _ssl_context(self) -> ssl.SSLContext:
        ca, pair = None, (self.certificate_file, self.key_file)
        if self.ca_file is not None:
            ca = (str(Setting.CA_FILE), self.ca_file)
        with _as_security_errors():
            context = tls.client_context(ca)
            if pair[0] is not None and pair[1] is not None:
                tls.present_certificate(
                    context,
                    (str(Setting.CERTIFICATE_FILE), pair[0]),
                    (str(Setting.KEY_FILE), pair[1]),
                )
        return context


@contextmanager
def _as_security_errors() -> Iterator[None]:
    """Raise KafkaSecurityError for a file that cannot be used."""
    try:
        yield
    except SettingFileError as error:
        raise KafkaSecurityError(str(error)) from None


class KafkaCluster:
    """Combines a bootstrap address with the security settings of all connections to it. `str` is
    the address; neither `str` nor `repr` shows the password.

    Raises:
        KafkaSecurityError: see `KafkaSecurity.arguments`. The constructor reads the files.
    """

    __slots__ = ("_arguments", "bootstrap", "security")

    def __init__(self, bootstrap: str, security: KafkaSecurity | None = None) -> None:
        self.bootstrap = bootstrap
        self.security = security or KafkaSecurity()
        self._arguments = self.security.arguments()

    def __str__(self) -> str:
        return self.bootstrap

    def __repr__(self) -> str:
        return f"KafkaCluster({self.bootstrap!r}, {self.security.protocol})"

    def security_arguments(self) -> Mapping[str, Any]:
        """Return the security arguments of an aiokafka client, the password among them."""
        return dict(self._arguments)


KafkaAddress = str | KafkaCluster
"""A cluster as every client of this package accepts it. A plain `HOST:PORT[,HOST:PORT]` means
neither TLS nor SASL."""


def client_options(kafka: KafkaAddress, *, bootstrap: str | None = None) -> dict[str, Any]:
    """Return the arguments with which an aiokafka client connects to this cluster.

    Args:
        bootstrap: one address of the cluster, to be used instead of all.
    """
    cluster = kafka if isinstance(kafka, KafkaCluster) else KafkaCluster(kafka)
    return {
        "bootstrap_servers": bootstrap or cluster.bootstrap,
        **cluster.security_arguments(),
    }


def warn_of_plaintext(cluster: KafkaCluster, environment: str) -> None:
    """Log a warning if connections to Kafka are not encrypted, outside the environment
    "development". The caller starts all the same: a service mesh may encrypt below it."""
    if environment == "development" or cluster.security.uses_tls:
        return
    authenticated = "" if cluster.security.uses_sasl else " and brokers do not authenticate clients"
    log.warning(
        "kafka_not_encrypted",
        protocol=cluster.security.protocol,
        risk="records travel to Kafka in clear" + authenticated + ": anyone on the "
        "network path can read, change and forge records, unless something below encrypts",
        look_at=[str(Setting.PROTOCOL)],
    )
