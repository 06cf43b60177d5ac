"""Define `tongban trace REQUEST_ID` and `tongban request resume|fail REQUEST_ID`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

import typer
from rich.table import Column, Table

from tongban_common.clock import CHINA
from tongban_common.domain.ids import REQUEST_ID
from tongban_common.domain.status import Status
from tongban_common.exit_codes import EX_NOINPUT
from tongban_common.settings import CommonSettings, load
from tongban_kafka import Snapshot
from tongban_ops.cli.console import (
    By,
    Json,
    login_name,
    operator_producer,
    progress,
    run,
    stop,
    tables,
)
from tongban_ops.cli.group import Commands
from tongban_ops.cli.reasons import warn_if_withheld, words_key_ring
from tongban_ops.operators.dead_letters import DeadLetterSelection, known_groups, read_dead_letters
from tongban_ops.operators.reasons import REQUEST_REASONS, RESUMED
from tongban_ops.operators.replay_execution import send_all, settle
from tongban_ops.operators.replays import Operator, decision, of_decision
from tongban_ops.operators.settlements import Settlement
from tongban_ops.operators.trace import Trace, trace

request = typer.Typer(cls=Commands, no_args_is_help=True)
RequestId = Annotated[str, typer.Argument(metavar="REQUEST_ID", show_default=False)]
_REASON_HELP = "in Chinese, for applicants; sealed, which needs TONGBAN_KEYRING"


def trace_(request_id: RequestId, as_json: Json = False) -> None:
    """Show every event and call of one request, in order, with times and latencies.

    Times are those of the records, by their writers' clocks. Exit codes: 2 no request id, 66 the
    request is unknown, 69 the broker that TONGBAN_KAFKA names does not answer.
    """
    found = _trace(request_id, whole=True)
    lines = list(_lines(found))
    if as_json:
        print(json.dumps({"request_id": request_id, "steps": lines}, ensure_ascii=False))
        return
    table = Table(
        Column("time", no_wrap=True), Column("after ms", justify="right", no_wrap=True),
        Column("+ ms", justify="right", no_wrap=True), Column("topic", overflow="fold"),
        Column("what", overflow="fold"), Column("answered\nin ms", justify="right"),
    )  # fmt: skip
    day = ""
    for line in lines:
        at = datetime.fromtimestamp(line["timestamp_ms"] / 1000, CHINA)
        shown = at.strftime("%H:%M:%S.%f")[:-3]
        if (today := f"{at:%Y-%m-%d}") != day:
            shown, day = f"{today}\n{shown}", today
        latency = "" if line["latency_ms"] is None else str(line["latency_ms"])
        table.add_row(
            shown, str(line["elapsed_ms"]), str(line["since_previous_ms"]), line["topic"],
            line["what"], latency,
        )  # fmt: skip
    tables().print(table)


@request.command()
def resume(
    request_id: RequestId,
    reason: Annotated[str, typer.Option(help=_REASON_HELP)] = RESUMED,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Resume a held request: the router repeats the calls that are still open.

    Exit codes: 1 it is not held, 2 no request id, 66 the request is unknown, 69 the broker does not
    answer.
    """
    _decide(request_id, "resume", reason=reason, by=by, as_json=as_json)


@request.command()
def fail(
    request_id: RequestId,
    reason: Annotated[str, typer.Option(help=_REASON_HELP, show_default=False)],
    by: By = "",
    as_json: Json = False,
) -> None:
    """End a held request as failed.

    It fails at once if its connector has given it up, else as soon as its province has released it;
    what the province has completed stays completed. Exit codes: 1 it is not held, 2 no request id,
    66 the request is unknown, 69 the broker does not answer.
    """
    _decide(request_id, "fail", reason=reason, by=by, as_json=as_json)


def _decide(
    request_id: str, what: Literal["resume", "fail"], *, reason: str, by: str, as_json: bool
) -> None:
    newest = _trace(request_id, whole=False).newest
    if newest is None or newest.status is not Status.HELD:
        status = newest.status if newest else Status.SUBMITTED
        raise stop(f"{request_id} is not held: it is {status}", 1)
    settings = load(CommonSettings)
    keys = words_key_ring(settings)
    operator = Operator(by=by or login_name(), at=settings.clock.now(), reason=reason, keys=keys)
    settlement = Settlement.REPLAYED if what == "resume" else Settlement.FAILED

    async def work() -> list[str]:
        async with (
            Snapshot(settings.cluster) as snapshot,
            operator_producer(settings.cluster) as producer,
        ):
            selection = DeadLetterSelection(request=request_id)
            letters = of_decision(
                await read_dead_letters(snapshot, selection, groups=known_groups())
            )
            # Use a random name: each decision of an operator is a separate one.
            name = str(uuid.uuid4())
            await send_all(producer, [decision(request_id, what, operator, name, newest.sealed)])
            await settle(producer, letters, settlement, operator)
            return [letter.id for letter in letters]

    settled = run(work())
    warn_if_withheld(
        operator.publishable_reason(request_id, newest.sealed).withheld, REQUEST_REASONS
    )
    if as_json:
        print(json.dumps({"request_id": request_id, "decision": what, "settled": settled}))
        return
    verb = "goes on" if what == "resume" else "is being ended"
    print(f"{request_id} {verb}; settled by it: {', '.join(settled) or 'no dead letter'}")


def _trace(request_id: str, *, whole: bool) -> Trace:
    if not REQUEST_ID.fullmatch(request_id):
        raise typer.BadParameter(f"{request_id!r} is no request id; they look like r-1a2b...")
    kafka = load(CommonSettings).cluster

    async def work() -> Trace:
        async with Snapshot(kafka) as snapshot:
            return await trace(snapshot, request_id, whole=whole, on_progress=report)

    with progress("reading") as report:
        found = run(work())
    if not found.steps:
        raise stop(f"nothing is known of {request_id} at {kafka}", EX_NOINPUT)
    return found


def _lines(found: Trace) -> Iterator[dict[str, Any]]:
    begin = previous = found.steps[0].record.timestamp_ms
    for step in found.steps:
        record, event = step.record, step.event
        yield {
            "timestamp_ms": record.timestamp_ms,
            "elapsed_ms": record.timestamp_ms - begin,
            "since_previous_ms": record.timestamp_ms - previous,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "type": event.type if event else None,
            "event_id": event.id if event else None,
            "business_time": event.time.isoformat() if event else None,
            "repeat": event.repeat if event else None,
            "what": step.what,
            "latency_ms": step.latency_ms,
        }
        previous = record.timestamp_ms
