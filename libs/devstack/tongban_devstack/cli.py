"""Add the devstack's commands to `tongban` (entry point group `tongban.commands`)."""

from __future__ import annotations

import typer

from tongban_ops.cli.group import add_later


def register(app: typer.Typer) -> None:
    """Add the commands; `tongban_ops.cli.main` calls this."""
    add_later(
        app, "up", "tongban_devstack.commands:up", help="Start the stack until it is stopped."
    )
    add_later(app, "demo", "tongban_devstack.demo.command:demo", help="Run a day at the branch.")
    add_later(
        app,
        "load",
        "tongban_devstack.load.command:load",
        help="Measure the system under a rate of requests.",
    )
