"""Define `tongban deployment write|check|accounts`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tongban_common.topics import PROVINCES
from tongban_ops.cli.console import stop
from tongban_ops.cli.group import Commands
from tongban_ops.cli.output import Json
from tongban_ops.deployment import manifests
from tongban_ops.deployment.access import Pattern
from tongban_ops.deployment.access import accounts as all_accounts

deployment = typer.Typer(cls=Commands, no_args_is_help=True)
_Directory = Annotated[
    Path, typer.Option("--to", metavar="DIR", help="directory of the Kubernetes manifests")
]
_HERE = Path("deploy/k8s")


@deployment.command()
def write(directory: _Directory = _HERE) -> None:
    """Write every generated manifest. Files that are right already stay as they are."""
    stale = manifests.differing(directory)
    manifests.write(directory)
    for path in stale:
        print(directory / path)


@deployment.command()
def check(directory: _Directory = _HERE) -> None:
    """Name the manifests that are not what `write` would write.

    Exit code 1: there are some.
    """
    stale = manifests.differing(directory)
    if stale:
        paths = ", ".join(str(directory / path) for path in stale)
        raise stop(f"not as the registries say: {paths}; run `tongban deployment write`", 1)


@deployment.command()
def accounts(as_json: Json = False) -> None:
    """List every account at the broker with what it may do.

    `connectors` serves all provinces; `connectors-<code>` serves one and may do nothing for others.
    """
    made = all_accounts(PROVINCES)
    if as_json:
        print(json.dumps([asdict(account) for account in made]))
        return
    table = Table("account", "resource", "name", "operations")
    for account in made:
        for acl in account.acls:
            name = f"{acl.name}*" if acl.pattern is Pattern.PREFIX else acl.name
            table.add_row(account.name, acl.resource.value, name, ", ".join(acl.operations))
    Console().print(table)
