"""All clients of the project over TLS and SASL, and what they say when the broker refuses them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

import tongban_common.settings  # noqa: F401 - has the refusals name the TONGBAN_* variables
from tests.integration.kafka.kit import eventually, make_place, number_of, produce, running
from tests.integration.kafka.secured_kit import USER, WORD, WRONG, Secured, secured_kafka
from tongban_common import topics
from tongban_common.exit_codes import EX_UNAVAILABLE
from tongban_devstack.embedded.security import CertificateAuthority
from tongban_devstack.kiosks import Place, let_in
from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildProcess, ChildSpec
from tongban_intake.access.enrolment.register import kiosk_register
from tongban_kafka import (
    BroadcastTail,
    CompactedView,
    EventProducer,
    KafkaCluster,
    KafkaUnavailableError,
    Record,
    Snapshot,
    Worker,
    apply_topics,
    client_options,
    reach,
    refusals,
)
from tongban_ops.operators.provinces import standings
from tongban_ops.operators.restorers import members

pytestmark = pytest.mark.long

BIN = Path(sys.executable).parent
CATALOGUE = Path(__file__).parents[3] / "catalogue"
SERVICES = ("intake", "router", "connectors", "printing", "notify")


@pytest.fixture(scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secured]:
    async with secured_kafka(tmp_path_factory.mktemp("secured")) as found:
        yield found


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """A refusal of one test explains nothing in the next."""
    yield
    refusals.memory.clear()


# --- what works


async def work_all(cluster: KafkaCluster) -> None:
    """Make topics, send, handle, follow and read, by every kind of client that services have."""
    place = await make_place(cluster)
    handled: list[int] = []
    tailed: list[int] = []
    tail = BroadcastTail(cluster, [place.topic], lambda record: tailed.append(number_of(record)))
    view = CompactedView(cluster, place.topic, int)
    async with EventProducer(cluster) as producer, asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(tail.run()), tasks.create_task(view.run())]
        await asyncio.wait_for(tail.wait_listening(), 30)
        worker = Worker(
            place.config(),
            [place.topic],
            lambda record: handled.append(number_of(record)),
            producer=producer,
        )
        async with running(worker):
            await asyncio.wait_for(producer.connection(), 30)
            await produce(producer, place.topic, [(f"k-{n}", n) for n in range(20)])
            await eventually(lambda: len(handled) == len(tailed) == len(view.values) == 20)
            assert producer.readiness() is worker.readiness() is view.readiness() is None
        for each in reading:
            each.cancel()
    assert sorted(handled) == sorted(tailed) == list(range(20))
    read: list[Record] = []
    async with Snapshot(cluster) as snapshot:
        read += [each async for each in snapshot.read(await snapshot.partitions([place.topic]))]
    assert len(read) == 20
    assert await members(cluster, [place.group]) == {}


@pytest.mark.parametrize("mechanism", [None, "SCRAM-SHA-256", "PLAIN"])
async def test_all_clients_work_over_sasl_ssl_with_each_mechanism(
    secured: Secured, mechanism: str | None
) -> None:
    await work_all(secured.cluster(mechanism=mechanism))


async def test_all_clients_work_over_mutual_tls(secured: Secured) -> None:
    await work_all(secured.mutual_tls())


async def test_registers_and_operators_reads_work_over_sasl_ssl(secured: Secured) -> None:
    cluster = secured.cluster()
    await apply_topics(cluster, topics.TOPICS.values())
    await let_in(cluster, [Place("k-1", "b-1")])
    assert set(await kiosk_register(cluster).all()) == {"k-1"}
    assert len(await standings(cluster, ["310000"])) == 1


# --- what the broker refuses, and what we refuse


def stranger(secured: Secured) -> KafkaCluster:
    made = CertificateAuthority(secured.directory / "other").issue("stranger")
    return secured.mutual_tls(certificate_file=made.certificate_file, key_file=made.key_file)


def expired(secured: Secured) -> KafkaCluster:
    made = secured.authority.issue("expired", expires_in=timedelta(days=-1))
    return secured.mutual_tls(certificate_file=made.certificate_file, key_file=made.key_file)


def untrusted(secured: Secured) -> KafkaCluster:
    return secured.cluster(ca_file=CertificateAuthority(secured.directory / "third").file)


def other_name(secured: Secured) -> KafkaCluster:
    """127.1 is the same address under a name that the certificate does not have."""
    return secured.cluster(secured.broker.address.replace("127.0.0.1", "127.1"))


REFUSED: list[tuple[Callable[[Secured], KafkaCluster], str, str]] = [
    (lambda it: it.cluster(password=SecretStr(WRONG)), "user name or the password",
     "SASL_PASSWORD"),
    (lambda it: it.cluster(password=SecretStr(WRONG), mechanism="PLAIN"),
     "user name or the password", "SASL_USERNAME"),
    (lambda it: it.cluster(username="nobody"), "user name or the password", "SASL_USERNAME"),
    (untrusted, "no trusted authority", "SSL_CA_FILE"),
    (lambda it: it.cluster(ca_file=None), "no trusted authority", "SSL_CA_FILE"),
    (other_name, "another host name", "TONGBAN_KAFKA"),
    (lambda it: KafkaCluster(it.broker.address), "speaks TLS", "SECURITY_PROTOCOL"),
    (lambda it: it.cluster(protocol="SASL_PLAINTEXT", ca_file=None), "speaks TLS",
     "SECURITY_PROTOCOL"),
    (lambda it: it.cluster(protocol="SSL", username=None, password=None),
     "expects a user name", "SECURITY_PROTOCOL"),
    (lambda it: it.cluster(it.broker.plain_address), "speaks no TLS", "SECURITY_PROTOCOL"),
    (lambda it: it.cluster(it.broker.plain_address, protocol="SASL_PLAINTEXT", ca_file=None),
     "takes no user name", "SECURITY_PROTOCOL"),
    (lambda it: it.mutual_tls(certificate_file=None, key_file=None), "asks for a client",
     "SSL_CERTIFICATE_FILE"),
    (expired, "not accept the client", "SSL_CERTIFICATE_FILE"),
    (stranger, "not accept the client", "SSL_CERTIFICATE_FILE"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "reason", "look_at"), REFUSED)
async def test_refused_client_says_why_and_which_setting_to_look_at(
    secured: Secured,
    make: Callable[[Secured], KafkaCluster],
    reason: str,
    look_at: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = make(secured)
    with pytest.raises(KafkaUnavailableError) as unavailable:
        await reach(cluster, within=20)
    said = str(unavailable.value)
    assert reason in said
    assert look_at in said
    assert "\n" not in said
    with pytest.raises(KafkaUnavailableError, match=reason):
        async with Snapshot(cluster):
            pass
    async with EventProducer(cluster) as producer:
        await eventually(lambda: reason in (producer.readiness() or ""))
    assert not [word for word in (WORD, WRONG) if word in said + caplog.text]


async def test_reader_and_worker_of_a_refused_client_say_why_they_are_not_ready(
    secured: Secured,
) -> None:
    place = await make_place(secured.cluster())
    refused = secured.cluster(password=SecretStr(WRONG))
    view = CompactedView(refused, place.topic, int)
    async with EventProducer(refused) as producer:
        worker = Worker(
            type(place)(refused, place.name, 4).config(),
            [place.topic],
            lambda _: None,
            producer=producer,
        )
        reading = asyncio.create_task(view.run())
        async with running(worker):
            for ready in (view.readiness, worker.readiness):
                await eventually(lambda ready=ready: "the password" in (ready() or ""))
            assert worker.liveness() is None
        reading.cancel()
        await asyncio.wait([reading])


# --- processes


WRONG_ENVIRONMENTS: list[tuple[dict[str, str], str]] = [
    # PLAIN sends the password itself, and aiokafka would log requests when it is told to debug.
    ({"TONGBAN_KAFKA_SASL_PASSWORD": WRONG, "TONGBAN_KAFKA_SASL_PASSWORD_FILE": "",
      "TONGBAN_KAFKA_SASL_MECHANISM": "PLAIN", "TONGBAN_LOG_LEVEL": "DEBUG"},
     "user name or the password"),
    ({"TONGBAN_KAFKA_SSL_CA_FILE": ""}, "no trusted authority"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "reason"), WRONG_ENVIRONMENTS)
async def test_service_that_kafka_refuses_says_why_in_one_line_and_is_not_ready(
    secured: Secured, wrong: dict[str, str], reason: str, tmp_path: Path
) -> None:
    ports = {name: free_port() for name in SERVICES}
    children = {}
    try:
        for name, port in ports.items():
            env = {
                **os.environ,
                **secured.environment(**wrong),
                "TONGBAN_STORE": "mongodb://127.0.0.1:1",
                "TONGBAN_CATALOGUE": str(CATALOGUE),
                "TONGBAN_DATA": str(tmp_path / name),
                "TONGBAN_HTTP_PORT": str(port),
            }
            argv = [sys.executable, str(BIN / f"tongban-{name}")]
            spec = ChildSpec(name, argv, tmp_path / f"{name}.log", env)
            children[name] = ChildProcess(spec)
        async with aiohttp.ClientSession() as http:
            for name in SERVICES:
                await _says_why(http, ports[name], tmp_path / f"{name}.log", reason)
                assert children[name].alive, name
    finally:
        for child in children.values():
            child.kill_group()
    for name in SERVICES:
        said = (tmp_path / f"{name}.log").read_text()
        assert WRONG not in said
        assert WORD not in said


async def _says_why(http: aiohttp.ClientSession, port: int, log: Path, reason: str) -> None:
    async def ready() -> tuple[int, str]:
        try:
            async with http.get(f"http://127.0.0.1:{port}/readyz") as reply:
                return reply.status, await reply.text()
        except aiohttp.ClientError:
            return 0, ""

    async def wait_until(holds: Callable[[int, str], bool], seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not holds(*await ready()):  # noqa: ASYNC110 - another process is waited for
                await asyncio.sleep(0.1)

    await wait_until(lambda status, _: status != 0, 90)  # five interpreters start on two cores
    await wait_until(lambda _, text: reason in text, 10)
    assert (await ready())[0] == 503
    (line,) = refused_lines(log)
    assert reason in line["reason"]
    assert line["look_at"]


def refused_lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if "kafka_refused" in line]


COMMANDS = [("topics", "apply"), ("kiosk", "list"), ("province", "list"), ("dlt", "list")]


@pytest.mark.parametrize("command", COMMANDS)
async def test_command_that_kafka_refuses_says_why_in_one_line(
    secured: Secured, command: tuple[str, ...]
) -> None:
    wrong, reason = WRONG_ENVIRONMENTS[0]
    process = await asyncio.create_subprocess_exec(
        str(BIN / "tongban"), *command,
        env={**os.environ, **secured.environment(**wrong)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == EX_UNAVAILABLE
    assert out == b""
    (line,) = err.decode().splitlines()
    assert secured.broker.address in line
    assert reason in line
    assert "TONGBAN_KAFKA_SASL_PASSWORD" in line
    assert WRONG not in line


async def test_command_works_over_sasl_ssl(secured: Secured) -> None:
    process = await asyncio.create_subprocess_exec(
        str(BIN / "tongban"), "topics", "apply",
        env={**os.environ, **secured.environment()},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        _, err = await process.communicate()
    assert process.returncode == 0, err


# --- the embedded broker itself


async def test_user_of_the_embedded_broker_survives_its_restart(tmp_path: Path) -> None:
    """A producer that the broker does not let in raises when it starts."""
    async with secured_kafka(tmp_path) as secured:
        await secured.broker.stop()
        await secured.broker.start()
        async with AIOKafkaProducer(**client_options(secured.cluster())):
            pass


def test_user_name_that_would_have_to_be_quoted_is_refused(secured: Secured) -> None:
    security = secured.broker._security
    assert security is not None
    with pytest.raises(ValueError, match="letters, digits"):
        type(security)(
            authority=security.authority, certificate=security.certificate, users={USER: 'a"b'}
        )
