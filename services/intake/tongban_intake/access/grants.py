"""The token endpoint: a signed assertion in, a short-lived bearer out (RFC 7523)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tongban_common import tokens
from tongban_common.enrolment import assertion as assertions
from tongban_common.enrolment.assertion import GRANT_TYPE, InvalidAssertion
from tongban_common.enrolment.trading import Grant
from tongban_common.tokens import Kiosk
from tongban_intake.access.enrolled import Enrolled
from tongban_intake.access.replays import Replays
from tongban_intake.http.limits import KioskRates
from tongban_intake.problems import Kind, Problem
from tongban_intake.text import Text

_LONGEST = 4096


class Grants:
    """Gives bearer tokens to kiosks that prove who they are.

    An assertion is good once at each replica. Its bearer's time counts from when the assertion was
    signed, so that a repeat at another replica lengthens nothing. A replica that has just started
    does not know what its predecessor took: assertions older than itself are refused, and the
    kiosk signs another.

    Args:
        audiences: the URLs of this deployment's token endpoint.
        lifetime_s: of a bearer.
    """

    def __init__(
        self,
        enrolled: Enrolled,
        *,
        secret: str,
        audiences: Sequence[str],
        lifetime_s: int,
        rates: KioskRates,
        replays: Replays,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._enrolled = enrolled
        self._secret = secret
        self._audiences = audiences
        self._lifetime_s = lifetime_s
        self._rates = rates
        self._replays = replays
        self._now = now
        self._started = int(now())

    def trade(self, grant_type: str, assertion: str) -> Grant:
        """A bearer for the kiosk that signed this.

        Raises:
            Problem: 400 in the words of RFC 6749; 429; 503 while starting.
        """
        if grant_type != GRANT_TYPE:
            raise _refused("unsupported_grant_type", f"grant_type is {GRANT_TYPE}")
        if not 0 < len(assertion) <= _LONGEST:
            raise _refused("invalid_request", "assertion is a JWT")
        try:
            kiosk_id = assertions.claimed_kiosk(assertion)
            record = self._enrolled.kiosk(kiosk_id)
            if record is None:
                raise InvalidAssertion("not enrolled, or revoked")
            proved = assertions.verify(assertion, record, audiences=self._audiences)
        except InvalidAssertion as error:
            raise _refused("invalid_grant", str(error)) from None
        self._rates.take(kiosk_id)
        now = int(self._now())
        if proved.iat < self._started:
            raise _refused("invalid_grant", "signed before this replica started; sign another")
        if not self._replays.first(kiosk_id, proved.jti):
            raise _refused("invalid_grant", "used before; sign another")
        expires = min(now, proved.iat) + self._lifetime_s
        kiosk = Kiosk(kiosk_id, record.branch_id, record.zone, expires, record.epoch)
        return Grant(tokens.seal(self._secret, kiosk), expires - now)


def _refused(code: str, detail: str) -> Problem:
    """RFC 6749, section 5.2, in a problem document."""
    return Problem(
        Kind.MALFORMED,
        Text(f"终端登录未被接受（{detail}）", detail[:1].upper() + detail[1:]),
        members={"error": code, "error_description": detail},
    )
