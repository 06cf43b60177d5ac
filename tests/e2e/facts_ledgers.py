"""Compares exported facts with what the simulated outside, kiosks and plain clients have seen."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from tests.e2e.lobby_kit import Lobby
from tests.e2e.plain_reading import all_records
from tongban_common.clock import CHINA
from tongban_devstack.demo.day_runner import FINAL
from tongban_facts.export import ExportOptions, default_state, export
from tongban_facts.source import client_settings

EFFECT_OF = {"submit": ("accepted", "completed", "rejected"), "withdraw": ("withdrawn",)}
"""Calls that have an effect at a province, and the outcomes by which it answers that it had."""


@dataclass(frozen=True)
class Counts:
    """Holds the same counts of either side."""

    finals: Mapping[str, int]
    """Requests in final states."""
    sheets: int
    messages: Mapping[str, int]
    """Messages by template."""
    ratings: Mapping[int, int]
    submitted: int
    """Requests that a province has."""
    withdrawn: int
    """Requests that a province has withdrawn."""


async def outside(lobby: Lobby) -> Counts:
    """Count at provinces, printers and message providers, and what a kiosk reads of requests."""
    records = await all_records(lobby.stack.kafka)
    states = Counter(
        [(await lobby.read(request_id))["status"] for request_id in sorted(_requests(records))]
    )
    ledger = await lobby.outside(f"{lobby.stack.gateways}/ledger")
    sheets = await lobby.outside(f"{lobby.stack.devices}/printed")
    messages = await lobby.outside(f"{lobby.stack.devices}/messages")
    sent: Counter[str] = Counter()
    for message in messages:
        sent[message["template"]] += message["count"]
    done = {(line["request_id"], line["effect"]) for line in ledger if line["count"]}
    return Counts(
        finals={state: count for state, count in states.items() if state in FINAL},
        sheets=sum(sheet["count"] for sheet in sheets),
        messages=dict(sent),
        ratings=Counter(json.loads(record.value)["grade"] for record in records["feedback.rated"]),
        submitted=sum(effect == "submit" for _, effect in done),
        withdrawn=sum(effect == "withdraw" for _, effect in done),
    )


def _requests(records: Mapping[str, Sequence[Any]]) -> set[str]:
    """Return the ids of the requests that have a state."""
    return {record.key.decode() for record in records["requests.status"]}


def _export(address: str, target: Path) -> None:
    state, until = default_state(target), datetime.now(CHINA).date()
    options = ExportOptions(
        target=target, state=state, keys_file=state / "keys.json", since=None, until=until, k=1,
        grace=timedelta(days=400), today=until,
    )  # fmt: skip
    result = export(client_settings(address), options)
    assert sum(day.withheld for day in result.days.values()) == 0


async def exported(lobby: Lobby, target: Path) -> Counts:
    """Export the facts and count them: with k = 1, so that no request is withheld."""
    await asyncio.to_thread(_export, lobby.stack.kafka, target)
    tables = {
        name: pl.read_parquet(target / name / "**" / "*.parquet", hive_partitioning=True)
        for name in ("requests", "prints", "messages", "ratings", "province_calls")
    }
    requests, calls = tables["requests"], tables["province_calls"]
    printed = tables["prints"].filter(pl.col("state") == "printed")
    assert printed.height == requests["sheets"].sum()
    sent = tables["messages"].filter(pl.col("state") == "sent")
    return Counts(
        finals=_counted(requests.filter("final"), "state"),
        sheets=printed.height,
        messages=_counted(sent, "template"),
        ratings=_counted(tables["ratings"], "grade"),
        submitted=_with_effect(calls, "submit"),
        withdrawn=_with_effect(calls, "withdraw"),
    )


def _counted(rows: pl.DataFrame, column: str) -> dict[Any, int]:
    return dict(rows.group_by(column).len().iter_rows())


def _with_effect(calls: pl.DataFrame, call: str) -> int:
    return len(_answered(calls, call) & _answered(calls, "submit"))


def _answered(calls: pl.DataFrame, call: str) -> set[str]:
    """Return the requests to which a province answered as if the call had an effect.

    A province also answers to the withdrawal of a request that it has never had, such as one that
    an operator ended while it waited: that has no effect, and the caller leaves it out.
    """
    answered = pl.col("outcome").is_in(EFFECT_OF[call])
    return set(calls.filter((pl.col("call") == call) & answered)["request"])
