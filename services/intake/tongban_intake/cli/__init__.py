"""Operators' commands that need to know what intake keeps."""

from __future__ import annotations

import typer

from tongban_common.cli.group import add_later


def register(app: typer.Typer) -> None:
    """Called by `tongban_common.cli.main` for the entry point group `tongban.commands`."""
    add_later(app, "keys", "tongban_intake.cli.keys:keys", help="The keys that seal personal data.")
    add_later(
        app, "documents", "tongban_intake.cli.documents:documents", help="Documents in a file."
    )
    add_later(
        app, "rebuild", "tongban_intake.cli.rebuild:rebuild",
        help="The read model, anew from the topics and the router's table.",
    )  # fmt: skip
    add_later(app, "store", "tongban_intake.cli.store:store", help="The document store.")
