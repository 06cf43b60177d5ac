"""A noun whose verbs, or a root whose nouns, are told to whoever names another."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class Commands(TyperGroup):
    """Answers a command that is not there with exit code 2 and the list of those that are."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer does; the types are those of its private copy of click."""
        if args and self.get_command(ctx, args[0]) is None:
            there = ", ".join(self.list_commands(ctx))
            ctx.fail(f"No such command {args[0]!r}. There are: {there}.")
        return super().resolve_command(ctx, args)
