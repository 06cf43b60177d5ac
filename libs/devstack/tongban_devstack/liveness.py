"""Probe liveness: a process that lives but makes no progress has to be restarted."""

from __future__ import annotations

import asyncio

import aiohttp

PERIOD_S = 5.0
_ANSWER_S = 5.0
"""Seconds for an answer."""
THRESHOLD = 3
"""Failures in a row; Kubernetes uses the same number, at twice the period."""


async def watch(url: str) -> str:
    """Wait until the process has answered 503 three times in a row; return the reason it gave.

    A missing answer does not count: a process that is starting, or stopped in a debugger, is left
    alone, and a dead one is noticed by its end.
    """
    failures = 0
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            await asyncio.sleep(PERIOD_S)
            try:
                async with session.get(url) as reply:
                    reason = (await reply.text())[:500]
                    failures = failures + 1 if reply.status == 503 else 0
            except (aiohttp.ClientError, TimeoutError):
                failures = 0
            if failures >= THRESHOLD:
                return reason
