"""Provide typer groups that list their commands on an unknown name, and commands that are imported
when called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group


class Commands(TyperGroup):
    """Group that answers an unknown command with exit code 2 and the list of its commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Resolve as typer does; the types are those of typer's private copy of click."""
        if args and self.get_command(ctx, args[0]) is None:
            there = ", ".join(self.list_commands(ctx))
            ctx.fail(f"No such command {args[0]!r}. There are: {there}.")
        return super().resolve_command(ctx, args)


class LazyCommand(TyperCommand):
    """Placeholder that imports its command when it is called."""

    target = ""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Return the context of the real command, which parses and runs in place of this one."""
        command = self.resolved()
        command.help = command.help or self.help
        return command.make_context(info_name, args, parent=parent, **extra)

    def resolved(self) -> Any:
        """Return the real command."""
        module, _, attribute = self.target.partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            return get_group(found)
        single = typer.Typer(add_completion=False)
        single.command(self.name)(found)
        return get_command(single)


def add_later(app: typer.Typer, name: str, target: str, *, help: str) -> None:  # noqa: A002
    """Add a command that is imported when it is called, so that other commands start faster.

    Args:
        target: `package.module:attribute`, a noun's typer application or a single command's
            function.
        help: for the list of commands; also the noun's own help if it has none.
    """
    stand_in = type("Later", (LazyCommand,), {"target": target})
    app.command(name, cls=stand_in, help=help)(_stands_in)


def _stands_in() -> None:
    """Serve as the function that typer requires. It never runs: `LazyCommand` replaces it."""
