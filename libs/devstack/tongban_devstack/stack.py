"""The whole on one machine: Kafka, the store, the simulated outside and the services."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import structlog

from tongban_common import tokens
from tongban_common.catalogue.loader import find_directory
from tongban_common.catalogue.loader import load as load_catalogue
from tongban_common.catalogue.publish import publish
from tongban_common.clock import BusinessClock
from tongban_common.kafka import apply_topics
from tongban_common.topics import TOPICS
from tongban_devstack.embedded import EmbeddedKafka, EmbeddedStore
from tongban_devstack.ports import PortBook
from tongban_devstack.processes import ChildSpec
from tongban_devstack.secrets_file import stack_secrets
from tongban_devstack.supervisor import Supervisor

log = structlog.get_logger(__name__)
OUTSIDE = ("gateways", "devices")
SERVICES = ("intake", "router", "connectors", "printing", "notify")
_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What to start. `replicas` counts processes of a service; one where it is silent."""

    data: Path
    profile: str = "prompt"
    services: bool = True
    clock: BusinessClock | None = None
    replicas: Mapping[str, int] = field(default_factory=dict)


class Stack:
    """An async context manager; entered, everything is ready."""

    def __init__(self, options: StackOptions) -> None:
        self._options = options
        self._exit = AsyncExitStack()
        self._book: PortBook | None = None
        self._ports: dict[str, int] = {}
        self._secrets: dict[str, str] = {}
        self.supervisor = Supervisor()
        self.kafka = ""
        self.store = ""

    async def __aenter__(self) -> Stack:
        options = self._options
        options.data.mkdir(parents=True, exist_ok=True)
        self._book = PortBook(options.data / "ports.json")
        self._secrets = stack_secrets(options.data)
        try:
            await asyncio.gather(self._start_kafka(), self._start_store())
            await self._start_processes()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exit.aclose()

    async def _start_kafka(self) -> None:
        """An own broker, or the one that TONGBAN_KAFKA names."""
        self.kafka = os.environ.get("TONGBAN_KAFKA", "")
        if not self.kafka:
            broker = EmbeddedKafka(
                self._options.data / "kafka",
                port=self._port("kafka"),
                controller_port=self._port("kafka-controller"),
            )
            self.kafka = (await self._exit.enter_async_context(broker)).address
        await apply_topics(self.kafka, TOPICS.values())

    async def _start_store(self) -> None:
        self.store = os.environ.get("TONGBAN_STORE", "")
        if not self.store:
            store = EmbeddedStore(self._options.data / "store", port=self._port("store"))
            self.store = (await self._exit.enter_async_context(store)).address

    async def _start_processes(self) -> None:
        await self._exit.enter_async_context(self.supervisor)
        for name in OUTSIDE:
            self._start(name, name)
        if self._options.services:
            await publish(self.kafka, load_catalogue(find_directory()))
            for service in SERVICES:
                for replica in range(self._options.replicas.get(service, 1)):
                    self._start(service, f"{service}-{replica}")
        await self.supervisor.ready()

    def _start(self, program: str, name: str) -> None:
        clock = self._options.clock
        env = {
            **self._secrets,
            "TONGBAN_KAFKA": self.kafka,
            "TONGBAN_STORE": self.store,
            "TONGBAN_GATEWAYS": self.gateways,
            "TONGBAN_DEVICES": self.devices,
            "TONGBAN_PROFILE": self._options.profile,
            "TONGBAN_CATALOGUE": str(find_directory()),
            "TONGBAN_DATA": str(self._options.data / name),
            "TONGBAN_INSTANCE": name,
            "TONGBAN_HTTP_HOST": "127.0.0.1",
            "TONGBAN_HTTP_PORT": str(self._port(name)),
        }
        if clock is not None:
            env["TONGBAN_CLOCK"] = clock.describe()
        argv = [sys.executable, str(_BIN / f"tongban-{program}")]
        spec = ChildSpec(name, argv, self._options.data / "logs" / f"{name}.log", env)
        self.supervisor.start(spec, ready_url=f"{self._url(name)}/readyz")

    def _port(self, name: str) -> int:
        """The same through restarts of the process; the book is asked once, while it is free."""
        if name not in self._ports:
            assert self._book is not None  # noqa: S101 - made on entering
            self._ports[name] = self._book.port(name)
        return self._ports[name]

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._port(name)}"

    # -- what a client needs --------------------------------------------------------------------

    @property
    def gateways(self) -> str:
        """Base URL of the simulated province gateways."""
        return self._url("gateways")

    @property
    def devices(self) -> str:
        """Base URL of the simulated printers and message providers."""
        return self._url("devices")

    @property
    def intake(self) -> str:
        """Base URL of the first intake replica."""
        return self._url("intake-0")

    def replicas(self, service: str) -> list[str]:
        """Names of a service's processes."""
        return [name for name in self.supervisor.names if name.rpartition("-")[0] == service]

    def token(self, kiosk_id: str, branch_id: str, zone: str = "cross_province") -> str:
        """A bearer token that this stack's intake takes."""
        secret = self._secrets["TONGBAN_TOKEN_SECRET"]
        return tokens.issue(secret, kiosk_id=kiosk_id, branch_id=branch_id, zone=zone)
