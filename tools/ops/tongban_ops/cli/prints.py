"""Define `tongban print list|confirm`: print orders that a lobby manager has to confirm."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Column, Table

from tongban_common import topics
from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import PrintConfirmed
from tongban_common.events.publisher import EventPublisher
from tongban_common.exit_codes import EX_NOINPUT
from tongban_common.settings import CommonSettings, load
from tongban_ops.cli.console import (
    By,
    Json,
    login_name,
    open_store,
    operator_producer,
    run,
    stop,
    tables,
)
from tongban_ops.cli.group import Commands
from tongban_printing.domain.orders import SpooledOrder
from tongban_printing.spool.store import Spool

prints = typer.Typer(cls=Commands, no_args_is_help=True)
_Result = TypeVar("_Result")
_SOURCE = "tongban/operators"


class PrintAnswer(StrEnum):
    """Answer to the question whether the sheet is on paper."""

    YES = "yes"
    NO = "no"


@prints.command("list")
def list_(
    kiosk: Annotated[str | None, typer.Option(help="only orders of this kiosk")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 200,
    as_json: Json = False,
) -> None:
    """List print orders that wait for a lobby manager's answer whether they are on paper, oldest
    first.

    Exit code 69: the store does not answer.
    """
    orders = asyncio.run(_reading(lambda spool: spool.questions(kiosk_id=kiosk, limit=limit)))
    rows = [_row(order) for order in orders]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table(
        Column("order", no_wrap=True), Column("request", no_wrap=True), "kiosk", "copy", "asked",
        "why",
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row["order_id"], row["request_id"], row["kiosk_id"], str(row["copy"]),
            row["asked_at"] or "", row["reason"] or "",
        )  # fmt: skip
    tables().print(table)


@prints.command()
def confirm(
    order_id: Annotated[str, typer.Argument(metavar="ORDER_ID", show_default=False)],
    printed: Annotated[
        PrintAnswer,
        typer.Option(help="yes: the sheet is there; no: print it again", show_default=False),
    ],
    by: By = "",
    as_json: Json = False,
) -> None:
    """Answer for a lobby manager whether an order's sheet is on paper.

    The answer counts for the question that is open now; repeating it changes nothing. Exit codes: 1
    no question is open for this order, 66 there is no such order, 69 store or broker do not answer.
    """
    order = asyncio.run(_reading(lambda spool: spool.find(order_id)))
    if order is None:
        raise stop(f"there is no print order {order_id}", EX_NOINPUT)
    if order.status is not PrintStatus.NEEDS_CONFIRMATION:
        raise stop(f"nothing is asked about {order_id}: it is {order.status}", 1)
    settings = load(CommonSettings)
    body = PrintConfirmed(
        request_id=order.request_id,
        order_id=order.order_id,
        seq=order.seq,
        printed=printed is PrintAnswer.YES,
        by=by or login_name(),
        at=settings.clock.now(),
    )
    run(_publish(settings, body))
    if as_json:
        print(body.model_dump_json())
        return
    print(f"{order_id} {'is printed' if body.printed else 'is printed again'}, says {body.by}")


async def _publish(settings: CommonSettings, body: PrintConfirmed) -> None:
    async with operator_producer(settings.cluster) as producer:
        await EventPublisher(producer, _SOURCE).publish(
            topics.PRINT_ORDERS,
            body,
            event_id=derived_id("print-confirmed", body.order_id, body.seq, body.printed),
            at=body.at,
        )


async def _reading(read: Callable[[Spool], Awaitable[_Result]]) -> _Result:
    """Read the spool once; if the store does not answer, end the command with 69 and one line on
    stderr."""
    async with open_store(load(CommonSettings)) as store:
        return await read(Spool(store))


def _row(order: SpooledOrder) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "request_id": order.request_id,
        "kiosk_id": order.kiosk_id,
        "branch_id": order.branch_id,
        "copy": order.copy_number,
        "seq": order.seq,
        "asked_at": order.question.asked_at.isoformat() if order.question else None,
        "reason": order.reason,
    }
