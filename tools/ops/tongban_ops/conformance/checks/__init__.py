"""List every check in the order in which they run.

A check is a coroutine function of a `Kit`: it returns what it observed, or raises
`CheckFailedError` or `CheckSkippedError`. The first line of its docstring states the promise that
rests on it, and is printed when the check fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from tongban_ops.conformance.checks import (
    afterwards,
    callbacks,
    contents,
    errors,
    signatures,
    submissions,
    timing,
)
from tongban_ops.conformance.kit import Kit
from tongban_ops.conformance.messages import Forgery


@dataclass(frozen=True, slots=True)
class Check:
    """One check. It is skipped where one of `needs` fails, since it could prove nothing then."""

    name: str
    run: Callable[[Kit], Awaitable[str]]
    needs: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    """Protocols to which it applies; empty: all."""

    @property
    def promise(self) -> str:
        """Return, in a sentence, what a connector relies on and the check examines."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]


SIGNED = ("answers-signed",)
KNOWN = ("look-up",)
CALLING = ("rest_callback",)
OVER_REST = ("rest", "rest_callback")
"""Protocols whose URL names the application."""

CHECKS = (
    Check("transport", timing.transport),
    Check("answers-signed", signatures.answers_signed),
    Check("unknown", submissions.unknown, SIGNED),
    Check("submit", submissions.submit, SIGNED),
    Check("look-up", submissions.look_up, ("submit",)),
    Check("clock", timing.clock, KNOWN),
    Check("unsigned", signatures.refuses(Forgery.UNSIGNED), ("unknown",)),
    Check("wrong-key", signatures.refuses(Forgery.WRONG_KEY), ("unknown",)),
    Check("stale", signatures.refuses(Forgery.STALE), ("unknown",)),
    Check("altered-body", signatures.refuses(Forgery.ALTERED_BODY), ("unknown",)),
    Check("altered-target", signatures.altered_target, ("submit",), OVER_REST),
    Check("replay", signatures.replay, ("submit",)),
    Check("repeat", submissions.repeat, KNOWN),
    Check("concurrent", submissions.concurrent, KNOWN),
    Check("too-late", submissions.too_late, ("unknown", "clock")),
    Check("cut-off", submissions.cut_off, ("unknown", "clock")),
    Check("unicode", contents.unicode_names, KNOWN),
    Check("large-form", contents.large_form, KNOWN),
    Check("supplement-not-awaited", afterwards.supplement_not_awaited, KNOWN),
    Check("withdraw-pending", afterwards.withdraw_pending, KNOWN),
    Check("withdraw-final", afterwards.withdraw_final, KNOWN),
    Check("withdraw-unknown", afterwards.withdraw_unknown, ("unknown",)),
    Check("bad-request", errors.bad_request, ("unknown",)),
    Check("too-large", errors.too_large, ("unknown",)),
    Check("no-such-route", errors.no_such_route, SIGNED),
    Check("receipt", callbacks.receipt, KNOWN, CALLING),
    Check("callback", callbacks.callback, KNOWN, CALLING),
    Check("callback-repeated", callbacks.callback_repeated, ("callback",), CALLING),
    Check("result", contents.result, KNOWN),
    Check("document", contents.document, KNOWN),
    Check("idle-connection", timing.idle_connection, SIGNED),
    Check("in-time", timing.in_time),
    Check("throttling", timing.throttling, SIGNED),
)


def selected(protocol: str, names: Iterable[str] = ()) -> list[Check]:
    """Return the named checks and those they need, or all checks of the protocol.

    Raises:
        KeyError: there is no such check.
    """
    by_name = {
        check.name: check for check in CHECKS if not check.protocols or protocol in check.protocols
    }
    wanted: set[str] = set()

    def want(name: str) -> None:
        if name not in wanted:
            wanted.add(name)
            for needed in by_name[name].needs:
                want(needed)

    for name in tuple(names) or by_name:
        want(name)
    return [check for check in CHECKS if check.name in wanted]
