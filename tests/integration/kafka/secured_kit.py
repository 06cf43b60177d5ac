"""A broker with SASL_SSL and mutual TLS, and the settings of its clients, good and bad."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from tongban_devstack.embedded import EmbeddedKafka
from tongban_devstack.embedded.security import BrokerSecurity, Certificate, CertificateAuthority
from tongban_kafka import KafkaCluster, KafkaSecurity

USER, WORD, WRONG = "tongban", "correct-horse_1", "battery-staple_2"


@dataclass(frozen=True)
class Secured:
    broker: EmbeddedKafka
    authority: CertificateAuthority
    client: Certificate
    directory: Path

    def cluster(self, address: str | None = None, **changes: Any) -> KafkaCluster:
        """SASL_SSL with what the broker accepts, changed."""
        good: dict[str, Any] = {
            "protocol": "SASL_SSL",
            "username": USER,
            "password": SecretStr(WORD),
            "ca_file": self.authority.file,
        }
        return KafkaCluster(address or self.broker.address, KafkaSecurity(**{**good, **changes}))

    def mutual_tls(self, **changes: Any) -> KafkaCluster:
        """Both sides with a certificate, no password."""
        good: dict[str, Any] = {
            "protocol": "SSL",
            "ca_file": self.authority.file,
            "certificate_file": self.client.certificate_file,
            "key_file": self.client.key_file,
        }
        security = KafkaSecurity(**{**good, **changes})
        return KafkaCluster(self.broker.mutual_tls_address, security)

    def environment(self, **changes: str) -> dict[str, str]:
        """Variables of a process that reaches the broker; the password is in a file."""
        password = self.directory / "password"
        password.write_text(f"{WORD}\n")
        return {
            "TONGBAN_KAFKA": self.broker.address,
            "TONGBAN_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "TONGBAN_KAFKA_SASL_USERNAME": USER,
            "TONGBAN_KAFKA_SASL_PASSWORD_FILE": str(password),
            "TONGBAN_KAFKA_SSL_CA_FILE": str(self.authority.file),
            **changes,
        }


@asynccontextmanager
async def secured_kafka(directory: Path) -> AsyncIterator[Secured]:
    authority = CertificateAuthority(directory / "authority")
    security = BrokerSecurity(
        authority=authority, certificate=authority.issue("broker"), users={USER: WORD}
    )
    async with EmbeddedKafka(directory / "kafka", security=security) as broker:
        yield Secured(broker, authority, authority.issue("client"), directory)
