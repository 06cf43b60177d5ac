"""Show the day live: requests by state, provinces, simulated outside, kills."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tongban_common.catalogue.models import Province
from tongban_common.clock import BusinessClock
from tongban_devstack.demo.day_runner import FINAL, Day
from tongban_devstack.demo.memory import Memory
from tongban_devstack.stack import SERVICES, Stack

_STATES = {
    "submitted": "yellow",
    "routed": "yellow",
    "waiting_for_province": "magenta",
    "accepted": "cyan",
    "needs_supplement": "magenta",
    "held": "red",
    "completed": "green",
    "rejected": "blue",
    "withdrawn": "blue",
    "expired": "red",
    "failed": "red",
}
"""In the order in which a request can reach them."""
_BAR = 40


class View:
    """Renders the present state of the day."""

    def __init__(
        self, stack: Stack, day: Day, clock: BusinessClock, provinces: Mapping[str, Province]
    ) -> None:
        self._stack = stack
        self._day = day
        self._clock = clock
        self._provinces = provinces
        self.memory = Memory(stack)
        self._began = time.monotonic()

    def show(self) -> RenderableType:
        """Return the whole view for `rich.live.Live`."""
        self.memory.look()
        moment = f"{self._clock.now():%Y-%m-%d %H:%M}"
        return Panel(
            Group(self._progress(), self._states(), self._map(), self._outside(), self._events()),
            title=f"tongban 通办 · a day at the branch · {moment}",
        )

    def line(self) -> str:
        """Return the counts of the day in one line, for an output that is no terminal."""
        self.memory.look()
        day = self._day
        states = ", ".join(f"{count} {state}" for state, count in day.by_status().items() if count)
        kills = sum(day.kills.values())
        seconds = time.monotonic() - self._began
        return (
            f"{seconds:.0f} s: {len(day.accepted)} of {len(day.visits)} handed in "
            f"({states or 'none seen yet'}), {day.printed} sheets printed, "
            f"{day.messages} messages sent, {kills} processes killed"
        )

    def _progress(self) -> Table:
        day = self._day
        total = len(day.visits)
        done = sum(answer["status"] in FINAL for answer in day.seen.values())
        grid = Table.grid(padding=(0, 2))
        for name, count in (("handed in", len(day.accepted)), ("finished", done)):
            bar = ProgressBar(total=total, completed=count, width=_BAR)
            grid.add_row(name, bar, f"{count} of {total}")
        return grid

    def _states(self) -> Table:
        counted = self._day.by_status()
        most = max(counted.values(), default=1)
        grid = Table.grid(padding=(0, 2))
        for state, colour in _STATES.items():
            if count := counted[state]:
                width = max(1, round(count / most * _BAR))
                grid.add_row(state, Text("█" * width, style=colour), str(count))
        return grid

    def _map(self) -> Columns:
        """Show the 31 provinces, coloured by their state."""
        down, cutting = self._day.down, self._day.cutting
        names = []
        for code, province in self._provinces.items():
            style = "white on red" if code in down else "black on yellow" if code in cutting else ""
            names.append(Text(province.short, style=style or "green"))
        legend = Text("■ up ", style="green") + Text("■ acts, then cuts the line ", style="yellow")
        return Columns([*names, legend + Text("■ down", style="red")], padding=(0, 1))

    def _outside(self) -> Text:
        day = self._day
        return Text(
            f"{day.printed} sheets printed, {day.messages} messages sent, "
            f"{day.retries} tries repeated at kiosks, {self.memory.peak_mb} MB of memory at most"
        )

    def _events(self) -> Group:
        restarts = sum(self._stack.supervisor.restarts.values())
        kills = "  ".join(f"{service} {self._day.kills[service]}" for service in SERVICES)
        lines = [Text(f"killed: {kills}   started again: {restarts}")]
        for at, what in self._day.happened:
            lines.append(Text(f"  {at - self._began:5.1f} s  {what}", style="dim"))
        return Group(*lines)
