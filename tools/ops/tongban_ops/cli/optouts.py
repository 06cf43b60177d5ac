"""Define `tongban optout add|remove|list`."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from tongban_common.control.optouts import OptOut
from tongban_common.domain.phones import is_mobile, optout_key, phone_number
from tongban_common.settings import CommonSettings, load
from tongban_common.topics import CONTROL_OPTOUTS
from tongban_kafka import KafkaAddress, read_newest
from tongban_ops.cli.console import (
    By,
    Json,
    china_time,
    login_name,
    operator_producer,
    run,
    stop,
    tables,
)
from tongban_ops.cli.group import Commands


class _OptOutSettings(CommonSettings):
    """Settings of a command that digests numbers as notify does."""

    SECRETS = frozenset({"id_secret"})


optout = typer.Typer(cls=Commands, no_args_is_help=True)
Phone = Annotated[
    str, typer.Argument(metavar="PHONE", help="mobile number; spaces, dashes and +86 are allowed")
]


@optout.command()
def add(phone: Phone, by: By = "", as_json: Json = False) -> None:
    """Stop messages to a number (退订); takes effect on all replicas within seconds.

    The topic stores a keyed digest of the number. Exit codes: 2 no mobile number, 69 the broker
    does not answer.
    """
    settings = load(_OptOutSettings)
    digest = _digest(settings, phone)
    record = OptOut(digest=digest, by=by or login_name(), since=settings.clock.now())
    run(_write(settings.cluster, *record.to_record()))
    _print_result(digest, opted_out=True, as_json=as_json)


@optout.command()
def remove(phone: Phone, as_json: Json = False) -> None:
    """Allow messages to a number again. Messages suppressed meanwhile are not sent.

    Exit codes: 1 the number was not on the list, 2 no mobile number, 69 the broker does not answer.
    """
    settings = load(_OptOutSettings)
    digest = _digest(settings, phone)
    if digest not in run(read_newest(settings.cluster, CONTROL_OPTOUTS, OptOut.from_record)):
        raise stop("this number gets messages already", 1)
    run(_write(settings.cluster, digest.encode(), None))
    _print_result(digest, opted_out=False, as_json=as_json)


@optout.command("list")
def list_(
    phone: Annotated[
        str | None, typer.Argument(metavar="[PHONE]", help="show only this number")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the numbers that get no messages: digests, since when and by whom.

    A digest cannot be reversed; give a number to see whether it is on the list. Exit code 69: the
    broker does not answer.
    """
    settings = load(_OptOutSettings)
    wanted = None if phone is None else _digest(settings, phone)
    found = run(read_newest(settings.cluster, CONTROL_OPTOUTS, OptOut.from_record))
    records = [one for key, one in sorted(found.items()) if wanted in (None, key)]
    if as_json:
        print(json.dumps([one.model_dump(mode="json") for one in records]))
        return
    table = Table("digest", "since", "by")
    for one in records:
        table.add_row(one.digest, china_time(one.since), one.by)
    tables().print(table)


def _digest(settings: CommonSettings, phone: str) -> str:
    number = phone_number(phone)
    if not is_mobile(number):
        raise typer.BadParameter("a mobile number of the mainland has 11 digits, 13800138000")
    return optout_key(settings.id_secret.get_secret_value(), number)


async def _write(kafka: KafkaAddress, key: bytes, value: bytes | None) -> None:
    async with operator_producer(kafka) as producer:
        await producer.send(CONTROL_OPTOUTS, key=key, value=value, headers=[])


def _print_result(digest: str, *, opted_out: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"digest": digest, "opted_out": opted_out}))
    else:
        print(f"{digest} {'gets no messages' if opted_out else 'gets messages'}")
