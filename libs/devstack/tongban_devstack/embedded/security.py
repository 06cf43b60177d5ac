"""Provide a certificate authority for tests, and the embedded broker's TLS and SASL settings."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tongban_devstack.files import write_atomically

_LOOPBACK = ("localhost", "127.0.0.1")
_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of one certificate."""

    certificate_file: Path
    key_file: Path
    """PKCS #8, not encrypted."""
    keystore_file: Path
    """Key and certificate in one file, the format of Kafka's keystores of type PEM."""


class CertificateAuthority:
    """Issues certificates into a directory, for tests and the development broker only.

    The authority's key exists in memory only, so another authority on the same directory is a
    different one.
    """

    def __init__(self, directory: Path, name: str = "tongban test authority") -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _common_name(name)
        now = datetime.now(UTC)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        signed = (
            self._builder(self._name, self._key, now - 2 * _YEAR, now + _YEAR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(identifier, critical=False)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = directory / "ca.pem"
        """Certificate of the authority, which clients trust."""
        write_atomically(self.file, signed.public_bytes(Encoding.PEM))

    def issue(
        self,
        name: str,
        *,
        hosts: Sequence[str] = _LOOPBACK,
        expires_in: timedelta = _YEAR,
    ) -> Certificate:
        """Return a certificate that a server on `hosts` and a client called `name` can use.

        A negative `expires_in` makes one that has expired; it began to be valid a year before.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        ends = datetime.now(UTC) + expires_in
        begins = ends - 2 * _YEAR if expires_in > timedelta() else ends - _YEAR
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        signed = (
            self._builder(_common_name(name), key, begins, ends)
            .add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(issuer_key, critical=False)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        certificate_pem = signed.public_bytes(Encoding.PEM)
        made = Certificate(*(self._directory / f"{name}.{end}" for end in ("crt", "key", "pem")))
        write_atomically(made.certificate_file, certificate_pem)
        write_atomically(made.key_file, key_pem)
        write_atomically(made.keystore_file, key_pem + certificate_pem)
        return made

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        begins: datetime,
        ends: datetime,
    ) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=begins,
            not_valid_after=ends,
        )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSecurity:
    """Options of an embedded broker that speaks TLS and SASL.

    Args:
        authority: signs the client certificates that the broker trusts.
        certificate: the broker's own.
        users: passwords by user name. Names and passwords are letters, digits, `-` and `_`: the
            broker's settings quote nothing else the same way everywhere. Users exist from the first
            start of a data directory on, and stay as they were then.
        authorises: refuses users what no permission allows. Clients of the plain address may do
            everything: they are the tools that run the broker and grant the permissions.
    """

    authority: CertificateAuthority
    certificate: Certificate
    users: Mapping[str, str]
    authorises: bool = False
    super_users: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Reject names and passwords that would need quoting."""
        for text in (*self.users, *self.users.values()):
            if not text.replace("-", "").replace("_", "").isalnum() or not text.isascii():
                raise ValueError("users and passwords are letters, digits, - and _")

    def scram_options(self) -> list[str]:
        """Return the options of `kafka-storage format` that create the users."""
        return [
            option
            for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256")
            for user, password in self.users.items()
            for option in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
        ]

    def settings(self) -> str:
        """Return the lines of server.properties for keys, trust and mechanisms."""
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        users = " ".join(f'user_{user}="{word}"' for user, word in self.users.items())
        plain = f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
        listener = "listener.name.sasl_ssl"
        authorizer = [
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            f"super.users={';'.join(f'User:{user}' for user in ('ANONYMOUS', *self.super_users))}",
            "allow.everyone.if.no.acl.found=false",
        ]
        return "\n".join(
            [
                "ssl.keystore.type=PEM",
                f"ssl.keystore.location={self.certificate.keystore_file}",
                "ssl.truststore.type=PEM",
                f"ssl.truststore.location={self.authority.file}",
                "listener.name.ssl.ssl.client.auth=required",
                "sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
                f"{listener}.scram-sha-512.sasl.jaas.config={scram}",
                f"{listener}.scram-sha-256.sasl.jaas.config={scram}",
                f"{listener}.plain.sasl.jaas.config={plain}",
                *(authorizer if self.authorises else ()),
                "",
            ]
        )
