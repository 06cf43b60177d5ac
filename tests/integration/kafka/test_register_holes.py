"""Registers of which a batch cannot be read, on a real broker: whoever uses one fails to the safe
side, until an operator has written again what was lost and accepted the loss."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from tests.integration.kafka.kit import eventually, reading
from tongban_common.clock import CHINA, BusinessClock
from tongban_common.control.optouts import optouts
from tongban_common.control.provinces import ProvinceControl
from tongban_common.topics import (
    CONTROL_KIOSKS,
    CONTROL_OPTOUTS,
    CONTROL_PROVINCES,
    TOPICS,
)
from tongban_connectors.gate_sources import Pauses
from tongban_devstack.embedded.kafka import EmbeddedKafka
from tongban_intake.access.enrolled import Enrolled
from tongban_intake.access.enrolment import kiosk_register
from tongban_intake.access.enrolment.keyfiles import public_x, thumbprint
from tongban_intake.access.enrolment.kiosks import KioskKey, enrolled
from tongban_intake.access.tokens import Kiosk
from tongban_intake.problems import ProblemError
from tongban_kafka import BatchRetries, RegisterView, apply_topics
from tongban_kafka.reader import Reader
from tongban_ops.cli.main import application
from tongban_ops.operators.provinces import write_controls

pytestmark = pytest.mark.long

_BOMB = bytes(70 * 1024 * 1024)
_REGISTERS = [topic for name, topic in TOPICS.items() if name.startswith("control.")]
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
async def own_kafka(tmp_path: Path) -> AsyncIterator[str]:
    """A broker whose registers are this test's own."""
    async with EmbeddedKafka(tmp_path / "kafka") as broker:
        await apply_topics(broker.address, _REGISTERS)
        yield broker.address


async def _write(kafka: str, topic: str, key: str, value: bytes) -> None:
    foreign = AIOKafkaProducer(
        bootstrap_servers=kafka, compression_type="gzip", max_request_size=100 * 1024 * 1024
    )
    await foreign.start()
    try:
        await foreign.send_and_wait(topic, value, key.encode(), partition=0)
    finally:
        await foreign.stop()


@asynccontextmanager
async def following(*readers: Reader) -> AsyncIterator[None]:
    for reader in readers:
        reader._retries = BatchRetries(tries=2)
    async with reading(*readers):
        yield


async def enrol(kafka: str, *kiosk_ids: str) -> None:
    x = public_x(Ed25519PrivateKey.generate().public_key())
    key = KioskKey(kid=thumbprint(x), x=x, added_at=NOW)
    await kiosk_register(kafka).change(
        {
            each: lambda known, each=each: enrolled(  # type: ignore[misc]
                known, kiosk_id=each, branch_id="b-310115-01", zone=None, key=key, replace=False,
                now=NOW,
            )
            for each in kiosk_ids
        }
    )  # fmt: skip


async def tongban(kafka: str, *arguments: str) -> Result:
    def call() -> Result:
        return CliRunner().invoke(application(), list(arguments), env={"TONGBAN_KAFKA": kafka})

    return await asyncio.to_thread(call)


def bearer(kiosk_id: str) -> Kiosk:
    return Kiosk(kiosk_id, branch_id="b-310115-01", zone="cross_province", expires=2**40, epoch=0)


async def test_no_kiosk_is_let_in_until_the_hole_is_accepted(own_kafka: str) -> None:
    kafka = own_kafka
    await enrol(kafka, "k-310115-001", "k-310115-002")
    void: list[str] = []
    replica = Enrolled(kafka, on_void=void.append)
    async with following(replica.kiosks, replica.assistants):
        await eventually(lambda: replica.readiness() is None and len(replica.kiosks.values) == 2)
        assert replica.is_valid(bearer("k-310115-001"))
        void.clear()
        await _write(kafka, CONTROL_KIOSKS, "k-310115-001", _BOMB)
        await eventually(lambda: "offsets" in str(replica.readiness()), within=30)
        with pytest.raises(ProblemError) as refused:
            replica.is_valid(bearer("k-310115-002"))
        assert refused.value.kind.status == 503
        assert {"k-310115-001", "k-310115-002"} <= set(void)
        started_later = Enrolled(kafka, on_void=void.append)
        async with following(started_later.kiosks, started_later.assistants):
            await eventually(lambda: started_later.kiosks.ready, within=30)
            assert "offsets" in str(started_later.readiness())

        shown = await tongban(kafka, "topics", "holes", CONTROL_KIOSKS, "--json")
        (hole,) = json.loads(shown.stdout.splitlines()[-1])  # log lines come before it
        assert hole["after"] == hole["first"] + 1
        assert (await tongban(kafka, "kiosk", "list")).exit_code == 0
        revoked = await tongban(kafka, "kiosk", "revoke", "k-310115-001", "--reason", "stolen")
        assert revoked.exit_code == 0, revoked.output
        accepted = await tongban(kafka, "topics", "accept-holes", CONTROL_KIOSKS)
        assert accepted.exit_code == 0, accepted.output
        await eventually(lambda: replica.readiness() is None, within=30)
        assert replica.is_valid(bearer("k-310115-002"))
        assert not replica.is_valid(bearer("k-310115-001"))
        assert (await tongban(kafka, "topics", "accept-holes", CONTROL_KIOSKS)).exit_code == 1
        # A later hole is another one.
        await _write(kafka, CONTROL_KIOSKS, "k-310115-002", _BOMB)
        await eventually(lambda: "offsets" in str(replica.readiness()), within=30)


async def test_kiosk_whose_newest_record_cannot_be_decoded_is_kept_out_alone(
    own_kafka: str,
) -> None:
    await enrol(own_kafka, "k-310115-001", "k-310115-002")
    void: list[str] = []
    replica = Enrolled(own_kafka, on_void=void.append)
    async with following(replica.kiosks, replica.assistants):
        # A transaction that is just being completed may still be hidden from the first reading.
        await eventually(lambda: replica.readiness() is None and len(replica.kiosks.values) == 2)
        void.clear()
        await _write(own_kafka, CONTROL_KIOSKS, "k-310115-001", b"not a record")
        await eventually(lambda: bool(void))
        assert void == ["k-310115-001"]
        assert not replica.is_valid(bearer("k-310115-001"))
        assert replica.is_valid(bearer("k-310115-002"))
        started_later = Enrolled(own_kafka, on_void=void.append)
        async with following(started_later.kiosks, started_later.assistants):
            await eventually(lambda: started_later.readiness() is None)
            assert not started_later.is_valid(bearer("k-310115-001"))
        await enrol(own_kafka, "k-310115-001")
        await _write(own_kafka, CONTROL_KIOSKS, "k-310115-001", await _newest(own_kafka))
        await eventually(lambda: replica.is_valid(bearer("k-310115-001")))


async def _newest(kafka: str) -> bytes:
    known = await kiosk_register(kafka).all()
    return known["k-310115-001"].model_dump_json().encode()


async def test_no_province_is_called_while_pauses_cannot_be_read(own_kafka: str) -> None:
    clock = BusinessClock.real()
    pauses = Pauses(own_kafka, clock, cast(Any, None))
    async with following(pauses._view):
        await asyncio.wait_for(pauses.known(), 10)
        assert pauses.source("510000")() is None
        await _write(own_kafka, CONTROL_PROVINCES, "510000", _BOMB)
        await eventually(lambda: pauses.readiness() is not None, within=30)
        for code in ("510000", "110000"):
            closure = pauses.source(code)()
            assert closure is not None
            assert closure.cause == "paused"
        now = datetime.now(CHINA)
        lost = ProvinceControl(
            province="510000", paused=True, reason="系统维护", by="op", since=now
        )
        await write_controls(own_kafka, [lost])
        accepted = await tongban(own_kafka, "topics", "accept-holes", CONTROL_PROVINCES)
        assert accepted.exit_code == 0, accepted.output
        await eventually(lambda: pauses.readiness() is None, within=30)
        assert pauses.source("510000")() is not None
        assert pauses.source("110000")() is None


async def test_register_with_a_hole_reports_it_until_it_is_read_again_without_one(
    own_kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that had garbled the batch may have it intact on another replica."""
    monkeypatch.setattr("tongban_kafka.view._READ_AGAIN_S", 0.5)
    monkeypatch.setattr("tongban_kafka._aiokafka.unpacking.MAX_BYTES", 10)
    view: RegisterView[Any] = optouts(own_kafka)
    await _write(own_kafka, CONTROL_OPTOUTS, "digest", b'{"digest": "digest", "by": "op"}' * 3)
    async with following(view):
        await eventually(lambda: view.ready, within=30)
        assert view.hole is not None
        assert view.in_doubt("any other")
        monkeypatch.setattr("tongban_kafka._aiokafka.unpacking.MAX_BYTES", 64 * 1024 * 1024)
        await eventually(lambda: view.hole is None, within=30)
        assert view.in_doubt("digest")  # it can be read, and is no record
        assert not view.in_doubt("any other")
