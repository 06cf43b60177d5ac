"""Define the options that select dead letters, the same for every verb."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Annotated, Any

import typer

from tongban_common.clock import CHINA
from tongban_common.domain.ids import REQUEST_ID
from tongban_common.topics import TOPICS
from tongban_ops.cli.console import moment
from tongban_ops.operators.dead_letters import DeadLetterSelection, known_groups, place_of

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="id, such as printing@17")]
Group = Annotated[list[str] | None, typer.Option(help="consumer group that gave up; repeatable")]
Source = Annotated[list[str] | None, typer.Option(help="topic from which it was read; repeatable")]
Cause = Annotated[str, typer.Option(help="substring of the cause or exception, case-insensitive")]
Request = Annotated[str, typer.Option(help="request id")]
Since = Annotated[str | None, typer.Option(help="given up since: 2h (ago) or RFC 3339")]
Until = Annotated[str | None, typer.Option(help="given up before: 10m (ago) or RFC 3339")]
_SECONDS = "%Y-%m-%dT%H:%M:%S"


def selected(
    ids: Ids = None,
    *,
    group: Group = None,
    source: Source = None,
    cause: Cause = "",
    request: Request = "",
    since: Since = None,
    until: Until = None,
) -> DeadLetterSelection:
    """Build a selection from the options.

    Raises:
        typer.BadParameter: a value is invalid.
    """
    now = datetime.now(CHINA)
    try:
        for text in ids or ():
            place_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if unknown := sorted(set(group or ()) - set(known_groups())):
        raise typer.BadParameter(
            f"no consumer group {', '.join(unknown)}. There are: {', '.join(known_groups())}"
        )
    if unknown := sorted(set(source or ()) - set(TOPICS)):
        raise typer.BadParameter(
            f"no topic {', '.join(unknown)}; they are named as in `tongban topics list`"
        )
    if request and not REQUEST_ID.fullmatch(request):
        raise typer.BadParameter(f"{request!r} is no request id; they look like r-1a2b...")
    begin, end = (moment(text, now=now) if text else None for text in (since, until))
    if begin and end and begin >= end:
        raise typer.BadParameter(
            f"--since {begin:{_SECONDS}} is not before --until {end:{_SECONDS}}"
        )
    return DeadLetterSelection(
        ids=ids or (),
        groups=group or (),
        sources=source or (),
        cause=cause,
        request=request,
        since=begin,
        until=end,
    )


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the first parameter of a command, a selection, by the options of `selected`."""
    options = inspect.signature(selected, eval_str=True).parameters
    _, *own = inspect.signature(command, eval_str=True).parameters.values()

    @wraps(command)
    def with_options(**given: Any) -> None:
        selection = selected(**{name: given.pop(name) for name in options})
        command(selection, **given)

    shown = inspect.Signature([*options.values(), *own])
    with_options.__signature__ = shown  # type: ignore[attr-defined]
    return with_options


def described(selection: DeadLetterSelection) -> str:
    """Describe a selection in words; empty where it selects everything."""
    parts = [
        f"of {' or '.join(selection.groups)}" if selection.groups else "",
        f"from {' or '.join(selection.sources)}" if selection.sources else "",
        f"whose cause has {selection.cause!r}" if selection.cause else "",
        f"of request {selection.request}" if selection.request else "",
        f"since {selection.since:{_SECONDS}}" if selection.since else "",
        f"before {selection.until:{_SECONDS}}" if selection.until else "",
    ]
    return " ".join(filter(None, parts))
