"""`tongban topics list|apply`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tongban_common.kafka import PartitionMismatch, apply_topics
from tongban_common.settings import CommonSettings, load
from tongban_common.topics import TOPICS

topics = typer.Typer(help="The topics of the registry.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="for programs")]


def register(app: typer.Typer) -> None:
    """Add the noun."""
    app.add_typer(topics, name="topics")


@topics.command("list")
def list_(as_json: Json = False) -> None:
    """What the registry says of every topic."""
    if as_json:
        print(json.dumps([asdict(topic) for topic in TOPICS.values()], ensure_ascii=False))
        return
    table = Table("topic", "key", "partitions", "retention", "owner", "readers")
    for topic in TOPICS.values():
        days = topic.retention_ms and topic.retention_ms // 86_400_000
        retention = "compacted" if days is None else f"{days} d"
        readers = ", ".join(topic.readers)
        table.add_row(topic.name, topic.key, str(topic.partitions), retention, topic.owner, readers)
    Console().print(table)


@topics.command("apply")
def apply(as_json: Json = False) -> None:
    """Create what is missing on the broker that TONGBAN_KAFKA names; exit 1 on a mismatch."""
    settings = load(CommonSettings)
    try:
        applied = asyncio.run(apply_topics(settings.kafka, TOPICS.values()))
    except PartitionMismatch as mismatch:
        typer.echo(str(mismatch), err=True)
        raise typer.Exit(1) from mismatch
    if as_json:
        print(json.dumps(asdict(applied)))
    else:
        print(f"{len(applied.created)} created, {len(applied.unchanged)} as they were")
