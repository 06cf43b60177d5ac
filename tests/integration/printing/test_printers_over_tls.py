"""Printing over IPPS: a real process prints through TLS, and holds what it cannot trust."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.integration.outside_kit import Outside, completed, fresh_id, outside, until
from tongban_common import topics
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import PrintReported
from tongban_devstack.embedded.security import Certificate, CertificateAuthority
from tongban_devstack.ports import free_port
from tongban_printing.printer.jobs import UNTRUSTED


def fingerprint(certificate: Certificate) -> str:
    read = x509.load_pem_x509_certificate(certificate.certificate_file.read_bytes())
    return read.fingerprint(hashes.SHA256()).hex(":")


@pytest.fixture
async def place(tmp_path: Path, store: str) -> AsyncIterator[Outside]:
    async with outside(tmp_path, store) as place:
        yield place


async def printed(place: Outside, request_id: str) -> None:
    """Wait for the paper and its report: an unreported order would keep the next one waiting."""

    async def out() -> bool:
        reports: list[PrintReported] = place.said(PrintReported, request_id)
        return any(report.status is PrintStatus.PRINTED for report in reports) and any(
            row["request_id"] == request_id for row in await place.printed()
        )

    await until(out, f"paper of {request_id}", 60)


@pytest.mark.long
async def test_orders_are_held_while_a_printer_cannot_be_trusted_and_printed_afterwards(
    place: Outside, tmp_path: Path
) -> None:
    authority = CertificateAuthority(tmp_path / "authority")
    good, expired = (
        authority.issue("printer"),
        authority.issue("old", expires_in=timedelta(days=-1)),
    )
    port, pins = free_port(), tmp_path / "pins"
    pins.write_text("# kiosk, certificate\n")

    def devices(certificate: Certificate) -> None:
        ended = place.start(
            "devices",
            instance="devices-tls",
            TONGBAN_DATA=place.env["TONGBAN_DATA"],
            TONGBAN_HTTP_PORT=place.devices.rpartition(":")[2],
            TONGBAN_TLS_PORT=str(port),
            TONGBAN_TLS_KEYSTORE=str(certificate.keystore_file),
        )
        assert ended.alive

    async def exchange(certificate: Certificate) -> None:
        await place.end(next(each for each in place.running if "devices" in each.spec.name))
        devices(certificate)
        await place.ready(place.running[-1])

    async def held(request_id: str) -> None:
        def has() -> bool:
            reports: list[PrintReported] = place.said(PrintReported, request_id)
            return any(
                report.status is PrintStatus.WAITING_FOR_PRINTER and report.reason == UNTRUSTED
                for report in reports
            )

        await until(has, f"{request_id} to be held", 60)

    await exchange(good)
    printing = place.start(
        "printing",
        TONGBAN_PRINTER_URL=f"ipps://127.0.0.1:{port}/ipp/print/{{kiosk_id}}",
        TONGBAN_PRINTER_CA_FILE=str(authority.file),
        TONGBAN_PRINTER_PINS=str(pins),
    )
    await place.ready(printing)
    first = fresh_id()
    await place.say(topics.REQUESTS_COMPLETED, completed(first, kiosk_id="k-1"))
    await printed(place, first)

    await exchange(expired)
    second = fresh_id()
    await place.say(topics.REQUESTS_COMPLETED, completed(second, kiosk_id="k-1"))
    await held(second)
    assert not any(row["request_id"] == second for row in await place.printed())
    pins.write_text(f"k-1 {fingerprint(expired)}\n")
    await printed(place, second)

    pins.write_text("# no more\n")
    await exchange(CertificateAuthority(tmp_path / "other").issue("printer"))
    third = fresh_id()
    await place.say(topics.REQUESTS_COMPLETED, completed(third, kiosk_id="k-1"))
    await held(third)
    await exchange(good)
    await printed(place, third)

    log = (place.directory / "printing-0.log").read_text().splitlines()
    lines = [json.loads(line) for line in log if line.startswith("{")]
    reasons = [line["reason"] for line in lines if line["event"] == "printer_not_trusted"]
    assert reasons == [
        "the printer's certificate has expired (by the clock of this machine)",
        "no trusted authority has signed the printer's certificate",
    ]
