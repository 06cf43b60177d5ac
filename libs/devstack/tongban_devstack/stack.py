"""Run the whole system on one machine: Kafka, store, simulated outside and services."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tongban_common.catalogue.provinces import find_directory
from tongban_common.clock import BusinessClock
from tongban_common.settings import (
    NO_KAFKA_SECURITY,
    NO_STORE_SECURITY,
    CommonSettings,
    load,
    without_secret_files,
)
from tongban_common.store import Store, StoreUnavailableError
from tongban_common.store_address import StoreAddress
from tongban_common.topics import TOPICS
from tongban_devstack.embedded import EmbeddedKafka, EmbeddedServer, EmbeddedStore
from tongban_devstack.files import exclusive
from tongban_devstack.kiosks import CROWDED_KIOSKS, TOKEN_SECONDS, Place, StackKiosks
from tongban_devstack.ports import PortRegistry
from tongban_devstack.processes import ChildSpec
from tongban_devstack.readiness import StartFailedError, http_probe
from tongban_devstack.run_all import run_all
from tongban_devstack.secrets_file import stack_secrets
from tongban_devstack.supervisor import Supervisor
from tongban_intake.access import tokens
from tongban_kafka import KafkaAddress, apply_topics
from tongban_ops.catalogue.loader import load as load_catalogue
from tongban_ops.catalogue.publish import publish

OUTSIDE = ("gateways", "devices")
SERVICES = ("intake", "router", "connectors", "printing", "notify")
STEPS = ("store", "kafka", "topics", "services")
"""Steps that `StackOptions.report` receives, each once, in any order."""

# Tiers are stopped one after the other: services while they can still commit, servers last.
_SERVERS, _OUTSIDE, _SERVICES = 0, 1, 2
_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class StackOptions:
    """Options of a stack. `replicas` counts processes of a service, by default one."""

    data: Path
    """Directory that is kept from run to run: topics, store, ledgers, ports and secrets."""
    profile: str = "prompt"
    services: bool = True
    clock: BusinessClock | None = None
    replicas: Mapping[str, int] = field(default_factory=dict)
    catalogue: Path | None = None
    """Directory; None: as every service finds it, or the checkout's."""
    report: Callable[[str], None] = lambda _step: None
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Further variables of every process of a service, by service."""


class Stack:
    """Async context manager; once entered, everything is ready, and processes that die are
    restarted.

    Raises on entering:
        InUseError: another stack runs on the data directory.
        JarsUnavailableError: there is no broker to run; the text describes the alternatives.
        StartFailedError: a process did not become ready (with the end of its log), or there is no
            catalogue.
        KafkaUnavailableError: the broker that TONGBAN_KAFKA names does not answer.
        StoreUnavailableError: the store that TONGBAN_STORE names does not answer.
    """

    def __init__(self, options: StackOptions) -> None:
        self._options = options
        self.data = options.data.absolute()
        """Data directory; the logs are in `logs`."""
        self._exit = AsyncExitStack()
        self._ports: dict[str, int] = {}
        self._secrets: dict[str, str] = {}
        self._catalogue = Path()
        self.supervisor = Supervisor()
        self._kiosks = StackKiosks(self.data / "kiosks", self)
        self.kafka = os.environ.get("TONGBAN_KAFKA", "")
        """Bootstrap address, HOST:PORT."""
        self.cluster: KafkaAddress = load(CommonSettings).cluster if self.kafka else ""
        """Address with the security that TONGBAN_KAFKA_* set for a given broker; the own broker has
        none."""
        self._kafka_environment = {} if self.kafka else NO_KAFKA_SECURITY
        self.store = os.environ.get("TONGBAN_STORE", "")
        """MongoDB URL."""
        self._store_environment = {} if self.store else NO_STORE_SECURITY

    async def __aenter__(self) -> Stack:
        async with AsyncExitStack() as stack:
            self.data.mkdir(parents=True, exist_ok=True)
            stack.enter_context(exclusive(self.data / "in-use.lock", wait=False))
            self._catalogue = self._options.catalogue or _catalogue_directory()
            self._secrets = stack_secrets(self.data)
            self._ports = await asyncio.to_thread(self._take_ports)
            await stack.enter_async_context(self.supervisor)
            await self._start()
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    def _take_ports(self) -> dict[str, int]:
        """Reserve all ports at once; a process that dies then finds its own again."""
        book = PortRegistry(self.data / "ports.json")
        wanted = [*OUTSIDE, *(name for _, name in self._processes())]
        if not self.kafka:
            wanted += ["kafka", "kafka-controller"]
        if not self.store:
            wanted.append("store")
        return {name: book.port(name) for name in wanted}

    def _processes(self) -> Iterator[tuple[str, str]]:
        """Yield service and process name of every replica."""
        if self._options.services:
            for service in SERVICES:
                for number in range(self._options.replicas.get(service, 1)):
                    yield service, f"{service}-{number}"

    async def _start(self) -> None:
        for program in OUTSIDE:
            # Start these first: their names and addresses do not depend on the servers.
            self._start_process(program, program, tier=_OUTSIDE)
        await run_all(self._start_kafka(), self._start_store())
        for service, name in self._processes():
            self._start_process(service, name, tier=_SERVICES)
        await self.supervisor.ready()
        self._options.report("services")

    async def _start_kafka(self) -> None:
        """Start a broker unless TONGBAN_KAFKA names one; then create topics and publish the
        catalogue."""
        if not self.kafka:
            broker = EmbeddedKafka(
                self.data / "kafka",
                port=self._ports["kafka"],
                controller_port=self._ports["kafka-controller"],
                log=self._log("kafka"),
            )
            await self._start_server(broker)
            self.kafka = self.cluster = broker.address
        self._options.report("kafka")
        await apply_topics(self.cluster, TOPICS.values())
        await publish(self.cluster, await asyncio.to_thread(load_catalogue, self._catalogue))
        self._options.report("topics")

    async def _start_store(self) -> None:
        """Start a store unless TONGBAN_STORE names one."""
        if not self.store:
            store = EmbeddedStore(
                self.data / "store", port=self._ports["store"], log=self._log("store")
            )
            await self._start_server(store)
            self.store = store.address
        else:
            await _reach_store(load(CommonSettings).store_address)
        self._options.report("store")

    async def _start_server(self, server: EmbeddedServer) -> None:
        await server.prepare()
        self.supervisor.start(server.spec, probe=server.probe, tier=_SERVERS)
        await self.supervisor.ready(server.name)

    def _start_process(self, program: str, name: str, *, tier: int) -> None:
        argv = [sys.executable, str(_BIN / f"tongban-{program}")]
        spec = ChildSpec(name, argv, self._log(name), self._environment(name))
        url = self._url(name)
        self.supervisor.start(
            spec, probe=http_probe(f"{url}/readyz"), live_url=f"{url}/livez", tier=tier
        )

    def _environment(self, name: str) -> dict[str, str]:
        clock = self._options.clock
        callbacks = {"TONGBAN_CALLBACKS": self.callbacks} if self.callbacks else {}
        public = {"TONGBAN_PUBLIC_URL": self.intake} if self.replicas("intake") else {}
        return {
            **{**without_secret_files(), **self._password_file()},
            **self._secrets,
            "TONGBAN_ENVIRONMENT": "development",
            "TONGBAN_KAFKA": self.kafka,
            **self._kafka_environment,
            "TONGBAN_STORE": self.store,
            **self._store_environment,
            "TONGBAN_GATEWAYS": self.gateways,
            "TONGBAN_DEVICES": self.devices,
            "TONGBAN_SEALS": "specimen",
            **public,
            "TONGBAN_PROFILE": self._options.profile,
            "TONGBAN_CATALOGUE": str(self._catalogue),
            "TONGBAN_TOKEN_SECONDS": str(TOKEN_SECONDS),
            "TONGBAN_TOKEN_ENDPOINT": ",".join(
                f"{self._url(each)}/v1/token" for each in self.replicas("intake")
            ),
            **({"TONGBAN_CLOCK": clock.describe()} if clock else {}),
            **callbacks,
            **CROWDED_KIOSKS,
            "TONGBAN_DATA": str(self.data / name),
            "TONGBAN_INSTANCE": name,
            "TONGBAN_HTTP_HOST": "127.0.0.1",
            "TONGBAN_HTTP_PORT": str(self._ports[name]),
            **self._options.environments.get(name.rpartition("-")[0], {}),
        }

    def _password_file(self) -> dict[str, str]:
        """Return the variable of a given store's password, which is no secret of this stack."""
        name = "TONGBAN_STORE_PASSWORD_FILE"
        return {name: os.environ[name]} if name in os.environ else {}

    def _log(self, name: str) -> Path:
        return self.data / "logs" / f"{name}.log"

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"

    # -- what a client needs --------------------------------------------------------------------

    @property
    def gateways(self) -> str:
        """Return the base URL of the simulated province gateways."""
        return self._url("gateways")

    @property
    def devices(self) -> str:
        """Return the base URL of the simulated printers and SMS providers."""
        return self._url("devices")

    @property
    def intake(self) -> str:
        """Return the base URL of the first intake replica."""
        return self._url("intake-0")

    @property
    def callbacks(self) -> str:
        """Return the base URL for provinces' callbacks (any replica would do); empty without
        services."""
        name = next(iter(self.replicas("connectors")), None)
        return self._url(name) if name else ""

    async def enrol(self, places: Iterable[Place]) -> None:
        """Enrol several kiosks at once; `token` does it for a single one."""
        await self._kiosks.enrol(places)

    async def token(self, kiosk_id: str, branch_id: str, zone: str = "cross_province") -> str:
        """Return a bearer token for this stack's intake, valid for days.

        Enrols the kiosk if needed, which then exchanges an assertion for the token as any kiosk
        does. Without services there is no intake, and the token is signed here.
        """
        await self._kiosks.enrol([Place(kiosk_id, branch_id, zone)])
        if self._options.services:
            return await self._kiosks.token(kiosk_id)
        return tokens.issue(
            self._secrets["TONGBAN_TOKEN_SECRET"],
            kiosk_id=kiosk_id,
            branch_id=branch_id,
            zone=zone,
            lifetime_s=TOKEN_SECONDS,
            epoch=self._kiosks.record(kiosk_id).epoch,
        )

    # -- what a test breaks ---------------------------------------------------------------------

    def replicas(self, service: str) -> list[str]:
        """Return the names of a service's processes."""
        return [name for of, name in self._processes() if of == service]

    def pids(self, name: str) -> list[int]:
        """Return the pid of a process ("router-0", "kafka", "gateways"), or those of a service's
        replicas."""
        return [self.supervisor.pid(each) for each in self.replicas(name) or [name]]

    def kill(self, name: str, number: int) -> None:
        """Send a signal to a process, or to all replicas of a service."""
        for each in self.replicas(name) or [name]:
            self.supervisor.kill(each, number)


async def _reach_store(address: StoreAddress) -> None:
    """Check that the store answers: services wait for a store, but a stack must not start without
    one."""
    store = Store(address, "readiness", timeout_ms=5000)
    try:
        await store.ping()
    except StoreUnavailableError as error:
        where, refusal = str(address).rpartition("://")[2], store.refusal()
        why = "does not answer" if refusal is None else f"refuses: {refusal}"
        raise StoreUnavailableError(f"TONGBAN_STORE, {where}, {why}") from error
    finally:
        store.close()


def _catalogue_directory() -> Path:
    """Return the directory that `find_directory` finds, else the one of this checkout."""
    try:
        return find_directory()
    except FileNotFoundError as error:
        here = Path(__file__).parents[3] / "catalogue"
        if os.environ.get("TONGBAN_CATALOGUE") or not here.is_dir():
            raise StartFailedError(str(error)) from error
        return here
