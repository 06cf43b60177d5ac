"""Provides the two workers. `docs/worker.md` describes their guarantees."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import cast

from prometheus_client import REGISTRY, CollectorRegistry

from tongban_kafka.batches import Batches, BatchHandler
from tongban_kafka.commits import Note, no_note
from tongban_kafka.config import BatchConfig, WorkerConfig
from tongban_kafka.dead_letters import Sink
from tongban_kafka.failures import OnDeadLetter
from tongban_kafka.flow import Executor
from tongban_kafka.keyed_executor import (
    AsyncHandler,
    AsyncKeyedExecutor,
    Handler,
    SyncKeyedExecutor,
)
from tongban_kafka.runtime import Runtime
from tongban_kafka.scope import NO_SCOPE, RecordScope


class Worker(Runtime):
    """Handles records one by one: in order within a key, concurrently across keys.

    Args:
        handler: called with a Record; an `async def`, or a plain function that awaits nothing. The
            record is done when it returns, or when the future that it returns resolves. It may
            raise `Retry` or `Poison`; any other exception leads to another attempt.

    `Runtime` describes the other arguments.
    """

    def __init__(
        self,
        config: WorkerConfig,
        topics: Sequence[str],
        handler: Handler,
        *,
        producer: Sink,
        on_dead_letter: OnDeadLetter | None = None,
        scope: RecordScope = NO_SCOPE,
        note: Note = no_note,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        super().__init__(
            config,
            topics,
            producer=producer,
            on_dead_letter=on_dead_letter,
            scope=scope,
            note=note,
            registry=registry,
        )
        self._flow.executor = self._executor(handler)

    def _executor(self, handler: Handler) -> Executor:
        call = getattr(handler, "__call__", None)  # noqa: B004 - of an object with that method
        if not inspect.iscoroutinefunction(handler) and not inspect.iscoroutinefunction(call):
            return SyncKeyedExecutor(self._flow, self._failures.failed, handler, scope=self._scope)
        return AsyncKeyedExecutor(
            self._flow,
            self._failures.failed,
            cast(AsyncHandler, handler),
            concurrency=self.config.concurrency,
            timeout=self.config.handler_timeout,
            spawn=self._spawn,
            scope=self._scope,
        )


class BatchWorker(Runtime):
    """Handles many records with one call, for bulk writes: in order within a partition.

    Args:
        handler: an `async def` called with records, in order within each partition. All of them are
            done when it returns. `Batches` describes how failures are handled.
        batch: the size and the delay of batches.

    `Runtime` describes the other arguments; `concurrency` limits the running batches.
    """

    def __init__(
        self,
        config: WorkerConfig,
        topics: Sequence[str],
        handler: BatchHandler,
        *,
        producer: Sink,
        batch: BatchConfig | None = None,
        on_dead_letter: OnDeadLetter | None = None,
        scope: RecordScope = NO_SCOPE,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        super().__init__(
            config,
            topics,
            producer=producer,
            on_dead_letter=on_dead_letter,
            scope=scope,
            registry=registry,
        )
        self._flow.executor = Batches(
            config,
            self._flow,
            self._failures,
            handler,
            batch=batch or BatchConfig(),
            spawn=self._spawn,
            scope=scope,
        )
