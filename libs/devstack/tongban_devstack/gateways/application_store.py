"""Store the gateways' applications, and the ledger of attempts and effects, in SQLite.

Plain functions on a connection, which run in the journal's writer; one call is one transaction.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from enum import StrEnum

from tongban_common.clock import CHINA
from tongban_devstack.gateways.applications import Application, Plan
from tongban_devstack.outside.faults import FAULTS_SCHEMA

SCHEMA = (
    FAULTS_SCHEMA
    + """
CREATE TABLE IF NOT EXISTS applications (
    province TEXT, request_id TEXT, item_code TEXT, item_name TEXT, kind TEXT,
    name TEXT, form TEXT, submitted_at REAL,
    decided_at REAL, supplement_at REAL, after_supplement REAL, rejection TEXT,
    supplement_id TEXT, supplemented_at REAL, withdrawn_at REAL,
    PRIMARY KEY (province, request_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS effects (
    request_id TEXT, province TEXT, effect TEXT,
    attempts INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (request_id, province, effect)
) WITHOUT ROWID;
"""
)
"""Times are business time in Unix seconds; `after_supplement` is in seconds."""


class Effect(StrEnum):
    """Effects that a call can have."""

    SUBMIT = "submit"
    SUPPLEMENT = "supplement"
    WITHDRAW = "withdraw"


def record(
    connection: sqlite3.Connection,
    province: str,
    request_id: str,
    effect: Effect,
    *,
    attempts: int = 0,
    took_effect: int = 0,
) -> int:
    """Add to the ledger and return how often the effect has occurred."""
    row = connection.execute(
        "INSERT INTO effects VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET attempts = attempts + excluded.attempts, count = count + excluded.count"
        " RETURNING count",
        (request_id, province, effect.value, attempts, took_effect),
    ).fetchone()
    count: int = row[0]
    return count


def find(connection: sqlite3.Connection, province: str, request_id: str) -> Application | None:
    """Return the application of a request at a province, or None."""
    row = connection.execute(
        "SELECT item_code, item_name, kind, name, form, submitted_at, decided_at,"
        " supplement_at, after_supplement, rejection, supplemented_at, withdrawn_at"
        " FROM applications WHERE province = ? AND request_id = ?",
        (province, request_id),
    ).fetchone()
    if row is None:
        return None
    return Application(
        province,
        request_id,
        item_code=row[0],
        item_name=row[1],
        kind=row[2],
        name=row[3],
        form=json.loads(row[4]),
        submitted_at=_moment(row[5]),
        plan=Plan(
            _moment(row[6]),
            supplement_at=_moment_or_none(row[7]),
            after_supplement=timedelta(seconds=row[8]),
            rejection=row[9],
        ),
        supplemented_at=_moment_or_none(row[10]),
        withdrawn_at=_moment_or_none(row[11]),
    )


def add(connection: sqlite3.Connection, application: Application) -> None:
    """Insert a new application."""
    plan = application.plan
    connection.execute(
        "INSERT INTO applications (province, request_id, item_code, item_name, kind, name,"
        " form, submitted_at, decided_at, supplement_at, after_supplement, rejection)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            application.province,
            application.request_id,
            application.item_code,
            application.item_name,
            application.kind,
            application.name,
            json.dumps(application.form, ensure_ascii=False),
            application.submitted_at.timestamp(),
            plan.decided_at.timestamp(),
            plan.supplement_at.timestamp() if plan.supplement_at else None,
            plan.after_supplement.total_seconds(),
            plan.rejection,
        ),
    )


def supplement_id(connection: sqlite3.Connection, province: str, request_id: str) -> str | None:
    """Return the id of the accepted supplement, or None."""
    row = connection.execute(
        "SELECT supplement_id FROM applications WHERE province = ? AND request_id = ?",
        (province, request_id),
    ).fetchone()
    return row[0] if row else None


def take_supplement(
    connection: sqlite3.Connection, application: Application, identifier: str, at: datetime
) -> None:
    """Store the supplement that the province waited for."""
    connection.execute(
        "UPDATE applications SET supplement_id = ?, supplemented_at = ?"
        " WHERE province = ? AND request_id = ?",
        (identifier, at.timestamp(), application.province, application.request_id),
    )


def withdraw(connection: sqlite3.Connection, application: Application, at: datetime) -> None:
    """Store the withdrawal of an application."""
    connection.execute(
        "UPDATE applications SET withdrawn_at = ? WHERE province = ? AND request_id = ?",
        (at.timestamp(), application.province, application.request_id),
    )


def ledger_json(
    connection: sqlite3.Connection, request_id: str | None, province: str | None
) -> str:
    """Return the ledger as JSON text; SQLite assembles it, without holding Python's lock."""
    row = connection.execute(
        "SELECT coalesce(json_group_array(json_object('request_id', request_id,"
        " 'province', province, 'effect', effect, 'attempts', attempts, 'count', count)), '[]')"
        " FROM effects WHERE (?1 IS NULL OR request_id = ?1) AND (?2 IS NULL OR province = ?2)",
        (request_id, province),
    ).fetchone()
    text: str = row[0]
    return text


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, CHINA)


def _moment_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else _moment(seconds)
