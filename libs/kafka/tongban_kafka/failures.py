"""Handles records whose handler failed: another attempt, or the dead-letter topic."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import structlog
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from tongban_kafka import faultpoints
from tongban_kafka.config import WorkerConfig
from tongban_kafka.dead_letters import (
    Cause,
    DeadLetter,
    LimitWindow,
    Sink,
    dead_letter_forms,
)
from tongban_kafka.errors import (
    DeadLetterLimitError,
    HandlerTypeError,
    Poison,
    Retry,
    is_process_trouble,
    is_transient,
)
from tongban_kafka.flow import Flow, Spawn
from tongban_kafka.partition import Parked, Partition
from tongban_kafka.record import Record
from tongban_kafka.scope import NO_SCOPE, RecordScope

log = structlog.get_logger(__name__)
_TROUBLE_EVERY = 60.0
"""Seconds between log lines about the process's own trouble."""
OnDeadLetter = Callable[[Record, Cause], Awaitable[Any]]


class Failures:
    """Retries records with exponential back-off, which blocks the record's key alone. Writes the
    records that it gives up to the dead-letter topic."""

    def __init__(
        self,
        config: WorkerConfig,
        flow: Flow,
        sink: Sink,
        *,
        on_dead_letter: OnDeadLetter | None,
        spawn: Spawn,
        stop_with: Callable[[Exception], None],
        scope: RecordScope = NO_SCOPE,
    ) -> None:
        self._scope = scope
        self._config = config
        self._flow = flow
        self._sink = sink
        self._on_dead_letter = on_dead_letter
        self._spawn = spawn
        self._stop_with = stop_with
        self.window = LimitWindow(config.dead_letter_limit)
        self._trouble_logged_at = float("-inf")

    def note(self, items: Sequence[tuple[Partition, Record]], error: Exception) -> None:
        """Count and log one failed call of a handler with one record or many."""
        now = time.time()
        for partition, record in items:
            partition.first_failures.setdefault(record.offset, now)
        partition, record = items[0]
        partition.stats.errors += 1
        if is_process_trouble(error):
            partition.stats.process_troubles += 1
            self._log_trouble(error)
        # Without the text of the exception, which may quote personal data from the record.
        with self._scope.about(record):
            log.log(
                logging.INFO if self._is_transient(error) else logging.WARNING,
                "handler_failed",
                place=record.place,
                records=len(items),
                attempt=record.attempt,
                error=type(error).__name__,
                reason=error.reason if isinstance(error, Retry) else None,
            )

    def _log_trouble(self, error: Exception) -> None:
        """Log the process's trouble, at most once a minute however many records it affects."""
        now = time.monotonic()
        if now - self._trouble_logged_at < _TROUBLE_EVERY:
            return
        self._trouble_logged_at = now
        log.critical(
            "process_in_trouble",
            group=self._config.group,
            error=type(error).__name__,
            errno=getattr(error, "errno", None),
        )

    def is_spent(self, attempt: int, error: Exception) -> bool:
        """Return True if a record that failed with this error at that attempt is to be given up."""
        if isinstance(error, Poison) and not is_process_trouble(error):
            return True
        limit = self._config.retry.max_attempts
        return limit is not None and attempt >= limit and not self._is_transient(error)

    def _is_transient(self, error: Exception) -> bool:
        return is_transient(error, self._config.transient_errors)

    def failed(self, partition: Partition, record: Record, error: Exception) -> None:
        """Retry a failed record later, or give it up. Its key waits until it is done."""
        if partition.revoked:
            _cancel_wait(error)
            return
        if isinstance(error, HandlerTypeError):
            self._stop_with(error)
            return
        self.note([(partition, record)], error)
        if self._flow.draining:
            _cancel_wait(error)
            return
        if self.is_spent(record.attempt, error):
            self._flow.start_aside(
                self._spawn,
                partition,
                partial(self.give_up, partition, record, error),
                self._flow.executor.kick,
            )
            return
        if isinstance(error, Retry) and error.when is not None:
            parked = Parked(error.when, partial(self._again, partition, record))
            partition.timers[record.offset] = partition.parked[record.key] = parked
            return
        delay = self._config.retry.delay(record.attempt)
        if isinstance(error, Retry) and error.after is not None:
            delay = error.after
        partition.timers[record.offset] = asyncio.get_running_loop().call_later(
            delay, self._again, partition, record
        )

    def _again(self, partition: Partition, record: Record) -> None:
        partition.timers.pop(record.offset, None)
        partition.parked.pop(record.key, None)
        if partition.revoked or self._flow.draining:
            return
        partition.stats.retried += 1
        self._flow.executor.resume(partition, record._replace(attempt=record.attempt + 1))

    async def give_up(self, partition: Partition, record: Record, error: Exception) -> None:
        """Call `on_dead_letter`, then write the dead letter, each until it succeeds; the record is
        done then. Stop the worker instead if the limit is reached."""
        cause = Cause.of(error, record, partition.first_failures[record.offset])
        with self._scope.about(record):
            if not self.admit(record.place):
                return
            log.error("record_given_up", place=record.place, cause=cause)
            if await self.until_done(record.place, lambda: self._notify(record, cause)) and (
                await self.until_done(record.place, lambda: self._write(record, cause))
            ):
                partition.stats.dead_lettered += 1
                self._flow.finish(partition, record)

    def admit(self, place: str) -> bool:
        """Count one dead letter. If it exceeds the limit, stop the worker and return False."""
        now = time.monotonic()
        self.window.observe_total(sum(s.handled for s in self._flow.stats.values()), now)
        if self.window.admit(now):
            return True
        self._stop_with(
            DeadLetterLimitError(
                f"{self._config.dead_letter_topic}: more dead letters than "
                f"{self._config.dead_letter_limit} allows; stopped before {place}"
            )
        )
        return False

    async def _notify(self, record: Record, cause: Cause) -> None:
        if self._on_dead_letter is not None:
            await self._on_dead_letter(record, cause)

    async def _write(self, record: Record, cause: Cause) -> None:
        faultpoints.reached("worker.before_dead_letter")
        topic = self._config.dead_letter_topic
        for key, value, headers in dead_letter_forms(self._config.group, record, cause):
            try:
                await self._sink.send(topic, key=key, value=value, headers=headers)
            except (MessageSizeTooLargeError, RecordListTooLargeError):
                log.error("dead_letter_too_large", place=record.place)
            else:
                break
        else:
            raise RuntimeError("a dead letter without anything of its record is too large")
        faultpoints.reached("worker.after_dead_letter")

    async def write_aside(self, letter: DeadLetter) -> None:
        """Write one dead letter of the group."""
        key, value, headers = letter
        await self._sink.send(self._config.dead_letter_topic, key=key, value=value, headers=headers)

    async def until_done(self, place: str, step: Callable[[], Awaitable[None]]) -> bool:
        """Repeat a step until it succeeds. Return False if the partition is given up before."""
        attempt = 1
        while True:
            try:
                await step()
            except Exception as error:
                log.warning("giving_up_failed", place=place, error=type(error).__name__)
                if not await self._flow.pause(self._config.retry.delay(attempt)):
                    return False
                attempt += 1
            else:
                return True


def _cancel_wait(error: Exception) -> None:
    """Cancel the future that the record waits for, because there will be no further attempt."""
    if isinstance(error, Retry) and error.when is not None:
        error.when.cancel()
