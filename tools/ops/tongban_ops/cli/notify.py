"""Define `tongban notify preview`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from tongban_notify.domain.messages import Contact, MessageApplicant
from tongban_notify.domain.texts import (
    Audience,
    MessageTexts,
    TextEvent,
    TextsError,
    sms_parts,
    units,
)
from tongban_ops.cli.console import Json, stop, tables
from tongban_ops.cli.group import Commands

notify = typer.Typer(cls=Commands, no_args_is_help=True)
_APPLICANTS = {
    Audience.PERSON: MessageApplicant(type="person", name="张三", phone="13800000000"),
    Audience.COMPANY: MessageApplicant(
        type="company", name="某某公司", agent=Contact(name="李四", phone="13900000000")
    ),
}


@dataclass(frozen=True, slots=True)
class Preview:
    """One text as it would be sent."""

    event: TextEvent
    audience: Audience
    text: str
    units: int
    """UTF-16 code units, which a message in UCS-2 is counted in."""
    parts: int


def previews(texts: MessageTexts, *, item: str, reason: str) -> list[Preview]:
    """Return every text for an item, with the reason where a text has room for one."""
    made = []
    for event in TextEvent:
        for to in Audience:
            why = reason if event.has_reason else None
            text = texts.text(event, _APPLICANTS[to], item, why)
            made.append(Preview(event, to, text, units(text), sms_parts(text)))
    return made


@notify.callback()
def _group() -> None:
    """Make `preview` a command of a group although it is the only one."""


@notify.command()
def preview(
    texts: Annotated[
        Path | None, typer.Option(help="file of texts; without it those of the service")
    ] = None,
    item: Annotated[str, typer.Option(help="name of the item")] = "社会保险缴费证明打印",
    reason: Annotated[str, typer.Option(help="reason, where a text has one")] = "",
    as_json: Json = False,
) -> None:
    """Show every message as it would be sent, with its length, and check a file of texts.

    Exit code 1: the file of texts cannot be used.
    """
    try:
        made = previews(MessageTexts.load(texts), item=item, reason=reason)
    except TextsError as error:
        raise stop(f"{texts}: {error}", 1) from None
    if as_json:
        print(json.dumps([asdict(each) for each in made], ensure_ascii=False))
        return
    table = Table("event", "audience", Column("text", overflow="fold"), "characters", "messages")
    for each in made:
        table.add_row(each.event, each.audience, each.text, str(each.units), str(each.parts))
    tables().print(table)
