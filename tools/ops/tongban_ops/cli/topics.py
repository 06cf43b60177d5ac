"""Define `tongban topics list|apply`, and add the commands of `holes`."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer
from rich.console import Console
from rich.table import Table

from tongban_common.settings import CommonSettings, load
from tongban_common.topics import TOPICS
from tongban_kafka import PartitionMismatchError, apply_topics
from tongban_ops.cli.console import Json, run, stop
from tongban_ops.cli.group import Commands
from tongban_ops.cli.holes import accept_holes, holes

topics = typer.Typer(cls=Commands, no_args_is_help=True)
topics.command("holes")(holes)
topics.command("accept-holes")(accept_holes)
_DAY_MS = 86_400_000


@topics.command("list")
def list_(as_json: Json = False) -> None:
    """List every topic of the registry."""
    if as_json:
        print(json.dumps([asdict(topic) for topic in TOPICS.values()], ensure_ascii=False))
        return
    table = Table("topic", "key", "partitions", "retention", "owner", "readers")
    for topic in TOPICS.values():
        kept = "compacted" if topic.retention_ms is None else f"{topic.retention_ms // _DAY_MS} d"
        if topic.expires_ms is not None:
            kept = f"compacted, {topic.expires_ms // _DAY_MS} d"
        readers = ", ".join(topic.readers)
        table.add_row(topic.name, topic.key, str(topic.partitions), kept, topic.owner, readers)
    Console().print(table)


@topics.command()
def apply(as_json: Json = False) -> None:
    """Create missing topics and correct settings on the broker that TONGBAN_KAFKA names.

    Exit codes: 1 a topic has another number of partitions and nothing was changed, 69 the broker
    cannot be reached or refuses.
    """
    settings = load(CommonSettings)
    try:
        with Console(stderr=True).status(f"applying {len(TOPICS)} topics to {settings.kafka}"):
            applied = run(apply_topics(settings.cluster, TOPICS.values()))
    except PartitionMismatchError as mismatch:
        raise stop(str(mismatch), 1) from mismatch
    if as_json:
        print(json.dumps(asdict(applied)))
        return
    counts = {name: len(topics) for name, topics in asdict(applied).items()}
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
