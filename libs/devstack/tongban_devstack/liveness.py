"""The liveness probe: a process that lives but makes no progress is to be started again."""

from __future__ import annotations

import asyncio

import aiohttp

PERIOD_S = 5.0
_ANSWER_S = 5.0
"""Seconds for an answer."""
THRESHOLD = 3
"""Failures in a row; Kubernetes takes as many, at twice the period."""


async def watch(url: str) -> str:
    """Return, with the reason it gave, when the process has said 503 three times in a row.

    No answer is no verdict: a process that is just starting, or stopped in a debugger, is left
    alone, and one that is dead is noticed by its death.
    """
    failures = 0
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            await asyncio.sleep(PERIOD_S)
            try:
                async with session.get(url) as reply:
                    said = (await reply.text())[:500]
                    failures = failures + 1 if reply.status == 503 else 0
            except (aiohttp.ClientError, TimeoutError):
                failures = 0
            if failures >= THRESHOLD:
                return said
