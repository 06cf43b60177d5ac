"""Operators' commands that need to know what intake keeps."""

from __future__ import annotations

import typer

from tongban_intake.cli import keys


def register(app: typer.Typer) -> None:
    """Called by `tongban_common.cli.main` for the entry point group `tongban.commands`."""
    keys.register(app)
