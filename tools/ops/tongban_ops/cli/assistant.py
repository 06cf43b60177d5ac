"""Define `tongban assistant enrol|list|revoke`: lobby managers (大堂经理) who may sign in."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tongban_common.settings import CommonSettings, load
from tongban_intake.access.enrolment import EnrolmentError, assistant_register
from tongban_intake.access.enrolment.assistants import enrolled, hash_pin, revoked
from tongban_ops.cli.console import Json, china_time
from tongban_ops.cli.group import Commands
from tongban_ops.cli.registers import now, run_with_status

assistant = typer.Typer(cls=Commands, no_args_is_help=True)


class _PinSettings(CommonSettings):
    """Settings of a command that hashes PINs."""

    SECRETS = frozenset({"token_secret"})


_AssistantId = Annotated[str, typer.Argument(metavar="ASSISTANT_ID")]


@assistant.command()
def enrol(
    assistant_id: _AssistantId,
    branch: Annotated[
        str | None, typer.Option(help="branch id; required for a new lobby manager")
    ] = None,
    as_json: Json = False,
) -> None:
    """Let a lobby manager sign in with a PIN of 6 to 12 digits.

    The command prompts for the PIN, or reads it from stdin where that is no terminal. Enrolling
    again sets another PIN and ends open sign-ins. Needs the deployment's TONGBAN_TOKEN_SECRET. Exit
    codes: 1 the enrolment is refused, 69 Kafka does not answer.
    """
    settings = load(_PinSettings)
    if sys.stdin.isatty():
        pin = typer.prompt("PIN", hide_input=True, confirmation_prompt=True)
    else:
        pin = sys.stdin.readline().strip()
    try:
        hashed = hash_pin(settings.pin_key, pin)
    except EnrolmentError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    changed = run_with_status(
        assistant_register(settings.cluster).change(
            {
                assistant_id: lambda known: enrolled(
                    known, assistant_id=assistant_id, branch_id=branch, pin=hashed, now=now()
                )
            }
        ),
        f"enrolling {assistant_id}",
    )
    record = changed[assistant_id]
    if as_json:
        print(record.model_dump_json(exclude={"pin"}))
    else:
        print(f"{assistant_id} at {record.branch_id}")


@assistant.command("list")
def list_(as_json: Json = False) -> None:
    """List every lobby manager who was ever enrolled."""
    settings = load(CommonSettings)
    found = run_with_status(assistant_register(settings.cluster).all(despite_holes=True), "reading")
    records = [record for _, record in sorted(found.items())]
    if as_json:
        print(json.dumps([record.model_dump(mode="json", exclude={"pin"}) for record in records]))
        return
    table = Table("assistant", "branch", "since", "")
    for record in records:
        revoked_at = record.revoked_at
        until = "" if revoked_at is None else f"revoked {china_time(revoked_at)}"
        table.add_row(record.assistant_id, record.branch_id, china_time(record.enrolled_at), until)
    Console().print(table)


@assistant.command()
def revoke(assistant_id: _AssistantId, as_json: Json = False) -> None:
    """Revoke a lobby manager; open sign-ins end within two seconds.

    Exit codes: 1 never enrolled, 69 Kafka does not answer.
    """
    settings = load(CommonSettings)
    changed = run_with_status(
        assistant_register(settings.cluster).change(
            {assistant_id: lambda known: revoked(known, now=now())}, despite_holes=True
        ),
        f"revoking {assistant_id}",
    )
    if as_json:
        print(changed[assistant_id].model_dump_json(exclude={"pin"}))
    else:
        print(f"{assistant_id}: revoked")
