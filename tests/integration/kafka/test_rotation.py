"""Passwords, client certificates and authorities change while clients work, and nothing is lost."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.integration.kafka.kit import Place, eventually, make_place, number_of, running
from tests.integration.kafka.secured_kit import USER, WORD
from tongban_devstack.embedded import EmbeddedKafka
from tongban_devstack.embedded.scram import change_password
from tongban_devstack.embedded.security import BrokerSecurity, CertificateAuthority
from tongban_devstack.files import write_atomically
from tongban_kafka import (
    EventProducer,
    KafkaCluster,
    KafkaSecurity,
    KafkaUnavailableError,
    Record,
    Worker,
)

NEW_WORD = "staple-horse_3"


@dataclass
class Flow:
    """Numbers that are sent until told to stop, each again and again until it is acknowledged."""

    sent: int = 0
    handled: set[int] = field(default_factory=set)

    def handle(self, record: Record) -> None:
        self.handled.add(number_of(record))

    async def send(self, producer: EventProducer, place: Place) -> None:
        while True:
            value = b"%d" % self.sent
            try:
                await producer.send(place.topic, key=b"k", value=value, headers=[])
            except KafkaUnavailableError:
                await asyncio.sleep(0.05)
                continue
            self.sent += 1
            await asyncio.sleep(0.01)

    async def goes_on(self) -> None:
        """Ten more numbers arrive."""
        wanted = self.sent + 10
        await eventually(lambda: len(self.handled) > wanted, within=90, what="the flow")


@dataclass
class Rotating:
    """A broker whose certificates come from authorities that follow one another, and two clients'
    files: one has a password, the other a certificate."""

    broker: EmbeddedKafka
    directory: Path
    authorities: list[CertificateAuthority]

    @property
    def files(self) -> Path:
        return self.directory / "client"

    def issue(self, authority: CertificateAuthority) -> None:
        """Certificate and key of the client, replaced one after the other."""
        made = authority.issue("client")
        write_atomically(self.files / "client.crt", made.certificate_file.read_bytes())
        write_atomically(self.files / "client.key", made.key_file.read_bytes())

    def trust(self, *authorities: CertificateAuthority) -> None:
        pems = [authority.file.read_bytes() for authority in authorities]
        write_atomically(self.files / "ca.pem", b"".join(pems))

    def with_password(self) -> KafkaCluster:
        security = KafkaSecurity(
            protocol="SASL_SSL",
            username=USER,
            password_file=self.files / "password",
            ca_file=self.files / "ca.pem",
        )
        return KafkaCluster(self.broker.address, security)

    def with_certificate(self) -> KafkaCluster:
        security = KafkaSecurity(
            protocol="SSL",
            ca_file=self.files / "ca.pem",
            certificate_file=self.files / "client.crt",
            key_file=self.files / "client.key",
        )
        return KafkaCluster(self.broker.mutual_tls_address, security)


@pytest.fixture
async def rotating(tmp_path: Path) -> AsyncIterator[Rotating]:
    authorities = [CertificateAuthority(tmp_path / name, name) for name in ("old", "new")]
    security = BrokerSecurity(
        authority=authorities[0],
        certificate=authorities[0].issue("broker"),
        users={USER: WORD},
    )
    async with EmbeddedKafka(tmp_path / "kafka", security=security) as broker:
        found = Rotating(broker, tmp_path, authorities)
        found.files.mkdir()
        found.trust(authorities[0])
        found.issue(authorities[0])
        (found.files / "password").write_text(WORD)
        yield found


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_password_and_certificates_change_under_a_flow_and_nothing_is_lost(
    rotating: Rotating,
) -> None:
    old, new = rotating.authorities
    flows = {name: Flow() for name in ("password", "certificate")}
    clusters = {
        "password": rotating.with_password(),
        "certificate": rotating.with_certificate(),
    }
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as tasks:
            ends = [
                tasks.create_task(_flowing(flows[name], cluster))
                for name, cluster in clusters.items()
            ]
            await asyncio.gather(*(flow.goes_on() for flow in flows.values()))
            # The password: at the broker first, so that new connections are refused for a moment.
            await change_password(rotating.broker.plain_address, USER, NEW_WORD)
            write_atomically(rotating.files / "password", f"{NEW_WORD}\n".encode())
            # The authority: clients trust both, then the broker changes, then the clients do.
            rotating.trust(old, new)
            made, kept = new.issue("broker"), old.issue("broker")
            shutil.copyfile(made.keystore_file, kept.keystore_file)
            both = old.file.read_bytes() + new.file.read_bytes()
            write_atomically(old.file, both)
            await rotating.broker.stop()
            await rotating.broker.start()
            await asyncio.gather(*(flow.goes_on() for flow in flows.values()))
            rotating.trust(new)
            rotating.issue(new)
            await rotating.broker.stop()
            write_atomically(old.file, new.file.read_bytes())
            await rotating.broker.start()
            await asyncio.gather(*(flow.goes_on() for flow in flows.values()))
            for end in ends:
                end.cancel()
    for name, flow in flows.items():
        assert flow.handled >= set(range(flow.sent)), name
    assert not [line for line in logs if line["event"] == "kafka_credentials_unusable"]
    assert [line for line in logs if line["event"] == "kafka_credentials_changed"]


async def _flowing(flow: Flow, cluster: KafkaCluster) -> None:
    """Send and handle until cancelled; then handle what was acknowledged."""
    place = await make_place(cluster)
    async with EventProducer(cluster) as producer:
        worker = Worker(place.config(), [place.topic], flow.handle, producer=producer)
        async with running(worker):
            try:
                await flow.send(producer, place)
            except asyncio.CancelledError:
                sent = set(range(flow.sent))
                await eventually(lambda: flow.handled >= sent, within=60, what="the rest")
                raise
