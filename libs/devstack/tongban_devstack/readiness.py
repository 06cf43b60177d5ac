"""Wait for a process until it does real work for a client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp

from tongban_devstack.errors import DevstackError

PROBE_TIMEOUT_S = 5.0
_BETWEEN_PROBES_S = 0.05


class NotReadyError(DevstackError):
    """Raised by a probe while the process is not ready; the text says what is missing."""


class StartFailedError(DevstackError):
    """Raised when a process ended, or was not ready in time; includes the end of its log."""


Probe = Callable[[], Awaitable[None]]
"""Returns when the process is ready, else raises `NotReadyError`."""


def http_probe(url: str) -> Probe:
    """Return a probe that succeeds when `url` answers 200."""

    async def probe() -> None:
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as reply:
                if reply.status != 200:
                    raise NotReadyError((await reply.text())[:500])
        except aiohttp.ClientError as error:
            raise NotReadyError(type(error).__name__) from error

    return probe


async def wait_ready(
    name: str,
    probe: Probe,
    *,
    timeout: float,
    hopeless: Callable[[], str | None],
    log_tail: Callable[[], str],
) -> None:
    """Probe until the process is ready, `hopeless` returns why it never will be, or time is up.

    Raises:
        StartFailedError: with the reason and the end of the log.
    """
    deadline = time.monotonic() + timeout
    last = "not asked yet"
    while True:
        reason = hopeless()
        if reason is None and time.monotonic() > deadline:
            reason = f"was not ready in {timeout:g} s ({last})"
        if reason is not None:
            raise StartFailedError(f"{name} {reason}. The end of its log:\n{log_tail()}")
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                return await probe()
        except NotReadyError as error:
            last = str(error)
        except TimeoutError:
            last = f"no answer in {PROBE_TIMEOUT_S:g} s"
        await asyncio.sleep(_BETWEEN_PROBES_S)
