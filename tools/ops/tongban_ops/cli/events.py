"""Define `tongban events describe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tongban_ops.cli.console import stop
from tongban_ops.cli.group import Commands
from tongban_ops.event_documents import files

events = typer.Typer(cls=Commands, no_args_is_help=True)
_Directory = Annotated[
    Path, typer.Option("--to", metavar="DIR", help="directory of the published documents")
]
_Check = Annotated[bool, typer.Option("--check", help="write nothing, name what is not up to date")]


@events.callback()
def _noun() -> None:
    """Describe the event topics for their readers."""


@events.command()
def describe(directory: _Directory = Path("docs/events"), check: _Check = False) -> None:
    """Write the AsyncAPI document, the JSON Schemas, the examples and a page for each topic.

    Files that are right already stay as they are. Exit code 1: a change of a model would break
    readers of a published schema, and nothing was written; or, with --check, a file differs.
    """
    stale = files.differing(directory)
    if check:
        broken = files.breaking(directory)
        if stale or broken:
            told = [*broken, f"not as the registry says: {', '.join(stale)}"]
            raise stop("\n".join([*told, "run `tongban events describe`"]), 1)
        return
    try:
        files.write(directory)
    except files.IncompatibleSchemaError as error:
        raise stop(
            f"readers would break; give the event a new type instead:\n{error}", 1
        ) from error
    for path in stale:
        print(directory / path)
