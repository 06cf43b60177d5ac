"""Runs the checks one after another, and clears away what they left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

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
from tongban_router.connectors.gateway import (
    Barred,
    Broken,
    Down,
    Later,
    Refused,
    Unclear,
    Unrecognised,
)
from tongban_router.connectors.protocols import speaking
from tongban_router.connectors.rest import session

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
    async with listening(options) as listener, session() as shared:
        gateway = speaking(
            options.protocol,
            shared,
            options.url,
            callback_url=listener.url,
            province=options.province,
            secret=options.secret,
            connect_timeout_s=options.connect_timeout_s,
            timeout_s=options.patience_s,
        )
        kit = Kit(options, make_dialect(options, listener.url), gateway, shared, listener)
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
        case DoesNotHold() | NoAnswer():
            return str(seen)
        case OSError():
            return f"the connection failed: {type(seen).__name__}"
        case _:
            words = next(words for kind, words in _WORDS.items() if isinstance(seen, kind))
            return f"{words}: {seen}"


_WORDS: dict[type[Exception], str] = {  # those that are more special come first
    Barred: "it refuses us, and not the request",
    Down: "no connection",
    Broken: "an answer to disbelieve",
    Unrecognised: "it does not take our messages for ours",
    Unclear: "unclear to a connector",
    Refused: "refused",
    NotBelieved: "an answer to disbelieve",
}
