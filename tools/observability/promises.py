"""State the published times that most requests keep, as selectors of histograms.

Alerts and dashboards are made from them, so that both count the same requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tools.observability.limits import BURN_WINDOWS, PROMISED


@dataclass(frozen=True, slots=True)
class Promise:
    """A published time and the requests that it was given for.

    Args:
        metric: a histogram that has a bucket at `PROMISED`.
        where: labels of the requests that count.
    """

    alert: str
    record: str
    metric: str
    where: str
    summary: str

    @property
    def good(self) -> str:
        """Return the selector of the requests that kept the promise."""
        return f'{self.metric}_bucket{{{self.where}, le="{PROMISED.total_seconds():.1f}"}}'

    @property
    def total(self) -> str:
        """Return the selector of all requests that count."""
        return f"{self.metric}_count{{{self.where}}}"

    def windows(self) -> list[timedelta]:
        """Return every window whose ratio is recorded."""
        found = {each.long for each in BURN_WINDOWS} | {each.short for each in BURN_WINDOWS}
        return sorted(found)


COMPLETION = Promise(
    "CompletionSlow",
    "tongban:completed_late",
    "tongban_router_completed_seconds",
    'kind=~"query|print", waited_for="no"',
    "Queries and prints are completed later than the published five minutes",
)
PAPER = Promise(
    "PaperSlow",
    "tongban:printed_late",
    "tongban_printing_paper_seconds",
    'waited_for="no"',
    "Paper comes later than the published five minutes after the submission",
)
PROMISES = (COMPLETION, PAPER)
