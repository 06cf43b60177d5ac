"""Exchange a kiosk's signed assertion for a short-lived bearer token (RFC 7523)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tongban_intake.access import tokens
from tongban_intake.access.enrolled import Enrolled
from tongban_intake.access.enrolment import assertion as assertions
from tongban_intake.access.enrolment.assertion import GRANT_TYPE, InvalidAssertionError
from tongban_intake.access.replay_guard import AssertionReplayGuard
from tongban_intake.access.token_client import Grant
from tongban_intake.access.tokens import Kiosk
from tongban_intake.http.limits import KioskRates
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.text import Text

_LONGEST = 4096
TRADES_PER_S, TRADES_AT_ONCE = 1.0, 10
"""Tokens of one kiosk, which needs one in a quarter of an hour. All replicas remember each
assertion (`AssertionReplayGuard`): one kiosk that asks for tokens all day must not fill their
memory."""


class TokenEndpoint:
    """Issues bearer tokens to kiosks that prove their identity by an assertion.

    Each assertion is accepted once (`AssertionReplayGuard`). A replica that has just started does
    not know which were used before: it refuses older ones, and the kiosk signs another.

    Args:
        audiences: the URLs of this deployment's token endpoint.
        lifetime_s: seconds for which a bearer token is valid.
    """

    def __init__(
        self,
        enrolled: Enrolled,
        *,
        secret: str,
        audiences: Sequence[str],
        lifetime_s: int,
        rates: KioskRates,
        replay_guard: AssertionReplayGuard,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._enrolled = enrolled
        self._secret = secret
        self._audiences = audiences
        self._lifetime_s = lifetime_s
        self._rates = rates
        self._replay_guard = replay_guard
        self._now = now

    async def trade(self, grant_type: str, assertion: str) -> Grant:
        """Return a bearer token for the kiosk that signed the assertion.

        Raises:
            ProblemError: 400 with the error codes of RFC 6749; 429; 503 while starting, or without
                Kafka.
        """
        if grant_type != GRANT_TYPE:
            raise _refused("unsupported_grant_type", f"grant_type is {GRANT_TYPE}")
        if not 0 < len(assertion) <= _LONGEST:
            raise _refused("invalid_request", "assertion is a JWT")
        try:
            kiosk_id = assertions.claimed_kiosk(assertion)
            record = self._enrolled.kiosk(kiosk_id)
            if record is None:
                raise InvalidAssertionError("not enrolled, or revoked")
            proved = assertions.verify(assertion, record, audiences=self._audiences)
        except InvalidAssertionError as error:
            raise _refused("invalid_grant", str(error)) from None
        self._rates.take(kiosk_id)
        since = self._replay_guard.since
        if since is None or proved.iat < since:
            raise _refused("invalid_grant", "signed before this replica listened; sign another")
        if not await self._replay_guard.claim(kiosk_id, proved.jti):
            raise _refused("invalid_grant", "used before; sign another")
        now = int(self._now())
        expires = min(now, proved.iat) + self._lifetime_s
        kiosk = Kiosk(kiosk_id, record.branch_id, record.zone, expires, record.epoch)
        return Grant(tokens.seal(self._secret, kiosk), expires - now)


def _refused(code: str, detail: str) -> ProblemError:
    """Return the error of RFC 6749, section 5.2, as a problem document."""
    return ProblemError(
        Kind.MALFORMED,
        Text(f"终端登录未被接受（{detail}）", detail[:1].upper() + detail[1:]),
        members={"error": code, "error_description": detail},
    )
