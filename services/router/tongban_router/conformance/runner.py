"""Runs the checks one after another, and clears away what they left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import aiohttp

from tongban_router.conformance.checks import Check
from tongban_router.conformance.dialects import make_dialect
from tongban_router.conformance.kit import GATEWAY_ERRORS, Kit, NoAnswer
from tongban_router.conformance.listener import listening
from tongban_router.conformance.messages import NotBelieved
from tongban_router.conformance.options import Options
from tongban_router.conformance.verdicts import (
    DoesNotHold,
    NotTried,
    Outcome,
    Report,
    Verdict,
)
from tongban_router.connectors.gateway import Down, Later, Refused, Unclear

Progress = Callable[[str, int], None]
"""Told the name of the check that begins, and how many are over."""


class NotReachable(Exception):
    """Nothing answers HTTP at the address: there is nothing to check."""


async def examine(
    options: Options, checks: Sequence[Check], progress: Progress = lambda _, __: None
) -> Report:
    """Play a gateway through the checks.

    Raises:
        NotReachable
        PortTaken: that for callbacks.
    """
    began = time.monotonic()
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=0)
    async with (
        listening(options) as listener,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        dialect = make_dialect(options, listener.url)
        kit = Kit(options, dialect, session, listener)
        await _reach(kit)
        verdicts: list[Verdict] = []
        try:
            for check in checks:
                progress(check.name, len(verdicts))
                verdicts.append(await _carry_out(check, kit, verdicts))
        finally:
            progress("clearing away", len(verdicts))
            clean_up = await kit.clean_up()
    return Report(
        url=options.url,
        protocol=options.protocol,
        province=options.province,
        run=kit.run,
        verdicts=tuple(verdicts),
        clean_up=clean_up,
        seconds=time.monotonic() - began,
    )


async def _reach(kit: Kit) -> None:
    try:
        await kit.send(kit.dialect.look_up(kit.run))
    except NoAnswer as error:
        raise NotReachable(str(error.__cause__ or error)) from error


async def _carry_out(check: Check, kit: Kit, before: Sequence[Verdict]) -> Verdict:
    began = time.monotonic()
    if lacking := _lacking(check, before):
        outcome, note = Outcome.SKIPPED, f"needs {', '.join(lacking)}"
    else:
        outcome, note = await _outcome(check, kit)
    seconds = time.monotonic() - began
    return Verdict(check.name, outcome, note, check.promise, seconds, tuple(lacking))


def _lacking(check: Check, before: Sequence[Verdict]) -> list[str]:
    """What has to be mended before a check tells anything: what it needs, and what that lacked."""
    outcomes = {verdict.name: verdict for verdict in before}
    lacking: list[str] = []
    for name in check.needs:
        needed = outcomes[name]
        if needed.outcome is Outcome.HOLDS:
            continue
        lacking += needed.lacking or (name,)
    return list(dict.fromkeys(lacking))


async def _outcome(check: Check, kit: Kit) -> tuple[Outcome, str]:
    try:
        return Outcome.HOLDS, await check.run(kit)
    except NotTried as why:
        return Outcome.SKIPPED, str(why)
    except (*GATEWAY_ERRORS, DoesNotHold, NoAnswer, NotBelieved, OSError, TimeoutError) as seen:
        return Outcome.FAILS, _told(seen)


def _told(seen: Exception) -> str:
    match seen:
        case Later():
            return f"{seen.cause} for {seen.after_s:g} s: try it while the gateway is open"
        case Refused():
            return f"refused: {seen.code}"
        case Unclear() | Down():
            return f"unclear to a connector: {seen}"
        case NotBelieved():
            return f"an answer to disbelieve: {seen}"
        case DoesNotHold() | NoAnswer():
            return str(seen)
        case _:
            return f"the connection failed: {type(seen).__name__}"
