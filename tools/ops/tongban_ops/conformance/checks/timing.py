"""Check transport, response times, connections and throttling."""

from __future__ import annotations

import asyncio
import time

import aiohttp

from tongban_ops.conformance.kit import Kit
from tongban_ops.conformance.messages import UnauthenticatedReplyError
from tongban_ops.conformance.verdicts import CheckFailedError, CheckSkippedError
from tongban_ops.conformance.wire import connect

AT_ONCE = 50
"""Concurrent look-ups while a throttling is provoked."""
CLOCK_S = 5.0
"""Allowed difference of clocks: REST reports whole seconds, and answers take a while."""


async def transport(kit: Kit) -> str:
    """Personal data travels encrypted (TLS), unless the network is our own."""
    url = kit.dialect.look_up(kit.run).url
    _, writer = await connect(url)
    try:
        tls = writer.get_extra_info("ssl_object")
        if tls is None:
            return "plain HTTP: only for a network that is our own"
        return f"{tls.version()}, and the certificate of {url.host} is believed"
    finally:
        writer.close()


async def in_time(kit: Kit) -> str:
    """Every answer comes within the time-out: a later one counts as none."""
    request_id = kit.fresh()
    for message, what in (
        (kit.submission(request_id), "submission"),
        (kit.dialect.look_up(request_id), "look-up"),
    ):
        reply = await kit.send(message)
        kit.times.add(what, reply.seconds)
    slowest = kit.times.slowest()
    shown = ", ".join(f"{what} {seconds * 1000:.0f} ms" for what, seconds in slowest.items())
    note = f"slowest: {shown}; {kit.options.timeout_s * 1000:.0f} ms are allowed"
    if max(slowest.values()) > kit.options.timeout_s:
        raise CheckFailedError(note)
    return note


async def clock(kit: Kit) -> str:
    """The gateway's clock agrees with ours: `act_before` uses it, and signatures last 300 s."""
    answer = await kit.ask(kit.dialect.look_up(kit.first), "look-up")
    ahead_s = answer.said_at - time.time()
    if abs(ahead_s) > CLOCK_S:
        way = "ahead of" if ahead_s > 0 else "behind"
        raise CheckFailedError(f"its clock is {abs(ahead_s):.0f} s {way} ours")
    return f"within {CLOCK_S:g} s of ours"


async def idle_connection(kit: Kit) -> str:
    """An idle connection is kept or closed visibly: otherwise the next send ends unclear."""
    used: list[str] = []
    trace = aiohttp.TraceConfig()

    async def made(*_: object) -> None:
        used.append("new")

    async def kept(*_: object) -> None:
        used.append("kept")

    trace.on_connection_create_end.append(made)
    trace.on_connection_reuseconn.append(kept)
    connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=kit.options.idle_s + 60)
    async with aiohttp.ClientSession(connector=connector, trace_configs=[trace]) as session:
        await _no_effect(kit, session)
        await asyncio.sleep(kit.options.idle_s)
        try:
            await _no_effect(kit, session)
        except aiohttp.ClientError as error:
            raise CheckFailedError(
                f"idle for {kit.options.idle_s:g} s, it ended under the next send: "
                f"{type(error).__name__}"
            ) from error
    if used[1:] == ["kept"]:
        return f"kept for {kit.options.idle_s:g} s and used again"
    return f"closed within {kit.options.idle_s:g} s, for us to see"


async def _no_effect(kit: Kit, session: aiohttp.ClientSession) -> None:
    """Send a POST, which no client repeats by itself, that the gateway refuses."""
    message = kit.incomplete(kit.fresh())
    async with session.post(
        message.url,
        data=message.body,
        headers=message.headers,
        timeout=aiohttp.ClientTimeout(total=kit.options.patience_s),
    ) as response:
        await response.content.read(1 << 20)


async def throttling(kit: Kit) -> str:
    """A throttled call is answered with Retry-After, which the connector obeys."""
    if not kit.options.rate_limit:
        raise CheckSkippedError(
            "not asked for: --rate-limit says how many look-ups may be spent on it"
        )
    spent = 0
    while spent < kit.options.rate_limit:
        batch = min(AT_ONCE, kit.options.rate_limit - spent)
        spent += batch
        waits = await asyncio.gather(*(_throttled(kit) for _ in range(batch)))
        if shown := [wait for wait in waits if wait is not None]:
            return await _come_again(kit, spent, max(shown))
    return f"{spent} look-ups were not throttled"


async def _throttled(kit: Kit) -> float | None:
    """Return the seconds until a retry; None if the call was not throttled."""
    message = kit.dialect.look_up(kit.run)
    reply = await kit.send_at_once(message)
    try:
        answer = kit.dialect.read(message, reply)
    except UnauthenticatedReplyError as error:
        raise CheckFailedError(f"under load: {error}") from error
    if answer.code != "throttled":
        return None
    if answer.retry_after_s is None or answer.retry_after_s < 0:
        raise CheckFailedError("throttled, and not told when to come again")
    return answer.retry_after_s


async def _come_again(kit: Kit, spent: int, after_s: float) -> str:
    if after_s > kit.options.wait_s:
        return f"throttled after at most {spent} look-ups, for {after_s:g} s (not waited for)"
    began = time.monotonic()
    await asyncio.sleep(after_s)
    await kit.gateway.look_up(kit.run)
    waited = time.monotonic() - began
    return (
        f"throttled after at most {spent} look-ups, for {after_s:g} s; welcome after {waited:.1f}"
    )
