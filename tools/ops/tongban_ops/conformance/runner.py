"""Run the checks one after another, and withdraw their test applications."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tongban_connectors.domain.gateway import (
    AccessDeniedError,
    BrokenAnswerError,
    GatewayDownError,
    GatewayRefusedError,
    NotRecognisedError,
    RetryLaterError,
    UnclearAnswerError,
)
from tongban_connectors.gateways.protocols import speaking
from tongban_connectors.gateways.rest import session
from tongban_ops.conformance.checks import Check
from tongban_ops.conformance.kit import GATEWAY_ERRORS, Kit, NoAnswerError
from tongban_ops.conformance.listener import listening
from tongban_ops.conformance.messages import Dialect, UnauthenticatedReplyError
from tongban_ops.conformance.options import Options
from tongban_ops.conformance.rest_dialect import RestDialect
from tongban_ops.conformance.soap_dialect import SoapDialect
from tongban_ops.conformance.verdicts import (
    CheckFailedError,
    CheckSkippedError,
    CheckVerdict,
    ConformanceReport,
    Outcome,
)
from tongban_ops.errors import OpsError

Progress = Callable[[str, int], None]
"""Called with the name of the check that begins and the number of finished checks."""


class GatewayUnreachableError(OpsError):
    """Raised when no HTTP server answers at the address."""


async def examine(
    options: Options, checks: Sequence[Check], progress: Progress = lambda _, __: None
) -> ConformanceReport:
    """Run the checks against a gateway.

    Raises:
        GatewayUnreachableError
        PortTakenError: the port for callbacks is in use.
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
        kit = Kit(options, _dialect(options, listener.url), gateway, shared, listener)
        await _reach(kit)
        verdicts: list[CheckVerdict] = []
        try:
            for check in checks:
                progress(check.name, len(verdicts))
                verdicts.append(await _run_check(check, kit, verdicts))
        finally:
            progress("clearing away", len(verdicts))
            clean_up = await kit.clean_up()
    return ConformanceReport(
        url=options.url,
        protocol=options.protocol,
        province=options.province,
        run=kit.run,
        verdicts=tuple(verdicts),
        clean_up=clean_up,
        seconds=time.monotonic() - began,
    )


def _dialect(options: Options, callback_url: str | None) -> Dialect:
    """Return the dialect of `options.protocol`; the gateway calls back at `callback_url`."""
    where, whose = options.url, {"province": options.province, "secret": options.secret}
    match options.protocol:
        case "soap":
            return SoapDialect(where, **whose)
        case "rest_callback":
            return RestDialect(where, **whose, callback_url=callback_url)
        case _:
            return RestDialect(where, **whose)


async def _reach(kit: Kit) -> None:
    try:
        await kit.send(kit.dialect.look_up(kit.run))
    except NoAnswerError as error:
        raise GatewayUnreachableError(str(error.__cause__ or error)) from error


async def _run_check(check: Check, kit: Kit, before: Sequence[CheckVerdict]) -> CheckVerdict:
    began = time.monotonic()
    if lacking := _lacking(check, before):
        outcome, note = Outcome.SKIPPED, f"needs {', '.join(lacking)}"
    else:
        outcome, note = await _outcome(check, kit)
    seconds = time.monotonic() - began
    return CheckVerdict(check.name, outcome, note, check.promise, seconds, tuple(lacking))


def _lacking(check: Check, before: Sequence[CheckVerdict]) -> list[str]:
    """Return the checks that must pass before this one can prove anything, transitively."""
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
    except CheckSkippedError as why:
        return Outcome.SKIPPED, str(why)
    except (
        *GATEWAY_ERRORS,
        CheckFailedError,
        NoAnswerError,
        UnauthenticatedReplyError,
        OSError,
        TimeoutError,
    ) as error:
        return Outcome.FAILS, _note(error)


def _note(error: Exception) -> str:
    match error:
        case RetryLaterError():
            return f"{error.cause} for {error.after_s:g} s: try it while the gateway is open"
        case CheckFailedError() | NoAnswerError():
            return str(error)
        case OSError():
            return f"the connection failed: {type(error).__name__}"
        case _:
            words = next(words for kind, words in _WORDS.items() if isinstance(error, kind))
            return f"{words}: {error}"


_WORDS: dict[type[Exception], str] = {  # subclasses come first
    AccessDeniedError: "it refuses us, and not the request",
    GatewayDownError: "no connection",
    BrokenAnswerError: "an answer to disbelieve",
    NotRecognisedError: "it does not take our messages for ours",
    UnclearAnswerError: "unclear to a connector",
    GatewayRefusedError: "refused",
    UnauthenticatedReplyError: "an answer to disbelieve",
}
