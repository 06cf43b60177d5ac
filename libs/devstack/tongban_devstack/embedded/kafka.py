"""Run Apache Kafka in one process: a KRaft node that is broker and controller at once."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from rich.console import Console

from tongban_devstack.embedded.jars import broker_home, class_path
from tongban_devstack.embedded.jvm import fingerprint, java_command
from tongban_devstack.embedded.security import BrokerSecurity
from tongban_devstack.embedded.server import EmbeddedServer, listening
from tongban_devstack.embedded.storage import format_storage, settings
from tongban_devstack.files import InUseError, exclusive, user_cache, write_atomically
from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildSpec
from tongban_devstack.readiness import NotReadyError, StartFailedError

log = structlog.get_logger(__name__)


class EmbeddedKafka(EmbeddedServer):
    """A broker on the loopback interface; `data_dir` keeps its topics from start to start.

    No write is synced to disk. Data survives SIGKILL, because the page cache belongs to the kernel;
    it may not survive a power cut.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        controller_port: int | None = None,
        log: Path | None = None,
        cache: Path | None = None,
        java_flags: Sequence[str] | None = None,
        more_java_flags: Sequence[str] = (),
        security: BrokerSecurity | None = None,
    ) -> None:
        """Configure the broker.

        Args:
            java_flags: None uses the ahead-of-time cache, which is made when missing.
            more_java_flags: added to these, such as system properties that the cache permits.
            security: makes `address` speak SASL_SSL, `mutual_tls_address` TLS with certificates on
                both sides, and `plain_address` neither, for the tools that run the broker.
        """
        super().__init__("kafka", data_dir, port or free_port(), log)
        self._security = security
        self._listeners = {"PLAINTEXT": self.port}
        if security is not None:
            self._listeners = {
                "SASL_SSL": self.port, "SSL": free_port(), "PLAINTEXT": free_port()
            }  # fmt: skip
        self._controller_port = controller_port or free_port()
        self._cache = cache or user_cache()
        self._jars: Sequence[Path] = ()
        self._java_flags = java_flags
        self._more_java_flags = more_java_flags

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def plain_address(self) -> str:
        """Return the address that speaks neither TLS nor SASL."""
        return f"127.0.0.1:{self._listeners['PLAINTEXT']}"

    @property
    def mutual_tls_address(self) -> str:
        """Return the address at which a secured broker asks for a client certificate, not a
        password."""
        return f"127.0.0.1:{self._listeners['SSL']}"

    @property
    def spec(self) -> ChildSpec:
        java = java_command(self._jars, *(self._java_flags or ()), *self._more_java_flags)
        properties = str(self.data_dir / "server.properties")
        return ChildSpec(self.name, [*java, "kafka.Kafka", properties], self.log)

    async def prepare(self) -> None:
        await asyncio.to_thread(self._prepare_files)
        if self._java_flags is None:
            self._java_flags = await _ahead_of_time(self._cache)

    def _prepare_files(self) -> None:
        self._jars = class_path(self._cache)
        logs = self.data_dir / "topics"
        text = settings(
            ports=self._listeners,
            controller_port=self._controller_port,
            logs=logs,
            more=self._security.settings() if self._security else "",
        )
        write_atomically(self.data_dir / "server.properties", text)
        users = self._security.scram_options() if self._security else ()
        format_storage(logs, broker_home(self._cache), self._jars, scram_options=users)

    async def probe(self) -> None:
        if not await listening(self.port):
            raise NotReadyError("nothing listens yet")
        admin = AIOKafkaAdminClient(bootstrap_servers=self.plain_address, request_timeout_ms=4000)
        try:
            # Query the group coordinator for what it has loaded, which also creates its topic: only
            # then can a consumer join a group.
            await admin.start()
            await admin.list_consumer_group_offsets("readiness")
        except KafkaError as error:
            raise NotReadyError(repr(error)) from error
        finally:
            await admin.close()


async def _ahead_of_time(cache: Path) -> list[str]:
    """Return flags that start the broker from prepared classes and code (JEP 483, 515).

    They halve the start, measured at 1.2 s instead of 2.7 s, for 15 s of preparation once. If the
    preparation fails, or another process is preparing, the broker starts without; the runtime
    itself ignores a file made for other jars or flags.
    """
    home = broker_home(cache)
    prepared = home / f"broker-{fingerprint()}.aot"
    if not prepared.exists():
        with ExitStack() as stack:
            try:
                stack.enter_context(exclusive(home / "train.lock", wait=False))
            except InUseError:
                return []
            try:
                await _train(cache, prepared)
            except (StartFailedError, OSError) as error:
                log.warning("broker not prepared for quick starts", error=str(error))
                return []
    return [f"-XX:AOTCache={prepared}"]


async def _train(cache: Path, prepared: Path) -> None:
    """Run a broker once; at its end the runtime writes the cache file."""
    Console(stderr=True).print("Preparing Kafka for quick starts, once, about 15 s ...")
    for abandoned in prepared.parent.glob("training-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=prepared.parent, prefix="training-") as scratch:
        output = Path(scratch) / prepared.name
        flags = [f"-XX:AOTCacheOutput={output}"]
        broker = EmbeddedKafka(Path(scratch) / "kafka", cache=cache, java_flags=flags)
        broker.stop_grace_s = 90.0
        async with broker:
            pass
        output.rename(prepared)
