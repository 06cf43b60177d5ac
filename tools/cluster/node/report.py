"""Print the figures of a rolling restart as tables in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.cluster.node.rolling import Figures


def print_figures(figures: Figures) -> None:
    """Print the tables, for docs/kubernetes.md and for the operator who ran it."""
    print("machine:", ", ".join(f"{name} {value}" for name, value in figures.machine.items()))
    print("outcome:", ", ".join(f"{name} {value}" for name, value in figures.outcome.items()))
    _print_table("phase", figures.phases)
    _print_table("pod", figures.usage)
    _print_table("pod, when it ended", figures.ends)
    _print_table("pod, when it started", figures.starts)
    _print_table("StatefulSet", {name: {"s": took} for name, took in figures.rolled_out.items()})


def _print_table(first: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    if not rows:
        return
    columns = list(next(iter(rows.values())))
    print()
    print("|", " | ".join([first, *columns]), "|")
    print("|", " | ".join(["---"] * (len(columns) + 1)), "|")
    for name, values in rows.items():
        print("|", " | ".join([name, *(str(values.get(each, "")) for each in columns)]), "|")
