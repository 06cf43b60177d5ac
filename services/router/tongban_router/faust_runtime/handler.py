"""Apply each record to its request, and put aside the records that cannot be applied.

Faust skips an event whose agent raised (faust-streaming #315), so no exception but cancellation
leaves the handler. A record that fails is tried again and then put aside (ADR 0012). Trouble of the
process itself (disk, memory, broker) ends the process before the offset is committed.
"""

from __future__ import annotations

import asyncio
import math
import time
from datetime import datetime
from typing import Any, cast

import structlog
from prometheus_client import Counter, Histogram
from pydantic import ValidationError

from tongban_common import faultpoints
from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import derived_id
from tongban_common.envelope import MOST_SEALED
from tongban_common.events import MalformedEventError, decode
from tongban_common.events.models import OperatorDecision, RequestSubmitted, TimerDue
from tongban_common.tracing import TraceContext, exemplar, parse
from tongban_common.tracing import attributes as names
from tongban_kafka import DeadLetterLimitError
from tongban_router.domain.emission import outgoing
from tongban_router.domain.lifecycle import Lifecycle
from tongban_router.domain.state import (
    DueIndex,
    FaultNoted,
    OnTopics,
    RequestState,
    Rules,
    next_due,
)
from tongban_router.domain.transition import Decision
from tongban_router.faust_runtime.consumer import SOURCES, UnreadableMessage, header_pairs
from tongban_router.faust_runtime.dead_letter_writer import (
    ATTEMPTS,
    DeadLetterWriter,
    Emit,
)
from tongban_router.faust_runtime.faults import (
    FAULTS,
    TableError,
    describe_error,
    die,
    is_own_trouble,
    table_access,
)
from tongban_router.faust_runtime.membership import SessionFence
from tongban_router.faust_runtime.offsets import (
    GapDetector,
    Partition,
    RecordsSkippedError,
    RedeliveryWindow,
)
from tongban_router.faust_runtime.open_requests import OpenRequests, observe
from tongban_router.faust_runtime.progress import RouterProgress
from tongban_router.faust_runtime.timers import moment_of
from tongban_router.faust_runtime.traces import input_span, keep_trace, traced

MOST_KEPT = MOST_SEALED + 50_000
"""Most bytes of a state after an input. The broker would refuse a larger changelog record, and the
process, and each successor, would end at the same input."""
MOST_KEPT_FOR_OPERATORS = MOST_KEPT + 40_000
"""Most bytes of a state after an operator's decision. Holding a request, and ending it at its
deadline, add some hundred bytes and have no limit: a refusal would end the router at each start."""

log = structlog.get_logger()
_HANDLED = Counter("tongban_router_events_total", "Events handled", ["topic", "result"])
_SECONDS = Histogram(
    "tongban_router_event_seconds",
    "Seconds to decide and hand over",
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1, 5),
)
_HOLDS = 5
"""Attempts to hold a request; after the last one the process ends."""


class RequestTable:
    """Maps request ids to states, and keeps the due index and the measured requests in step.

    Args:
        table: Faust's table, or any mapping of bytes to bytes. Values are JSON.
    """

    def __init__(
        self, table: Any, due: DueIndex, rules: Rules, measured: OpenRequests | None = None
    ) -> None:
        self.table = table
        self._due = due
        self._rules = rules
        self._measured = OpenRequests() if measured is None else measured

    def read(self, key: bytes) -> RequestState | None:
        """Return the request's state, or None.

        Raises:
            TableError: the table cannot be read.
            ValidationError: the stored value is no state.
        """
        with table_access():
            raw = self.table.get(key)
        return None if raw is None else RequestState.model_validate_json(raw)

    def trace_of(self, key: bytes) -> TraceContext | None:
        """Return the trace of the request; None if there is none, or the state cannot be read."""
        try:
            state = self.read(key)
        except (TableError, ValidationError):
            return None  # applying the input meets the same, and deals with it
        return None if state is None else parse(state.traceparent)

    def write(
        self, key: bytes, before: RequestState | None, decision: Decision, *, most: float
    ) -> None:
        """Write the decision's state, or delete the request, and set its due moment.

        Args:
            before: the state that `read` returned.
            most: limit of the new state in bytes.

        Raises:
            MalformedEventError: the state would be larger. Nothing has been written.
            TableError: the table cannot be written.
        """
        state = decision.state
        if state is None:
            if before is not None:
                with table_access():
                    del self.table[key]
            self._due.set(key, None)
            self._measured.set(key, None)
            return
        # Compute it before writing: a state for which this fails must not be in the table, where
        # each successor would fail at it.
        due = next_due(state, self._rules)
        # Write an unchanged state too if the outputs are repeats: a predecessor on this disk may
        # have died after writing it here and before writing the changelog, which others read.
        if state is not before or decision.repeat:
            kept = state.model_dump_json(exclude_defaults=True).encode()
            if state is not before and len(kept) > most:
                raise MalformedEventError("with it the request is larger than a record may be")
            with table_access():
                self.table[key] = kept
        self._due.set(key, due)
        self._measured.set(key, state)


class RecordHandler:
    """Handles the records of all sources, one after the other.

    Args:
        emit: hands a record to the producer, without waiting for its acknowledgement.
    """

    def __init__(
        self,
        *,
        clock: BusinessClock,
        rules: Rules,
        requests: RequestTable,
        emit: Emit,
        fence: SessionFence,
        gaps: GapDetector,
        redelivery_window: RedeliveryWindow,
        dead_letters: DeadLetterWriter,
        progress: RouterProgress,
    ) -> None:
        self._clock = clock
        self._lifecycle = Lifecycle(rules)
        self.requests = requests
        self._emit = emit
        self._fence = fence
        self._gaps = gaps
        self._redelivery_window = redelivery_window
        self._dead_letters = dead_letters
        self._progress = progress
        for topic in SOURCES:
            _HANDLED.labels(topic, "dead_lettered")  # so that an increase sees the first one

    async def run(self, stream: Any) -> None:
        """Handle Faust's stream of events; this is the agent."""
        async for event in stream.events():
            await self.handle(event)

    async def handle(self, event: Any) -> None:
        """Handle one record (Faust's event); raises nothing but cancellation."""
        message = event.message
        partition = (message.topic, message.partition)
        await self._fence.confirm(message.topic)
        try:
            self._gaps.follow(partition, message.offset)
        except RecordsSkippedError as error:
            die("router.records_passed_over", error, message.topic)
        with input_span(message, self.requests.trace_of) as span:
            began = time.perf_counter()
            fault: Exception | None
            if isinstance(message, UnreadableMessage):
                result, fault = "dead_lettered", MalformedEventError("unreadable batch")
            else:
                result, fault = await self._attempt(event, partition)
            _SECONDS.observe(time.perf_counter() - began, exemplar())
            span.set(names.RESULT, result)
            if fault is not None:
                span.failed(type(fault).__name__)
                await self._put_aside(message, fault)
            else:
                self._dead_letters.applied += 1
        self._progress.handled(partition, message.offset)
        _HANDLED.labels(message.topic, result).inc()

    async def _attempt(self, event: Any, partition: Partition) -> tuple[str, Exception | None]:
        """Apply the record in at most `ATTEMPTS` attempts.

        Returns:
            the result for the metric, and the fault for which the record has to be put aside.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._apply(event, partition, again=attempt > 1), None
            except MalformedEventError as error:
                return "dead_lettered", error
            except Exception as error:
                FAULTS.labels("event").inc()
                if is_own_trouble(error):
                    die("router.own_trouble", error, event.message.topic)
                log.error(
                    "router.fault",
                    topic=event.message.topic,
                    offset=event.message.offset,
                    attempt=attempt,
                    **describe_error(error),
                )
                fault = error
        return "dead_lettered", fault

    async def _apply(self, event: Any, partition: Partition, *, again: bool) -> str:
        faultpoints.reached("router.before_decide")
        message = event.message
        incoming = decode(message.value, header_pairs(message.headers))
        if message.key != incoming.key:
            raise MalformedEventError("the record's key is not the request id of its body")
        body = incoming.body
        if not isinstance(body, OnTopics):
            raise MalformedEventError(f"{incoming.type} does not belong on {message.topic}")
        now: datetime | None = self._clock.now()
        if isinstance(body, TimerDue):
            now = moment_of(message, incoming.time, self._clock)
        if now is None:
            return "refused"
        key = incoming.key
        state = self.requests.read(key)
        decision = self._lifecycle.apply(
            state,
            incoming.id,
            body,
            now=now,
            # The event's own mark counts: an operator may replay it after its request has ended and
            # has left the table.
            maybe_seen=again
            or incoming.repeat
            or self._redelivery_window.may_have_read(partition, message.offset),
        )
        most: float = MOST_KEPT
        if isinstance(body, TimerDue):
            most = math.inf
        elif isinstance(body, OperatorDecision):
            most = MOST_KEPT_FOR_OPERATORS
        await self._carry_out(key, state, decision, most=most)
        return "repeat" if decision.repeat else "new"

    async def _carry_out(
        self, key: bytes, state: RequestState | None, decision: Decision, *, most: float
    ) -> None:
        """Write the new state, of at most `most` bytes, and send what the decision contains.

        Raises:
            MalformedEventError: the state would be larger. Nothing has been written or sent.
        """
        faultpoints.reached("router.before_table")
        keep_trace(state, decision.state)
        self.requests.write(key, state, decision, most=most)
        faultpoints.reached("router.after_table")
        for topic, out_key, value, out_headers in outgoing(decision):
            faultpoints.reached("router.before_emit")
            with traced(topic, out_headers):
                await self._emit(topic, out_key, value, out_headers)
        faultpoints.reached("router.after_emit")
        observe(state, decision)

    async def _put_aside(self, message: Any, fault: Exception) -> None:
        """Write the dead letter and hold the request.

        If the dead letter cannot be written, end the process before the offset is committed: a
        successor reads the record again.
        """
        try:
            await self._dead_letters.put(message, fault)
        except DeadLetterLimitError as flood:
            die("router.too_many_dead_letters", flood, message.topic)
        except Exception as error:
            die("router.not_put_aside", error, message.topic)
        await self._hold_or_die(message, midway=not isinstance(fault, MalformedEventError))

    async def _hold_or_die(self, message: Any, *, midway: bool) -> None:
        """Hold the request. If all attempts fail, end the process before the offset is committed:
        otherwise the applicant would see "submitted" for ever."""
        fault: Exception | None = None
        for attempt in range(_HOLDS):
            try:
                await self._hold(message, midway=midway)
            except (ValidationError, MalformedEventError) as error:
                # No process can read its state, or its submission fits into no record: the dead
                # letter is all that can be written.
                FAULTS.labels("hold").inc()
                log.critical("router.not_held", topic=message.topic, offset=message.offset,
                             **describe_error(error))  # fmt: skip
                return
            except Exception as error:
                FAULTS.labels("hold").inc()
                fault = error
                if is_own_trouble(error):
                    break
                await asyncio.sleep(0.05 * 2**attempt)
            else:
                return
        die("router.not_held", cast(Exception, fault), message.topic)

    async def _hold(self, message: Any, *, midway: bool) -> None:
        """Hold the request of the record's key, if the table has it or the record submits it."""
        faultpoints.reached("router.before_hold")
        key = message.key
        if not key:
            return
        try:
            body = decode(message.value, header_pairs(message.headers)).body
        except MalformedEventError:
            body = None
        whole = isinstance(body, RequestSubmitted) and body.request_id.encode() == key
        state = self.requests.read(key)
        if state is None and not whole:
            return
        fault = FaultNoted(
            request_id=key.decode(),
            submission=body if isinstance(body, RequestSubmitted) and whole else None,
            midway=midway,
        )
        event_id = derived_id("fault", message.topic, message.partition, message.offset)
        decision = self._lifecycle.apply(state, event_id, fault, now=self._clock.now())
        most = MOST_KEPT if state is None else math.inf
        await self._carry_out(key, state, decision, most=most)
