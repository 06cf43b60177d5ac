"""The metric that says when a certificate expires."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tongban_common.observability.certificates import CertificateExpiry
from tongban_devstack.embedded.security import CertificateAuthority

DAY_S = 24 * 3600


def exported(registry: CollectorRegistry, certificate: str) -> float | None:
    return registry.get_sample_value(
        "tongban_certificate_expiry_timestamp_seconds", {"certificate": certificate}
    )


def test_certificate_that_is_renewed_has_its_new_expiry_at_the_next_scrape(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    registry = CollectorRegistry()
    file = authority.issue("client", expires_in=timedelta(days=3)).certificate_file
    CertificateExpiry(registry).watch("kafka-client", file)
    before = exported(registry, "kafka-client")
    authority.issue("client", expires_in=timedelta(days=30))
    after = exported(registry, "kafka-client")
    assert before is not None
    assert after is not None
    assert after - before == pytest.approx(27 * DAY_S, abs=120)


def test_file_with_several_certificates_exports_the_first_to_expire(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    soon = authority.issue("soon", expires_in=timedelta(days=3)).certificate_file
    late = authority.issue("late", expires_in=timedelta(days=30)).certificate_file
    both = tmp_path / "both.pem"
    both.write_bytes(late.read_bytes() + soon.read_bytes())
    registry = CollectorRegistry()
    expiry = CertificateExpiry(registry)
    expiry.watch("both", both)
    expiry.watch("soon", soon)
    assert exported(registry, "both") == exported(registry, "soon")


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_file_without_a_certificate_exports_zero(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    registry = CollectorRegistry()
    CertificateExpiry(registry).watch("kafka-ca", file)
    assert exported(registry, "kafka-ca") == 0


def test_process_without_certificates_exports_nothing() -> None:
    registry = CollectorRegistry()
    CertificateExpiry(registry).watch("kafka-ca", None)
    assert not list(registry.collect())
