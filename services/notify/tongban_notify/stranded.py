"""Resume messages whose provider was removed from the settings and is configured again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from tongban_common.store import StoreUnavailableError
from tongban_kafka import KafkaUnavailableError, Poison, Record, Retry, is_process_trouble
from tongban_notify import metrics
from tongban_notify.guards import Guards

log = structlog.get_logger()

_LOOK_S = 30.0
_PAGE = 100


class StrandedMessages:
    """Counts stranded messages, and handles those again whose provider is configured again.

    Their events are stored with the guards, so no operator has to find and replay them. Several
    replicas may do so at once: the guard decides between them.

    Args:
        providers: the names of the configured providers.
        handle: the worker's handler.
    """

    def __init__(
        self,
        guards: Guards,
        providers: Sequence[str],
        handle: Callable[[Record], Awaitable[None]],
    ) -> None:
        self._guards = guards
        self._providers = providers
        self._handle = handle
        self._shown: set[str] = set()

    async def run(self) -> None:
        """Call `look` every 30 seconds until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailableError as error:
                log.info("stranded_messages_wait", error=str(error))
            except Exception as error:
                log.error("stranded_messages_failed", error=type(error).__name__)
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        """Count stranded messages, and handle each that can be resumed once.

        Raises:
            StoreUnavailableError: a later call may succeed.
        """
        counts = await self._guards.stranded_counts()
        for provider in self._shown | set(counts):
            metrics.STRANDED.labels(provider).set(counts.get(provider, 0))
        self._shown |= set(counts)
        if not any(provider in counts for provider in self._providers):
            return
        after = ""
        while page := await self._guards.stranded_at(self._providers, after=after, limit=_PAGE):
            for record in page.values():
                await self._resume(record)
            after = max(page)

    async def _resume(self, record: Record) -> None:
        try:
            await self._handle(record)
        except (Retry, KafkaUnavailableError) as error:
            log.info("stranded_message_waits", reason=str(error))
        except Poison as error:
            log.error("stranded_message_stays", cause=error.cause)
        except Exception as error:
            if is_process_trouble(error):
                raise
            # Go on with the messages behind this one; the next call tries this one again.
            log.error("stranded_message_failed", error=type(error).__name__, exc_info=True)
