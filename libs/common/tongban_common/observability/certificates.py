"""Export when the certificates in a process's files expire, so that an alert fires before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class CertificateExpiry(Collector):
    """Exports the Unix time at which the first certificate of each watched file expires.

    A scrape reads the files again, so a renewed certificate shows without a restart. A file that
    cannot be read, or holds no certificate, has the value 0: the alert fires for it as well.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._files: dict[str, Path] = {}
        self._lock = threading.Lock()
        self._registry: CollectorRegistry | None = registry

    def watch(self, certificate: str, file: Path | None) -> None:
        """Export a PEM file under this name, the metric's label; do nothing if `file` is None."""
        if file is None:
            return
        with self._lock:
            self._files[certificate] = file
            registry, self._registry = self._registry, None
        if registry is not None:
            registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauge, with one sample for each watched file."""
        gauge = GaugeMetricFamily(
            "tongban_certificate_expiry_timestamp_seconds",
            "Unix time at which a certificate in a file of this process expires; 0: unreadable",
            labels=["certificate"],
        )
        with self._lock:
            files = dict(self._files)
        for name, file in files.items():
            expiry = expiry_of(file)
            gauge.add_metric([name], 0.0 if expiry is None else expiry.timestamp())
        yield gauge


def expiry_of(file: Path) -> datetime | None:
    """Return when the first of a PEM file's certificates expires; None if there is none."""
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        return None
    return min(each.not_valid_after_utc for each in found)


CERTIFICATES = CertificateExpiry()
"""Watches the files of this process. A part that uses a certificate adds its file."""
