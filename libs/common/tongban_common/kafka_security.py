"""Describes how clients reach Kafka: the address and, with it, TLS and SASL.

`client_options` is the one function that turns both into arguments of aiokafka's clients. Faust's
credentials are made from the same arguments (`tongban_router.dispatch.broker`). This module imports
no Kafka client, so that settings can be read without one.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import structlog
from pydantic import SecretStr

log = structlog.get_logger(__name__)

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]

PROTOCOL = "TONGBAN_KAFKA_SECURITY_PROTOCOL"
MECHANISM = "TONGBAN_KAFKA_SASL_MECHANISM"
USERNAME = "TONGBAN_KAFKA_SASL_USERNAME"
PASSWORD = "TONGBAN_KAFKA_SASL_PASSWORD"  # noqa: S105 - the name of a variable
PASSWORD_FILE = "TONGBAN_KAFKA_SASL_PASSWORD_FILE"  # noqa: S105 - the name of a variable
CA_FILE = "TONGBAN_KAFKA_SSL_CA_FILE"
CERTIFICATE_FILE = "TONGBAN_KAFKA_SSL_CERTIFICATE_FILE"
KEY_FILE = "TONGBAN_KAFKA_SSL_KEY_FILE"

NO_KAFKA_SECURITY: Mapping[str, str] = {
    PROTOCOL: "PLAINTEXT",
    **dict.fromkeys(
        (MECHANISM, USERNAME, PASSWORD, PASSWORD_FILE, CA_FILE, CERTIFICATE_FILE, KEY_FILE), ""
    ),
}
"""An environment in which a child process uses no security, whatever its parent's settings are."""


class KafkaSecurityError(ValueError):
    """Raised for settings that contradict one another or are incomplete. `lines` has one line for
    each wrong variable; no line quotes a value."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSecurity:
    """How a client protects its connections and proves who it is.

    Args:
        mechanism: None is the default, SCRAM-SHA-512.
        password: of SASL; or `password_file`, of which line ends at the end are cut off.
        ca_file: PEM certificates of the authorities that a broker's certificate may be signed by;
            None takes those of the system.
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

    def arguments(self) -> dict[str, Any]:
        """Read the files and return the security arguments of an aiokafka client.

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
            arguments["ssl_context"] = self._ssl_context()
        return arguments

    def _useless(self) -> list[str]:
        """Return a line for each setting that the protocol leaves without effect: whoever has set
        it believes in a protection that is not there."""
        sasl = {
            MECHANISM: self.mechanism,
            USERNAME: self.username,
            PASSWORD: self.password,
            PASSWORD_FILE: self.password_file,
        }
        tls = {CA_FILE: self.ca_file, CERTIFICATE_FILE: self.certificate_file,
               KEY_FILE: self.key_file}  # fmt: skip
        given: list[tuple[str, str]] = []
        if not self.uses_sasl:
            given += [(name, "SASL") for name, value in sasl.items() if value is not None]
        if not self.uses_tls:
            given += [(name, "TLS") for name, value in tls.items() if value is not None]
        return [
            f"{name}: {PROTOCOL}={self.protocol} uses no {what}; unset one of the two"
            for name, what in given
        ]

    def _missing(self) -> list[str]:
        lines = []
        if self.uses_sasl:
            if not self.username:
                lines.append(f"{USERNAME}: not set, and {PROTOCOL}={self.protocol} needs it")
            if self.password is not None and self.password_file is not None:
                lines.append(f"{PASSWORD_FILE}: {PASSWORD} is set too; unset one of the two")
            elif self.password is None and self.password_file is None:
                lines.append(
                    f"{PASSWORD}: neither it nor {PASSWORD_FILE} is set, and "
                    f"{PROTOCOL}={self.protocol} needs one"
                )
        if self.uses_tls:
            if self.key_file is not None and self.certificate_file is None:
                lines.append(f"{KEY_FILE}: there is no {CERTIFICATE_FILE} that it is the key of")
            if self.certificate_file is not None and self.key_file is None:
                lines.append(f"{CERTIFICATE_FILE}: there is no {KEY_FILE} with its key")
        return lines

    def _password(self) -> str:
        if self.password is not None:
            return self.password.get_secret_value()
        assert self.password_file is not None  # noqa: S101 - `_missing` has looked
        try:
            text = _contents(PASSWORD_FILE, self.password_file).decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise KafkaSecurityError(f"{PASSWORD_FILE}: the file is not UTF-8 text") from None
        if not text:
            raise KafkaSecurityError(f"{PASSWORD_FILE}: the file is empty")
        return text

    def _ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.ca_file is not None:
            _contents(CA_FILE, self.ca_file)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            try:
                context.load_verify_locations(self.ca_file)
            except (ssl.SSLError, OSError):
                raise KafkaSecurityError(
                    f"{CA_FILE}: the file holds no certificate in PEM form"
                ) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate_file is not None and self.key_file is not None:
            _contents(CERTIFICATE_FILE, self.certificate_file)
            _contents(KEY_FILE, self.key_file)
            try:
                # Without the callback OpenSSL would ask for a pass phrase at the terminal.
                context.load_cert_chain(self.certificate_file, self.key_file, _no_pass_phrase)
            except _EncryptedKeyError:
                raise KafkaSecurityError(
                    f"{KEY_FILE}: the key is encrypted; give one without a pass phrase"
                ) from None
            except (ssl.SSLError, OSError) as error:
                why = (
                    f"{KEY_FILE}: not the key of the certificate in {CERTIFICATE_FILE}"
                    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH"
                    else f"{CERTIFICATE_FILE}: it or {KEY_FILE} is not in PEM form"
                )
                raise KafkaSecurityError(why) from None
        return context


class _EncryptedKeyError(Exception):
    """Raised when OpenSSL asks for the pass phrase of a key."""


def _no_pass_phrase() -> NoReturn:
    raise _EncryptedKeyError


def _contents(variable: str, file: Path) -> bytes:
    """Return what a file holds.

    Raises:
        KafkaSecurityError: it cannot be read; the line names the variable and the reason.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise KafkaSecurityError(f"{variable}: the file cannot be read: {why}") from None
    except ValueError:  # a NUL in its name
        raise KafkaSecurityError(f"{variable}: the file cannot be read: no such name") from None


class KafkaCluster:
    """A bootstrap address with the security of all connections to it. Its text is the address; no
    text of it has the password.

    Raises:
        KafkaSecurityError: as `KafkaSecurity.arguments`, which reads the files once, here.
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
"""Every client accepts either; a bare `HOST:PORT[,HOST:PORT]` is without TLS and SASL."""


def client_options(kafka: KafkaAddress, *, bootstrap: str | None = None) -> dict[str, Any]:
    """Return the arguments by which an aiokafka client reaches this cluster: every client of the
    project is made with them.

    Args:
        bootstrap: one address of the cluster instead of all.
    """
    cluster = kafka if isinstance(kafka, KafkaCluster) else KafkaCluster(kafka)
    return {
        "bootstrap_servers": bootstrap or cluster.bootstrap,
        **cluster.security_arguments(),
    }


def warn_of_plaintext(cluster: KafkaCluster, environment: str) -> None:
    """Log a warning, at the start of a service outside development, where its connections to Kafka
    are not encrypted. The service starts all the same: a mesh may encrypt below it."""
    if environment == "development" or cluster.security.uses_tls:
        return
    authenticated = "" if cluster.security.uses_sasl else " and brokers know no client by name"
    log.warning(
        "kafka_not_encrypted",
        protocol=cluster.security.protocol,
        risk="personal data travels to Kafka in clear" + authenticated + ": whoever is on the "
        "network path can read, change and forge records, unless something below encrypts",
        look_at=[PROTOCOL],
    )
