"""Lets a process surround what its worker does with records, for instance with spans of a trace."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from tongban_kafka.record import Record

_NOTHING: AbstractContextManager[None] = nullcontext()


class RecordScope(Protocol):
    """Makes context managers, which must not raise. They may set context variables."""

    def handling(self, records: Sequence[Record]) -> AbstractContextManager[Any]:
        """Return what surrounds one call of the handler; it sees the handler's exception."""

    def about(self, record: Record) -> AbstractContextManager[Any]:
        """Return what surrounds the worker's own work on a record: its failure is logged, it is
        given up."""


class NoScope:
    """Surrounds nothing."""

    def handling(self, records: Sequence[Record]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return a context manager that does nothing."""
        return _NOTHING

    def about(self, record: Record) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return a context manager that does nothing."""
        return _NOTHING


NO_SCOPE: RecordScope = NoScope()
