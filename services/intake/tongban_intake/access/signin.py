"""Sign in a lobby manager (大堂经理) at a kiosk, on top of the kiosk's own token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import structlog

from tongban_intake.access import tokens
from tongban_intake.access.enrolled import Enrolled
from tongban_intake.access.enrolment.assistants import PIN, AssistantRecord, hash_pin, pin_fits
from tongban_intake.access.lockout import Lockout
from tongban_intake.access.token_client import Grant
from tongban_intake.access.tokens import Kiosk
from tongban_intake.http.limits import KioskRates, Slots
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.text import Text

log = structlog.get_logger(__name__)

_FREE_TRIES, _FREE_TRIES_OF_BRANCH = 5, 20
"""Wrong PINs of a lobby manager without a lock: at one kiosk, and at all kiosks of the branch."""
_FIRST_LOCK_S, _LONGEST_LOCK_S = 30.0, 3600.0
_KIOSK_RATE, _KIOSK_BURST = 1.0, 10
"""Tries a second of one kiosk, for all lobby managers together."""


class SignIn:
    """Issues a token of kiosk and lobby manager for a kiosk's token, a manager's id and a PIN.

    The session is the token: bound to the kiosk, short-lived, and void as soon as kiosk or manager
    is revoked. To sign out, the kiosk discards it.

    Wrong PINs are counted by manager and kiosk, and for managers of this branch alone: guesses at
    one kiosk lock a manager out at the others only after twenty, and a kiosk of another branch
    locks no manager out. Ids that are not enrolled are not counted, so that they cannot evict a
    lock; the kiosk's own rate bounds them.

    Args:
        secret: signs the tokens.
        pin_key: keys the digests of PINs; the same secret unless the token secret was rotated.
    """

    def __init__(
        self,
        enrolled: Enrolled,
        *,
        secret: str,
        pin_key: str | None = None,
        lifetime_s: int,
        at_once: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._enrolled = enrolled
        self._secret = secret
        self._pin_key = pin_key or secret
        self._lifetime_s = lifetime_s
        lockout = partial(
            Lockout, first_s=_FIRST_LOCK_S, longest_s=_LONGEST_LOCK_S, monotonic=monotonic
        )
        self._at_kiosk = lockout(free=_FREE_TRIES)
        self._at_branch = lockout(free=_FREE_TRIES_OF_BRANCH)
        self._rates = KioskRates(_KIOSK_RATE, _KIOSK_BURST, monotonic=monotonic)
        self._slots = Slots(at_once * 8)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="pin")
        self._nobody = hash_pin(self._pin_key, "271828")

    def close(self) -> None:
        """Stop the threads that hash PINs, without waiting for them."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def sign_in(self, kiosk: Kiosk, assistant_id: str, pin: str) -> Grant:
        """Return a token that names the kiosk and its lobby manager.

        Raises:
            ProblemError: 403, for a wrong id, branch or PIN, without saying which; 429, locked out
                or too many tries; 503, too many tries at once, or as `Enrolled.assistant`.
        """
        self._rates.take(kiosk.kiosk_id)
        record = self._enrolled.assistant(assistant_id)
        here = record if record is not None and record.branch_id == kiosk.branch_id else None
        fits = PIN.fullmatch(pin) is not None and await self._fits(here, kiosk, pin)
        if here is None or not fits:
            kept = here.pin if here is not None and here.pin is not None else self._nobody
            log.warning(
                "assistant_refused",
                # Log enrolled ids only: any other text may be personal, such as an applicant's
                # number.
                assistant=record.assistant_id if record else None,
                kiosk_id=kiosk.kiosk_id,
                # Otherwise hard to find: an operator enrolled the PIN under another secret.
                other_secret=kept.secret_id != self._nobody.secret_id,
            )
            raise ProblemError(
                Kind.FORBIDDEN,
                Text("工号或密码有误，或不属于本网点", "Not this id, not this PIN, or not here"),
            )
        now = int(time.time())
        # Not later than the kiosk's own token: signing in must not extend it.
        expires = min(kiosk.expires, now + self._lifetime_s)
        log.info("assistant_signed_in", assistant=assistant_id, kiosk_id=kiosk.kiosk_id)
        both = replace(
            kiosk, expires=expires, assistant=here.assistant_id, assistant_epoch=here.epoch
        )
        return Grant(tokens.seal(self._secret, both), expires - now)

    async def _fits(self, here: AssistantRecord | None, kiosk: Kiosk, pin: str) -> bool:
        """Return True if the PIN is that of this lobby manager of the kiosk's branch. None, for one
        who is of another branch or not enrolled, takes the same time and is not counted.

        Raises:
            ProblemError: 429, locked out; 503, too many are tried at once.
        """
        kept = self._nobody if here is None or here.pin is None else here.pin
        counted = []
        if here is not None:
            counted.append((self._at_kiosk, f"{here.assistant_id}/{kiosk.kiosk_id}"))
            counted.append((self._at_branch, here.assistant_id))
        for lockout, key in counted:
            lockout.check(key)
        with self._slots:
            for lockout, key in counted:
                lockout.begin(key)
            loop = asyncio.get_running_loop()
            fits = await loop.run_in_executor(self._threads, pin_fits, self._pin_key, kept, pin)
        if fits:
            for lockout, key in counted:
                lockout.right(key)
        return fits
