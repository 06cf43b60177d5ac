"""Read and write the states of requests in Faust's table."""

from __future__ import annotations

from typing import Any

from tongban_common.envelope import MOST_SEALED
from tongban_common.events import MalformedEventError
from tongban_router.domain.due_index import DueIndex
from tongban_router.domain.state import RequestState, Rules, next_due
from tongban_router.domain.transition import Decision
from tongban_router.faust_runtime.faults import table_access

MOST_KEPT = MOST_SEALED + 50_000
"""Most bytes of a state after an input. The broker would refuse a larger changelog record, and the
process, and each successor, would end at the same input."""
MOST_KEPT_FOR_OPERATORS = MOST_KEPT + 40_000
"""Most bytes of a state after an operator's decision. Holding a request, and ending it at its
deadline, add some hundred bytes and have no limit: a refusal would end the router at each start."""


class RequestTable:
    """Maps request ids to states, and keeps the due index in step.

    Args:
        table: Faust's table, or any mapping of bytes to bytes. Values are JSON.
    """

    def __init__(self, table: Any, due: DueIndex, rules: Rules) -> None:
        self.table = table
        self._due = due
        self._rules = rules

    def read(self, key: bytes) -> RequestState | None:
        """Return the request's state, or None.

        Raises:
            TableError: the table cannot be read.
            ValidationError: the stored value is no state.
        """
        with table_access():
            raw = self.table.get(key)
        return None if raw is None else RequestState.model_validate_json(raw)

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
