"""The router's commands (entry point group `tongban.commands`)."""

from __future__ import annotations

import typer

from tongban_common.cli.group import add_later


def register(app: typer.Typer) -> None:
    """Called by `tongban_common.cli.main`."""
    add_later(
        app,
        "conformance",
        "tongban_router.conformance.command:conformance",
        help="Play a province's gateway through all that a connector relies on.",
    )
