"""The commands `tongban print list|confirm`, imported when they are called."""

from __future__ import annotations

import typer

from tongban_common.cli.group import add_later


def register(app: typer.Typer) -> None:
    """Called by `tongban_common.cli.main` for the entry point group `tongban.commands`."""
    add_later(
        app,
        "print",
        "tongban_printing.print_commands:prints",
        help="Print orders that wait for a person.",
    )
