"""A lobby manager (大堂经理) signs in at a kiosk, on top of the kiosk's own token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

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
"""Wrong PINs of a lobby manager that cost nothing: at one kiosk, and at all of the branch."""
_FIRST_LOCK_S, _LONGEST_LOCK_S = 30.0, 3600.0
_KIOSK_RATE, _KIOSK_BURST = 1.0, 10
"""Tries a second of one kiosk, whoever they name."""


class SignIn:
    """Turns a kiosk's token, an assistant's id and a PIN into a token of both.

    The session is in the token: bound to the kiosk, short, and void as soon as kiosk or assistant
    is revoked. There is nothing to sign out of but the token itself, which the kiosk drops.

    Wrong PINs are counted for a lobby manager of this branch alone, by manager and kiosk: guesses
    at one kiosk do not lock a manager out at another one before they are twenty, and no kiosk of
    another branch locks anyone out. Names that nobody is enrolled under cannot push a lock out of
    the memory, because they are not counted; the kiosk's own rate bounds them.
    """

    def __init__(
        self,
        enrolled: Enrolled,
        *,
        secret: str,
        lifetime_s: int,
        at_once: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._enrolled = enrolled
        self._secret = secret
        self._lifetime_s = lifetime_s
        self._at_kiosk = Lockout(
            free=_FREE_TRIES, first_s=_FIRST_LOCK_S, longest_s=_LONGEST_LOCK_S, monotonic=monotonic
        )
        self._at_branch = Lockout(
            free=_FREE_TRIES_OF_BRANCH,
            first_s=_FIRST_LOCK_S,
            longest_s=_LONGEST_LOCK_S,
            monotonic=monotonic,
        )
        self._rates = KioskRates(_KIOSK_RATE, _KIOSK_BURST, monotonic=monotonic)
        self._slots = Slots(at_once * 8)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="pin")
        self._nobody = hash_pin(secret, "271828")

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def sign_in(self, kiosk: Kiosk, assistant_id: str, pin: str) -> Grant:
        """A token that says who assists at this kiosk.

        Raises:
            ProblemError: 403, not this one, not here or not this PIN, without saying which; 429;
                503.
        """
        self._rates.take(kiosk.kiosk_id)
        record = self._enrolled.assistant(assistant_id)
        here = record if record is not None and record.branch_id == kiosk.branch_id else None
        fits = PIN.fullmatch(pin) is not None and await self._fits(here, kiosk, pin)
        if here is None or not fits:
            kept = here.pin if here is not None and here.pin is not None else self._nobody
            log.warning(
                "assistant_refused",
                # What nobody is enrolled as may be anything, the ID number of an applicant too.
                assistant=record.assistant_id if record else None,
                kiosk_id=kiosk.kiosk_id,
                # An operator's slip that nobody would find: `enrol` ran with another secret.
                other_secret=kept.secret_id != self._nobody.secret_id,
            )
            raise ProblemError(
                Kind.FORBIDDEN,
                Text("工号或密码有误，或不属于本网点", "Not this id, not this PIN, or not here"),
            )
        now = int(time.time())
        # At most as long as the kiosk's own token: nothing is lengthened by signing in.
        expires = min(kiosk.expires, now + self._lifetime_s)
        log.info("assistant_signed_in", assistant=assistant_id, kiosk_id=kiosk.kiosk_id)
        both = replace(
            kiosk, expires=expires, assistant=here.assistant_id, assistant_epoch=here.epoch
        )
        return Grant(tokens.seal(self._secret, both), expires - now)

    async def _fits(self, here: AssistantRecord | None, kiosk: Kiosk, pin: str) -> bool:
        """Return whether the PIN is that of this lobby manager of the kiosk's branch. One who is
        not of the branch, or not enrolled, costs the same time and is not counted.

        Raises:
            ProblemError: 429, locked out; 503, too many are tried at once.
        """
        kept = self._nobody if here is None or here.pin is None else here.pin
        counted = [] if here is None else self._counters(here.assistant_id, kiosk)
        for lockout, key in counted:
            lockout.check(key)
        with self._slots:
            for lockout, key in counted:
                lockout.begin(key)
            loop = asyncio.get_running_loop()
            fits = await loop.run_in_executor(self._threads, pin_fits, self._secret, kept, pin)
        if fits:
            for lockout, key in counted:
                lockout.right(key)
        return fits

    def _counters(self, assistant_id: str, kiosk: Kiosk) -> list[tuple[Lockout, str]]:
        return [
            (self._at_kiosk, f"{assistant_id}/{kiosk.kiosk_id}"),
            (self._at_branch, assistant_id),
        ]
