"""Provide what the operators' commands share: exit codes, progress on stderr, times."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import MofNCompleteColumn

from tongban_common.clock import CHINA
from tongban_common.exit_codes import EX_NOINPUT, EX_UNAVAILABLE
from tongban_common.settings import CommonSettings, load
from tongban_common.store import Store, StoreUnavailableError
from tongban_kafka import (
    EventProducer,
    KafkaAddress,
    KafkaUnavailableError,
    Snapshot,
    denials,
    is_denial,
    reach,
    refusals,
)
from tongban_ops.cli import output
from tongban_ops.operators.recovery_checks import WrongTopicsError, check_topics

Json = output.Json
By = Annotated[
    str,
    typer.Option(
        "--by", help="name of the operator, for the record", show_default="the login name"
    ),
]
Result = TypeVar("Result")
_WIDE = 200
_DELIVERY_S = 20.0
_STORE_MS = 2_000
LINE_S = 5.0
"""Seconds between two lines of progress where stderr is no terminal."""
LONG_STORE_MS = 10_000
"""Time-out of the store's answers for commands that read or change much of it."""
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine; if the broker does not answer, end the command with 69 and one line on
    stderr."""
    try:
        return asyncio.run(reaching(work))
    except (KafkaUnavailableError, KafkaError) as error:
        cluster = load(CommonSettings).cluster
        kafka = str(cluster)
        if is_denial(error):
            reason = denials.describe(cluster, error, "what this command does")
        else:
            reason = refusals.explain(str(error))
        raise stop(reason if kafka in reason else f"{kafka}: {reason}", EX_UNAVAILABLE) from error


async def reaching(work: Coroutine[Any, Any, Result]) -> Result:
    """Await `work` if the broker that TONGBAN_KAFKA names answers.

    Raises:
        KafkaUnavailableError: it does not answer; raised after `PATIENCE_S` at the latest.
    """
    try:
        await reach(load(CommonSettings).cluster)
    except BaseException:
        work.close()
        raise
    return await work


@asynccontextmanager
async def open_store(
    settings: CommonSettings, after_failure: str = "", *, timeout_ms: int = _STORE_MS
) -> AsyncIterator[Store]:
    """Open the document store; if it does not answer, end the command with 69 and one line on
    stderr.

    Args:
        after_failure: added to that line; tells the operator what the failure means.
    """
    store = Store(settings.store_address, settings.store_name, timeout_ms=timeout_ms)
    try:
        yield store
    except StoreUnavailableError as error:
        raise stop(f"{store.explain(error)}{after_failure}", EX_UNAVAILABLE) from error
    finally:
        store.close()


async def must_be_ours(snapshot: Snapshot, store: Store) -> None:
    """End the command with 66 and one line on stderr if a recovery of this store cannot be made
    from these topics."""
    try:
        await check_topics(snapshot, store)
    except WrongTopicsError as error:
        raise stop(f"{error} Nothing was changed.", EX_NOINPUT) from error


def operator_producer(kafka: KafkaAddress) -> EventProducer:
    """Return a producer for an operator's command, which the caller enters. Sending a record fails
    if the broker does not acknowledge it within 20 s."""
    return EventProducer(kafka, client_id="tongban-operator", delivery_timeout=_DELIVERY_S)


def tables() -> Console:
    """Return a console for tables on stdout: as wide as the terminal, else 200 columns."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)


def china_time(moment: datetime) -> str:
    """Return a moment as operators read it: in China's time, to the second."""
    return moment.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def stop(text: str, code: int) -> typer.Exit:
    """Print the reason on stderr and return the exit for the caller to raise."""
    typer.echo(text, err=True)
    return typer.Exit(code)


def login_name() -> str:
    """Return the operator's name: TONGBAN_OPERATOR, else the login name."""
    try:
        return os.environ.get("TONGBAN_OPERATOR") or getpass.getuser()
    except (KeyError, OSError):
        return "operator"


@contextmanager
def progress(doing: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far a command has come on stderr; yield a function of (done, total).

    A terminal gets a bar. Elsewhere (a job's log) a plain line is printed every `LINE_S` seconds,
    none for what takes less.
    """
    with output.progress_bars(MofNCompleteColumn()) as bar:
        task = bar.add_task(doing, total=None)
        if bar.disable:
            yield _PlainProgress(doing).show
        else:
            yield lambda done, total: bar.update(task, completed=done, total=total)


class _PlainProgress:
    """Prints lines like `reading the topics: 1200 of 5000`."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._next = time.monotonic() + LINE_S

    def show(self, done: int, total: int) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + LINE_S
            typer.echo(f"{self._doing}: {done} of {total}", err=True)


def span(text: str) -> timedelta:
    """Parse a duration: `90s`, `15m`, `2h` or `1d`.

    Raises:
        typer.BadParameter: the text is none of these.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"looks like 90s, 15m, 2h or 1d, not {text!r}")
    return timedelta(seconds=float(found[1]) * _UNITS[found[2]])


def moment(text: str, *, now: datetime) -> datetime:
    """Parse a point in time: RFC 3339 (China's time without an offset), or a duration ago.

    Raises:
        typer.BadParameter: the text is neither.
    """
    if _SPAN.fullmatch(text.strip()):
        return now - span(text)
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"looks like 2026-03-02T09:00:00+08:00 or 2h (ago), not {text!r}"
        ) from None
    return read if read.tzinfo else read.replace(tzinfo=CHINA)
