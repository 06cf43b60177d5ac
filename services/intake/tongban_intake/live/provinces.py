"""Follow which provinces cannot be reached, by what their connectors report."""

from __future__ import annotations

import time
from collections.abc import Callable

from tongban_common.control.connectors import HEARD_S, ConnectorState
from tongban_common.topics import CONNECTORS_STATE
from tongban_intake.text import Text
from tongban_kafka import Record

_TROUBLES = {
    "down": Text(
        "省级平台暂时连不上。您可以照常提交，恢复后会自动送去办理，不用重复提交。",
        "The province cannot be reached for the moment. You can submit as usual: the request is "
        "delivered once it is back. There is no need to submit it again.",
    ),
    "paused": Text(
        "省级平台暂停受理。您可以照常提交，恢复受理后会自动送去办理，不用重复提交。",
        "The province takes no requests for the moment. You can submit as usual: the request is "
        "delivered once it does again. There is no need to submit it again.",
    ),
}
"""Says, by a report's cause, what a person is told before typing. Closing hours are the item's own
(`notes.closed_now`), and a throttled province is a matter of seconds."""


class ProvinceStates:
    """Keeps the newest report of each connector process, for as long as it is fresh.

    Connectors repeat their reports, so a replica that has just started knows all within half a
    minute.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._reports: dict[str, dict[str, tuple[float, str | None]]] = {}
        """By province and process: when it was heard, and its cause."""

    def on_record(self, record: Record) -> None:
        """Handle a record of connectors.state; records of other topics are ignored."""
        if record.topic != CONNECTORS_STATE or record.value is None:
            return
        try:
            state = ConnectorState.from_record(record.value)
        except ValueError:  # of a later version
            return
        reports = self._reports.setdefault(state.province, {})
        reports[state.instance] = self._now(), state.cause
        for instance in [each for each, (at, _) in reports.items() if not self._fresh(at)]:
            del reports[instance]

    def trouble(self, province: str) -> Text | None:
        """Return what to tell whoever is about to apply; None if no connector has trouble.

        One that has is enough: another may have had no call for the province since.
        """
        reports = self._reports.get(province, {}).values()
        causes = {cause for at, cause in reports if self._fresh(at)}
        return next((text for cause, text in _TROUBLES.items() if cause in causes), None)

    def _fresh(self, at: float) -> bool:
        return self._now() - at <= HEARD_S
