"""A lobby manager (大堂经理) signs in at a kiosk, on top of the kiosk's own token."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog

from tongban_common import tokens
from tongban_common.enrolment.assistants import PIN, hash_pin, pin_fits
from tongban_common.enrolment.trading import Grant
from tongban_common.tokens import Kiosk
from tongban_intake.access.enrolled import Enrolled
from tongban_intake.http.limits import Slots
from tongban_intake.problems import Kind, Problem
from tongban_intake.text import Text

log = structlog.get_logger(__name__)

_FREE_TRIES = 5
_FIRST_LOCK_S, _LONGEST_LOCK_S = 30.0, 3600.0
_REMEMBERED = 10_000


class Tries:
    """Wrong PINs in a row, by assistant: five are free, then each costs a longer wait.

    Kept by each replica for itself, so that with n replicas someone has 5 n tries, and then n in
    each span; against six digits that is nothing. Whoever is locked out is so for wrong tries of
    others, too: the wait ends by itself, and the operator sees it in the log.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def check(self, assistant_id: str) -> None:
        """Raises Problem 429 while the wait is not over."""
        _, until = self._wrong.get(assistant_id, (0, 0.0))
        if until > self._monotonic():
            raise Problem(
                Kind.TOO_MANY,
                Text("密码错误次数过多，请稍后再试", "Too many wrong PINs; wait"),
                retry_after=math.ceil(until - self._monotonic()),
            )

    def begin(self, assistant_id: str) -> None:
        """A try begins; it counts as wrong until `right` says otherwise, so that a hundred at once
        are a hundred."""
        count = self._wrong.pop(assistant_id, (0, 0.0))[0] + 1
        over = count - _FREE_TRIES
        lock = 0.0 if over < 0 else min(_FIRST_LOCK_S * 2.0 ** min(over, 20), _LONGEST_LOCK_S)
        self._wrong[assistant_id] = count, self._monotonic() + lock
        if len(self._wrong) > _REMEMBERED:
            self._wrong.popitem(last=False)

    def right(self, assistant_id: str) -> None:
        """The PIN was right."""
        self._wrong.pop(assistant_id, None)


class SignIn:
    """Turns a kiosk's token, an assistant's id and a PIN into a token of both.

    The session is in the token: bound to the kiosk, short, and void as soon as kiosk or assistant
    is revoked. There is nothing to sign out of but the token itself, which the kiosk drops.
    """

    def __init__(self, enrolled: Enrolled, *, secret: str, lifetime_s: int, at_once: int) -> None:
        self._enrolled = enrolled
        self._secret = secret
        self._lifetime_s = lifetime_s
        self._tries = Tries()
        self._slots = Slots(at_once * 8)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="pin")
        self._nobody = hash_pin(secret, "271828")

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def sign_in(self, kiosk: Kiosk, assistant_id: str, pin: str) -> Grant:
        """A token that says who assists at this kiosk.

        Raises:
            Problem: 403, not this one, not here or not this PIN, without saying which; 429; 503.
        """
        self._tries.check(assistant_id)
        record = self._enrolled.assistant(assistant_id)
        kept = self._nobody if record is None or record.pin is None else record.pin
        with self._slots:
            self._tries.begin(assistant_id)
            fits = PIN.fullmatch(pin) is not None and await asyncio.get_running_loop(
            ).run_in_executor(self._threads, pin_fits, self._secret, kept, pin)  # fmt: skip
        if record is None or not fits or record.branch_id != kiosk.branch_id:
            log.warning(
                "assistant_refused",
                # What nobody is enrolled as may be anything, the ID number of an applicant too.
                assistant=record.assistant_id if record else None,
                kiosk_id=kiosk.kiosk_id,
                # An operator's slip that nobody would find: `enrol` ran with another secret.
                other_secret=kept.secret_id != self._nobody.secret_id,
            )
            raise Problem(
                Kind.FORBIDDEN,
                Text("工号或密码有误，或不属于本网点", "Not this id, not this PIN, or not here"),
            )
        self._tries.right(assistant_id)
        now = int(time.time())
        # At most as long as the kiosk's own token: nothing is lengthened by signing in.
        expires = min(kiosk.expires, now + self._lifetime_s)
        log.info("assistant_signed_in", assistant=assistant_id, kiosk_id=kiosk.kiosk_id)
        both = replace(
            kiosk, expires=expires, assistant=record.assistant_id, assistant_epoch=record.epoch
        )
        return Grant(tokens.seal(self._secret, both), expires - now)
