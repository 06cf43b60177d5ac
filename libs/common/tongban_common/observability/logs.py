"""Structured logs: one JSON object per line on stderr, with the id of the request."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from tongban_common.tracing import current
from tongban_common.version import show_version

_MOST_CAUSES, _MOST_FRAMES = 8, 20
_REQUEST: ContextVar[Mapping[str, str]] = ContextVar("tongban_request", default={})  # noqa: B039


def _add_context(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name, value in _REQUEST.get().items():
        event.setdefault(name, value)
    trace = current()
    if trace is not None:
        event.setdefault("trace_id", trace.trace_id)
        event.setdefault("span_id", trace.span_id)
    return event


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, the members of a group, and their causes and contexts; a bounded
    number."""
    waiting = [error]
    for _ in range(_MOST_CAUSES):
        error = waiting.pop(0) if waiting else None
        if error is None:
            return
        yield error
        if isinstance(error, BaseExceptionGroup):
            waiting += error.exceptions
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        waiting += [cause] if cause else []


def _kind_and_places(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": type(error).__name__, "at": places}


def _exception_without_its_text(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace `exc_info` by the types of the exception and its causes, and where each was raised.

    Their texts stay out: pydantic, int() and others quote the input that they refuse.
    """
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else None
    if error is None and given:
        error = (given if isinstance(given, tuple) else sys.exc_info())[1]
    kinds = [_kind_and_places(each) for each in _with_causes(error)]
    if kinds:
        event["exception"] = kinds
    return event


def _log_the_end(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Log the exception that ends the process without its text, which Python's own report
    quotes."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger().critical("process_failed", error=kind.__name__, exc_info=error)


@dataclass(slots=True)
class _WrittenPlace:
    until: float
    kept_back: int = 0


class Repeats(logging.Filter):
    """Passes one record of each line of a library's code, and then none of that line for a while.

    While a broker is down every client logs it several times a second: the 31 clients of the
    connectors wrote half a megabyte a second, and hid the lines that mattered. The next record of
    that line carries the number of suppressed ones. Records of other libraries pass.
    """

    def __init__(
        self, library: str, *, every_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(library)
        self._every_s = every_s
        self._clock = clock
        self._written: dict[tuple[str, int, int], _WrittenPlace] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if the record is to be written."""
        if not super().filter(record):
            return True  # not of that library
        place = (record.pathname, record.lineno, record.levelno)
        now = self._clock()
        last = self._written.get(place)
        if last is not None and now < last.until:
            last.kept_back += 1
            return False
        if last is not None and last.kept_back:
            record.msg = f"{record.getMessage()} (and {last.kept_back} like it, not written)"
            record.args = None
        self._written[place] = _WrittenPlace(now + self._every_s)
        return True


def configure_logging(service: str, *, instance: str, level: str = "INFO") -> None:
    """Send structlog and the standard library's logging to stderr as JSON lines, and show the
    version in the first line and as a metric: every process calls this as it starts.

    Every line carries `at` (RFC 3339, UTC), `service` and `instance`, inside `request_context` also
    `request_id`, and inside a span, or where a trace came in, `trace_id` and `span_id`. A message
    that the Kafka client repeats is written once in ten seconds (`Repeats`). Never pass a person's
    name or number to a logger: no filter could be trusted to find it afterwards. The texts of
    exceptions, which may quote such values, are never written, not even that of an exception that
    ends the process.
    """
    shared: list[structlog.typing.Processor] = [
        _add_context,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _exception_without_its_text,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Repeats("aiokafka"))
    # A collector that is away fails every batch.
    handler.addFilter(Repeats("opentelemetry", every_s=60.0))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(
                    serializer=lambda value, **_: orjson.dumps(value, default=str).decode()
                ),
            ],
        )
    )
    sys.excepthook = _log_the_end
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # aiokafka logs every fetch error of a broker restart at length; its warnings are enough.
    logging.getLogger("aiokafka").setLevel(max(logging.WARNING, root.level))
    structlog.contextvars.bind_contextvars(service=service, instance=instance)
    show_version(service)


class request_context:
    """Context manager in which every log line of this task carries `request_id` and `more`, beside
    the fields of an outer one.

    It surrounds every event and every submission, few of which log anything. So it sets and resets
    one context variable for all fields, where structlog has one for each name.
    """

    __slots__ = ("_names", "_token")

    def __init__(self, request_id: str, **more: str) -> None:
        self._names = {"request_id": request_id, **more}

    def __enter__(self) -> None:
        outer = _REQUEST.get()
        self._token = _REQUEST.set({**outer, **self._names} if outer else self._names)

    def __exit__(self, *_: object) -> None:
        _REQUEST.reset(self._token)
