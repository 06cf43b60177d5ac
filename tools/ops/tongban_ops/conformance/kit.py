"""Provide what checks use: the connector's gateway class, single messages, test applications."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiolimiter import AsyncLimiter

from tongban_connectors.domain.gateway import (
    Gateway,
    GatewayDownError,
    GatewayRefusedError,
    RetryLaterError,
    UnclearAnswerError,
)
from tongban_ops.conformance.listener import CallbackListener
from tongban_ops.conformance.messages import (
    LONGEST_ANSWER,
    Dialect,
    Forgery,
    ReplyContents,
    WireMessage,
    WireReply,
)
from tongban_ops.conformance.options import Example, Options
from tongban_ops.conformance.patient import PatientGateway, Times
from tongban_ops.conformance.verdicts import CheckFailedError, CleanUp
from tongban_ops.errors import OpsError
from tongban_provinces.models import GatewayAnswer, GatewayState

PREFIX = "conformance-"
"""Prefix of every test application's request id; intake's begin with `r-`."""
TRIES = 3
"""Attempts with each example to get an application into a needed state."""
MOST_SILENCES = 3
"""Unanswered calls in a row after which the clean-up stops calling."""
FINAL = frozenset({GatewayState.COMPLETED, GatewayState.REJECTED})
GATEWAY_ERRORS = (GatewayDownError, RetryLaterError, UnclearAnswerError, GatewayRefusedError)


class NoAnswerError(OpsError):
    """Raised when a message got no usable answer: cut, timed out, or too long."""


class Kit:
    """State of one conformance run.

    `gateway` is the connector's own class, speaking to the examined gateway. Request ids of the run
    begin with `run`.
    """

    def __init__(
        self,
        options: Options,
        dialect: Dialect,
        gateway: Gateway,
        session: aiohttp.ClientSession,
        listener: CallbackListener,
    ) -> None:
        self.options = options
        self.dialect = dialect
        self.listener = listener
        self.times = Times()
        pace = _pace(options.rate_per_s)
        self.gateway = PatientGateway(gateway, self.times, pace)
        self.run = f"{PREFIX}{datetime.now(UTC):%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"
        self.first = ""
        """Request id of the first accepted application (see `submit`)."""
        self._session = session
        self._pace = pace
        self._ids: list[str] = []

    # -- test applications

    def fresh(self) -> str:
        """Return a new request id; its application is withdrawn at the end of the run."""
        self._ids.append(f"{self.run}-{len(self._ids) + 1:03}")
        return self._ids[-1]

    def application(self, request_id: str, example: Example | None = None) -> dict[str, Any]:
        """Return the content of a submission, without `act_before`."""
        made = example or self.options.examples[0]
        return {
            "request_id": request_id,
            "item_code": made.code,
            "item_name": made.name,
            "kind": made.kind,
            "applicant": made.applicant,
            "form": made.form,
        }

    def soon(self) -> float:
        """Return an `act_before` (Unix seconds) that no call of the kit outlives."""
        return time.time() + self.options.patience_s + 2

    async def one(self, fits: Callable[[GatewayAnswer], bool]) -> GatewayAnswer | None:
        """Return a fitting application that was not withdrawn: an existing one, else a new one."""
        found = await self.known_one(fits)
        return found or await self.fresh_one(fits, reversed(self.options.examples))

    async def known_one(self, fits: Callable[[GatewayAnswer], bool]) -> GatewayAnswer | None:
        """Return the newest existing application that fits and was not withdrawn."""
        for request_id in reversed(self._ids):
            known = await self.gateway.look_up(request_id)
            if known is not None and fits(known) and not withdrawn(known):
                return known
        return None

    async def fresh_one(
        self, fits: Callable[[GatewayAnswer], bool], of: Iterable[Example]
    ) -> GatewayAnswer | None:
        """Return a new application that fits, after a few attempts with each example; else None."""
        for example in of:
            for _ in range(TRIES):
                known = await self._submitted(example)
                if fits(known) and not withdrawn(known):
                    return known
        return None

    async def _submitted(self, example: Example) -> GatewayAnswer:
        request_id = self.fresh()
        await self.gateway.submit(self.application(request_id, example), act_before=self.soon())
        return await self.known(request_id)

    async def known_twice(self, request_id: str) -> GatewayAnswer:
        """Look up an application twice, and check that both answers are about the same one.

        Raises:
            CheckFailedError: the receipts differ, or the gateway does not know it.
        """
        known, again = await self.known(request_id), await self.known(request_id)
        if known.receipt != again.receipt:
            raise CheckFailedError(
                f"two look-ups, two receipts: {known.receipt} and {again.receipt}"
            )
        return known

    async def known(self, request_id: str) -> GatewayAnswer:
        """Look up an application that the gateway accepted.

        Raises:
            CheckFailedError: the gateway does not know it.
        """
        known = await self.gateway.look_up(request_id)
        if known is None:
            raise CheckFailedError(
                f"the look-up says `unknown` of {request_id}, which was taken in"
            )
        return known

    async def without_effect(self, request_id: str, what: str) -> None:
        """Check that the gateway does not know the request.

        Raises:
            CheckFailedError: it does.
        """
        if await self.gateway.look_up(request_id) is not None:
            raise CheckFailedError(f"{what} took effect: the look-up knows {request_id}")

    async def refusal_of(self, call: Awaitable[GatewayAnswer]) -> str | None:
        """Return the code with which the gateway refuses the call; None if it accepts it."""
        try:
            await call
        except GatewayRefusedError as refused:
            return refused.code
        return None

    # -- single messages

    def submission(
        self, request_id: str, *, forgery: Forgery | None = None, padding: int = 0
    ) -> WireMessage:
        """Return the message of a submission, see `Dialect.submission`."""
        return self.dialect.submission(
            self.application(request_id), act_before=self.soon(), forgery=forgery, padding=padding
        )

    def incomplete(self, request_id: str) -> WireMessage:
        """Return the message of a submission without the item's code, signed correctly."""
        return self.dialect.incomplete(self.application(request_id), act_before=self.soon())

    async def send(self, message: WireMessage) -> WireReply:
        """Send a message unchanged at the allowed rate, and return any reply.

        Raises:
            NoAnswerError
        """
        async with self._pace:
            return await self.send_at_once(message)

    async def send_at_once(self, message: WireMessage) -> WireReply:
        """Send as `send` does, without the rate limit."""
        began = time.monotonic()
        try:
            async with self._session.request(
                message.method,
                message.url,
                data=message.body,
                headers=message.headers,
                timeout=aiohttp.ClientTimeout(total=self.options.patience_s),
                allow_redirects=False,
            ) as response:
                body = await response.content.read(LONGEST_ANSWER + 1)
                while len(body) <= LONGEST_ANSWER and (more := await response.content.read(65536)):
                    body += more
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NoAnswerError(f"no answer: {type(error).__name__}") from error
        if len(body) > LONGEST_ANSWER:
            raise NoAnswerError(f"an answer of over {LONGEST_ANSWER} bytes")
        return WireReply(response.status, response.headers, body, time.monotonic() - began)

    def refused_as_forged(self, reply: WireReply, what: str) -> str:
        """Describe the refusal of `what`, a message that the gateway must not trust.

        Raises:
            CheckFailedError: it was answered as a valid one.
        """
        refused = self.dialect.distrust(reply)
        if refused is None:
            raise CheckFailedError(f"{what} was answered {reply.status}")
        return f"refused: {refused}"

    async def ask(self, message: WireMessage, what: str) -> ReplyContents:
        """Send a message and read the reply; `what` names the call in the statistics.

        Raises:
            NoAnswerError, UnauthenticatedReplyError
            RetryLaterError: the gateway throttled the call or is closed.
        """
        reply = await self.send(message)
        self.times.add(what, reply.seconds)
        contents = self.dialect.read(message, reply)
        if contents.code in ("throttled", "closed"):
            raise RetryLaterError(contents.code, contents.retry_after_s or 1.0)
        return contents

    # -- the end

    async def clean_up(self) -> CleanUp:
        """Withdraw the run's open applications."""
        done = CleanUp()
        silences = 0
        for request_id in self._ids:
            if silences < MOST_SILENCES:
                try:
                    await self._clear(request_id, done)
                except (UnclearAnswerError, GatewayDownError):
                    silences += 1
                except GATEWAY_ERRORS:
                    silences = 0
                else:
                    silences = 0
                    continue
            done.left.append(request_id)
        return done

    async def _clear(self, request_id: str, done: CleanUp) -> None:
        known = await self.gateway.look_up(request_id)
        if known is None:
            return
        if withdrawn(known):
            done.withdrawn.append(request_id)
        elif known.state in FINAL:
            done.finished.append(request_id)
        else:
            await self.gateway.withdraw(request_id, act_before=self.soon())
            done.withdrawn.append(request_id)


def withdrawn(answer: GatewayAnswer) -> bool:
    """Return True if an application was withdrawn; protocols report it in two ways."""
    return answer.withdrawn or answer.state is GatewayState.WITHDRAWN


def _pace(rate_per_s: float) -> AsyncLimiter:
    if rate_per_s < 1:
        return AsyncLimiter(1, 1 / rate_per_s)
    return AsyncLimiter(rate_per_s, 1)
