"""Write the broker's settings and format its storage directory."""

from __future__ import annotations

import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from tongban_common import base64url
from tongban_devstack.embedded.jvm import java_command
from tongban_devstack.files import write_atomically
from tongban_devstack.readiness import StartFailedError

_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners={listeners},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT
log.dirs={logs}

# As in production: a topic is made by the registry or not at all.
auto.create.topics.enable=false

# One node.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
min.insync.replicas=1

# Quick: groups form at once, tests may time members out sooner, and a node that was killed is let
# back in after two seconds, not nine.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=2000

# Small: for one laptop.
num.partitions=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=2
share.coordinator.state.topic.num.partitions=2
num.network.threads=2
num.io.threads=4
background.threads=4
group.coordinator.threads=2
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
log.segment.bytes=67108864
log.retention.hours=168
"""


def settings(
    *, ports: Mapping[str, int], controller_port: int, logs: Path, more: str = ""
) -> bytes:
    """Return the content of server.properties.

    Args:
        ports: by listener: PLAINTEXT, and for a secured broker SASL_SSL and SSL.
        more: further lines.
    """
    listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
    text = _SETTINGS.format(listeners=listeners, controller_port=controller_port, logs=logs)
    return (text + more).encode()


def format_storage(
    logs: Path, home: Path, jars: Sequence[Path], *, scram_options: Sequence[str] = ()
) -> None:
    """Format the storage as `kafka-storage format` does, without the tool's 1.5 s.

    Does nothing if it is formatted. `meta.properties` is written last, because a directory with it
    counts as formatted. With `scram_options` the tool itself runs, since users are records of the
    checkpoint.
    """
    if (logs / "meta.properties").exists():
        return
    checkpoint = (
        _format(jars, scram_options) if scram_options else _bootstrap_checkpoint(home, jars)
    )
    write_atomically(logs / "bootstrap.checkpoint", checkpoint)
    identity = f"version=1\nnode.id=1\ncluster.id={_new_uuid()}\ndirectory.id={_new_uuid()}\n"
    write_atomically(logs / "meta.properties", identity.encode())


def _new_uuid() -> str:
    """Return 128 random bits in base64url as Kafka writes them; it accepts none that begins with
    `-`."""
    return base64url.encode(uuid.uuid4().bytes).replace("-", "_")


def _bootstrap_checkpoint(home: Path, jars: Sequence[Path]) -> bytes:
    """Return the feature levels of a new cluster, as this Kafka's own tool writes them.

    They are the same for every cluster of a version, so the tool runs once and its file is cached.
    """
    kept = home / "bootstrap.checkpoint"
    if not kept.exists():
        write_atomically(kept, _format(jars, ()))
    return kept.read_bytes()


def _format(jars: Sequence[Path], options: Sequence[str]) -> bytes:
    """Run Kafka's own tool on a temporary directory and return the checkpoint it writes."""
    with tempfile.TemporaryDirectory(prefix="kafka-format-") as scratch:
        logs = Path(scratch) / "logs"
        properties = Path(scratch) / "server.properties"
        properties.write_bytes(settings(ports={"PLAINTEXT": 1}, controller_port=2, logs=logs))
        tool = ["kafka.tools.StorageTool", "format", "-t", _new_uuid(), "-c", str(properties)]
        done = subprocess.run(  # noqa: S603 - argv is ours
            [*java_command(jars), *tool, *options], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise StartFailedError(f"kafka-storage format: {done.stdout}{done.stderr}")
        return (logs / "bootstrap.checkpoint").read_bytes()
