"""Tests that a refused connection is distinguished from a broker that is away."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from pydantic import SecretStr

import tongban_common.settings  # noqa: F401 - has the refusals name the TONGBAN_* variables
from tests.unit.kafka.security_kit import tls_server
from tongban_devstack.embedded.security import CertificateAuthority
from tongban_kafka import (
    EventProducer,
    KafkaCluster,
    KafkaSecurity,
    KafkaUnavailableError,
    Snapshot,
    client_options,
    reach,
    refusals,
)

WORD = "correct-horse"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget the refusals of this test, so that they neither explain nor suppress a later line."""
    yield
    refusals.memory.clear()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


def secured(address: str, ca_file: Path | None) -> KafkaCluster:
    return KafkaCluster(
        address,
        KafkaSecurity(
            protocol="SASL_SSL", username="router", password=SecretStr(WORD), ca_file=ca_file
        ),
    )


async def told(cluster: KafkaCluster) -> tuple[str, list[Any]]:
    """Return the text that a command shows, and the lines that are logged."""
    with (
        structlog.testing.capture_logs() as logs,
        pytest.raises(KafkaUnavailableError) as unavailable,
    ):
        await reach(cluster, within=20)
    lines = [line for line in logs if line["event"] == "kafka_refused"]
    assert WORD not in f"{unavailable.value}{lines}"
    return str(unavailable.value), lines


BAD_SERVERS: list[tuple[dict[str, Any], str, str]] = [
    ({"expires_in": timedelta(days=-1)}, "certificate has expired", "certificate"),
    ({"hosts": ["kafka.example"]}, "certificate is for another host name", "TONGBAN_KAFKA"),
    ({"hosts": ["127.0.0.9"]}, "certificate is for another host name", "TONGBAN_KAFKA"),
    ({"expires_in": timedelta(days=800)}, "certificate is not valid yet", "certificate"),
]


@pytest.mark.parametrize(("issued", "reason", "look_at"), BAD_SERVERS)
async def test_certificate_that_does_not_hold_is_named_with_the_reason(
    issued: dict[str, Any], reason: str, look_at: str, authority: CertificateAuthority
) -> None:
    async with tls_server(authority.issue("broker", **issued)) as address:
        said, (line,) = await told(secured(address, authority.file))
    assert said.startswith(f"{address}: ")
    assert reason in said
    assert look_at in said
    assert line["broker"] == address
    assert reason in line["reason"]


@pytest.mark.parametrize("knows", ["another authority", "the system's authorities"])
async def test_certificate_of_a_foreign_authority_names_the_ca_file(
    knows: str, authority: CertificateAuthority, tmp_path: Path
) -> None:
    other = CertificateAuthority(tmp_path).file if knows == "another authority" else None
    async with tls_server(authority.issue("broker")) as address:
        said, _ = await told(secured(address, other))
    assert "no trusted authority has signed" in said
    assert "TONGBAN_KAFKA_SSL_CA_FILE" in said


async def test_refusal_is_logged_once_a_minute_and_explains_probes_and_snapshots(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    expired = authority.issue("broker", expires_in=timedelta(days=-1))
    async with tls_server(expired) as address:
        cluster = secured(address, authority.file)
        lines = []
        for minute in range(2):
            now = 1000.0 + 61 * minute
            for _ in range(3):
                _, more = await told(cluster)
                lines += more
        assert len(lines) == 2
        assert "has expired" in (EventProducer(cluster).readiness() or "")
        with pytest.raises(KafkaUnavailableError, match="has expired"):
            async with Snapshot(cluster):
                pass
    now += 31
    assert refusals.current() is None


async def test_connection_that_succeeds_ends_the_refusal(kafka: str) -> None:
    refusals.note_failure(kafka, "SASL_SSL", SaslAuthenticationFailed("no"))
    assert refusals.current() is not None
    client = AIOKafkaClient(**client_options(kafka))
    await client.bootstrap()
    await client.close()
    assert refusals.current() is None


def ssl_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


def closed(cause: Exception) -> KafkaConnectionError:
    error = KafkaConnectionError("closed")
    error.__cause__ = cause
    return error


TLS_ALERT = asyncio.IncompleteReadError(b"\x03\x00\x00", 0x15030300)
KINDS: list[tuple[str, Exception, str | None]] = [
    ("SASL_SSL", SaslAuthenticationFailed("no"), "user name or the password"),
    ("SASL_SSL", UnsupportedSaslMechanismError("no"), "SASL mechanism"),
    ("SASL_SSL", IllegalSaslStateError("no"), "takes no user name"),
    ("SSL", closed(ssl_error("TLSV13_ALERT_CERTIFICATE_REQUIRED")), "asks for a client"),
    ("SSL", closed(ssl_error("SSLV3_ALERT_CERTIFICATE_UNKNOWN")), "not accept the client"),
    ("SSL", closed(ssl_error("TLSV1_ALERT_UNKNOWN_CA")), "not accept the client"),
    ("SSL", ssl_error("WRONG_VERSION_NUMBER"), "speaks no TLS"),
    ("SSL", ssl_error("NO_PROTOCOLS_AVAILABLE"), "handshake with the broker failed"),
    ("SSL", ConnectionResetError(), "speaks no TLS"),
    ("PLAINTEXT", closed(TLS_ALERT), "speaks TLS"),
    ("SASL_PLAINTEXT", closed(TLS_ALERT), "speaks TLS"),
    ("PLAINTEXT", closed(asyncio.IncompleteReadError(b"", 4)), None),
    ("PLAINTEXT", ConnectionResetError(), None),
    ("SASL_SSL", ConnectionRefusedError(), None),
    ("SASL_SSL", TimeoutError(), None),
    ("SASL_SSL", OSError(-2, "Name or service not known"), None),
]


@pytest.mark.parametrize(("protocol", "error", "reason"), KINDS)
def test_error_of_a_connection_is_classified(
    protocol: str, error: Exception, reason: str | None
) -> None:
    refusal = refusals.classify(protocol, error)
    if reason is None:
        assert refusal is None
    else:
        assert refusal is not None
        assert reason in refusal.reason
        assert refusal.look_at
