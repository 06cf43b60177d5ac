"""Define `tongban kiosk enrol|list|revoke|token`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import aiohttp
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from rich.console import Console
from rich.table import Table

from tongban_common.exit_codes import EX_UNAVAILABLE
from tongban_common.settings import CommonSettings, load
from tongban_common.topics import CONTROL_KIOSKS
from tongban_intake.access.enrolment import kiosk_register
from tongban_intake.access.enrolment.keyfiles import (
    KeyFileError,
    read_private,
    read_public,
    write_private,
)
from tongban_intake.access.enrolment.kiosks import KioskKey, KioskRecord, enrolled, revoked
from tongban_intake.access.token_client import Grant, TokenRefusedError, request_token
from tongban_ops.cli.console import Json, china_time
from tongban_ops.cli.group import Commands
from tongban_ops.cli.reasons import warn_if_withheld, words_key_ring
from tongban_ops.cli.registers import now, run_with_status
from tongban_ops.operators.reasons import REVOKE_REASONS, about_record

kiosk = typer.Typer(cls=Commands, no_args_is_help=True)
Key = TypeVar("Key", Ed25519PublicKey, Ed25519PrivateKey)
_KioskId = Annotated[str, typer.Argument(metavar="KIOSK_ID")]


@kiosk.command()
def enrol(
    kiosk_id: _KioskId,
    *,
    branch: Annotated[str | None, typer.Option(help="branch id; required for a new kiosk")] = None,
    zone: Annotated[
        str | None, typer.Option(help="cross_province (default), yangtze_delta or local")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="file of its Ed25519 public key, PEM or JWK")
    ] = None,
    generate: Annotated[bool, typer.Option("--generate", help="generate a key pair here")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="file for the private key of --generate (0600); default: KIOSK_ID.pem"),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="revoke older keys and running tokens at once")
    ] = False,
    as_json: Json = False,
) -> None:
    """Enrol a kiosk with its public key.

    Enrolling again with another key keeps both valid, until --replace or `revoke --key`. Exit
    codes: 1 the enrolment is refused, 2 wrong options, 69 Kafka does not answer.
    """
    if (key is None) is not generate:
        raise typer.BadParameter("give --key FILE, or --generate one")
    settings = load(CommonSettings)
    private = out or Path(f"{kiosk_id}.pem")
    public = _generated(private) if key is None else _key_of(key, read_public)
    added = KioskKey.of(public, added_at=now())

    def change(known: KioskRecord | None) -> KioskRecord:
        return enrolled(
            known,
            kiosk_id=kiosk_id,
            branch_id=branch,
            zone=zone,
            key=added,
            replace=replace,
            now=added.added_at,
        )

    try:
        changed = run_with_status(
            kiosk_register(settings.cluster).change({kiosk_id: change}), f"enrolling {kiosk_id}"
        )
    except typer.Exit as ended:
        if generate and ended.exit_code == 1:
            private.unlink()  # refused: the key is useless, and would block the next attempt
        elif generate:
            typer.echo(
                f"{private} is kept, as Kafka may have the enrolment: see `tongban kiosk list`, "
                "and delete the file before --generate writes it anew",
                err=True,
            )
        raise
    record = changed[kiosk_id]
    if as_json:
        made = {"private_key": str(private)} if generate else {}
        print(json.dumps({**record.model_dump(mode="json"), "kid": added.kid, **made}))
        return
    print(f"{kiosk_id} at {record.branch_id} ({record.zone}), keys: {len(record.keys)}")
    if generate:
        print(f"private key: {private}")


def _generated(path: Path) -> Ed25519PublicKey:
    private = Ed25519PrivateKey.generate()
    try:
        write_private(path, private)
    except OSError as error:
        typer.echo(f"{path}: {error.strerror}; a key is never overwritten: use --out", err=True)
        raise typer.Exit(1) from error
    return private.public_key()


def _key_of(path: Path, read: Callable[[str], Key]) -> Key:
    try:
        return read(path.read_text())
    except (OSError, UnicodeDecodeError, KeyFileError) as error:
        typer.echo(f"{path}: {error}", err=True)
        raise typer.Exit(1) from error


@kiosk.command("list")
def list_(
    branch: Annotated[str | None, typer.Option(help="only kiosks of this branch")] = None,
    as_json: Json = False,
) -> None:
    """List every kiosk that was ever enrolled."""
    settings = load(CommonSettings)
    found = run_with_status(kiosk_register(settings.cluster).all(despite_holes=True), "reading")
    records = [record for _, record in sorted(found.items()) if branch in (None, record.branch_id)]
    if as_json:
        print(json.dumps([record.model_dump(mode="json") for record in records]))
        return
    table = Table("kiosk", "branch", "zone", "keys", "since", "")
    for record in records:
        why = record.reason or ("(sealed)" if record.sealed else "")
        revoked_at = record.revoked_at
        until = "" if revoked_at is None else f"revoked {china_time(revoked_at)} {why}"
        kids = ", ".join(each.kid[:8] for each in record.keys)
        since = china_time(record.enrolled_at)
        table.add_row(record.kiosk_id, record.branch_id, record.zone, kids, since, until)
    Console().print(table)


@kiosk.command()
def revoke(
    kiosk_id: _KioskId,
    key: Annotated[
        str | None,
        typer.Option(metavar="KID", help="revoke only this key; the kiosk keeps its others"),
    ] = None,
    reason: Annotated[
        str, typer.Option(help=f"{', '.join(sorted(REVOKE_REASONS))}; any other text is sealed")
    ] = "",
    as_json: Json = False,
) -> None:
    """Revoke a kiosk with its running tokens and streams; it takes effect within two seconds.

    Exit codes: 1 no such kiosk or key, 69 Kafka does not answer.
    """
    settings = load(CommonSettings)
    bound_to = f"{CONTROL_KIOSKS}/{kiosk_id}"
    published = about_record(reason, words_key_ring(settings), bound_to, REVOKE_REASONS)
    warn_if_withheld(published.withheld, REVOKE_REASONS)

    def change(known: KioskRecord | None) -> KioskRecord:
        return revoked(known, now=now(), reason=published.clear, sealed=published.sealed, kid=key)

    changed = run_with_status(
        kiosk_register(settings.cluster).change({kiosk_id: change}, despite_holes=key is None),
        f"revoking {kiosk_id}",
    )
    record = changed[kiosk_id]
    if as_json:
        print(record.model_dump_json())
    else:
        print(f"{kiosk_id}: {'a key is gone' if record.valid else 'revoked'}")


@kiosk.command()
def token(
    kiosk_id: _KioskId,
    key: Annotated[
        Path, typer.Option(envvar="TONGBAN_KIOSK_KEY", help="file of its private key, PEM or JWK")
    ],
    intake: Annotated[
        str, typer.Option(envvar="TONGBAN_INTAKE", help="base URL of intake")
    ] = "http://127.0.0.1:8080",
    as_json: Json = False,
) -> None:
    """Authenticate as a kiosk, and print the bearer token that intake issues.

    Exit codes: 1 intake refuses, 69 it does not answer.
    """
    private = _key_of(key, read_private)
    try:
        grant = asyncio.run(_trade(intake, kiosk_id, private))
    except TokenRefusedError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EX_UNAVAILABLE if error.status >= 500 else 1) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        typer.echo(f"{intake}: {error!r}", err=True)
        raise typer.Exit(EX_UNAVAILABLE) from error
    if as_json:
        expires_at = int(time.time()) + grant.expires_in
        answer = {"access_token": grant.token, "token_type": "Bearer"}
        print(json.dumps({**answer, "expires_in": grant.expires_in, "expires_at": expires_at}))
    else:
        print(grant.token)


async def _trade(intake: str, kiosk_id: str, private: Ed25519PrivateKey) -> Grant:
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        return await request_token(session, intake, kiosk_id=kiosk_id, key=private)
