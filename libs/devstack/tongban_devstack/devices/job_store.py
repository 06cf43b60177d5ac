"""Store the printers' jobs, documents and printed sheets in SQLite.

Plain functions on a connection, which run in the journal; one call is one transaction.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    kiosk_id TEXT, job_id INTEGER, name TEXT, user TEXT, copies INTEGER, stage TEXT,
    created_at REAL, ended_at REAL, forgotten INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kiosk_id, job_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    kiosk_id TEXT, job_id INTEGER, number INTEGER, spool TEXT, pages INTEGER, octets INTEGER,
    PRIMARY KEY (kiosk_id, job_id, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sheets (
    kiosk_id TEXT, job_id INTEGER, order_id TEXT, request_id TEXT, document_id TEXT, copy INTEGER,
    pages INTEGER, sets INTEGER, file TEXT, printed_at REAL,
    PRIMARY KEY (kiosk_id, job_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sheets_by_order ON sheets (order_id, printed_at);
"""
"""Times are wall clock in Unix seconds; files are relative to the data directory."""


class Stage(StrEnum):
    """Progress of a job; its IPP state also depends on the printer (see `attributes.job_state`)."""

    INCOMING = "incoming"  # more documents may come
    QUEUED = "queued"  # all documents are there; waiting or printing
    COMPLETED = "completed"
    CANCELED = "canceled"


class JobKey(NamedTuple):
    """Key of a job. Numbers of forgotten jobs are never reused."""

    kiosk_id: str
    job_id: int


@dataclass(frozen=True, slots=True)
class JobRequest:
    """Attributes that a client sends when it creates a job."""

    name: str
    user: str
    copies: int


@dataclass(frozen=True, slots=True)
class Job:
    """A stored job; `pages` and `octets` are those of one copy."""

    key: JobKey
    name: str
    user: str
    copies: int
    stage: Stage
    created_at: float
    ended_at: float | None
    documents: int
    pages: int
    octets: int


@dataclass(frozen=True, slots=True)
class SpooledDocument:
    """A received PDF in the spool, relative to the data directory."""

    file: Path
    pages: int
    octets: int


class Ticket(NamedTuple):
    """Parts of a job's name, `order_id/request_id/document_id/copy`."""

    order_id: str
    request_id: str
    document_id: str
    copy_number: int

    @classmethod
    def of(cls, job_name: str) -> Ticket:
        """Parse a job's name; a name of another form is an order id as a whole."""
        parts = job_name.split("/")
        if len(parts) == 4 and all(parts) and parts[3].isascii() and parts[3].isdigit():
            return cls(parts[0], parts[1], parts[2], int(parts[3]))
        return cls(job_name, "", "", 1)


_JOBS = (
    "SELECT j.kiosk_id, j.job_id, j.name, j.user, j.copies, j.stage, j.created_at, j.ended_at,"
    " count(d.number), coalesce(sum(d.pages), 0), coalesce(sum(d.octets), 0)"
    " FROM jobs j LEFT JOIN documents d USING (kiosk_id, job_id) WHERE NOT j.forgotten"
)


def create_job(
    connection: sqlite3.Connection, kiosk_id: str, requested: JobRequest, now: float
) -> JobKey:
    """Insert a new job that waits for its documents."""
    row = connection.execute(
        "INSERT INTO jobs (kiosk_id, job_id, name, user, copies, stage, created_at) SELECT"
        " ?1, coalesce(max(job_id), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM jobs WHERE kiosk_id = ?1"
        " RETURNING job_id",
        (kiosk_id, requested.name, requested.user, requested.copies, Stage.INCOMING.value, now),
    ).fetchone()
    return JobKey(kiosk_id, row[0])


def add_document(
    connection: sqlite3.Connection, key: JobKey, document: SpooledDocument | None, last: bool
) -> bool:
    """Add a document to an incoming job; return False if the job accepts none any more.

    `document` is None where the client only says that there are no more.
    """
    stage = Stage.QUEUED if last else Stage.INCOMING
    changed = connection.execute(
        "UPDATE jobs SET stage = ? WHERE kiosk_id = ? AND job_id = ? AND stage = ?"
        " AND NOT forgotten",
        (stage.value, *key, Stage.INCOMING.value),
    ).rowcount
    if changed and document is not None:
        connection.execute(
            "INSERT INTO documents SELECT ?1, ?2, count(*) + 1, ?3, ?4, ?5 FROM documents"
            " WHERE kiosk_id = ?1 AND job_id = ?2",
            (*key, str(document.file), document.pages, document.octets),
        )
    return changed == 1


def find_job(connection: sqlite3.Connection, key: JobKey) -> Job | None:
    """Return a job; None if the printer has forgotten it or never had it."""
    query = f"{_JOBS} AND j.kiosk_id = ? AND j.job_id = ? GROUP BY j.kiosk_id, j.job_id"
    row = connection.execute(query, key).fetchone()
    return None if row is None else _job(row)


def list_jobs(
    connection: sqlite3.Connection, stages: frozenset[Stage], kiosk_id: str | None = None
) -> list[Job]:
    """Return the jobs in the given stages, of one printer or all, by job number."""
    marks = ", ".join("?" for _ in stages)
    query = (
        f"{_JOBS} AND (? IS NULL OR j.kiosk_id = ?) AND j.stage IN ({marks})"
        " GROUP BY j.kiosk_id, j.job_id ORDER BY j.kiosk_id, j.job_id"
    )
    arguments = (kiosk_id, kiosk_id, *(stage.value for stage in stages))
    return [_job(row) for row in connection.execute(query, arguments)]


def cancel_job(connection: sqlite3.Connection, key: JobKey, now: float) -> bool:
    """Cancel a job; return False if it has ended or is unknown."""
    changed = connection.execute(
        "UPDATE jobs SET stage = ?, ended_at = ? WHERE kiosk_id = ? AND job_id = ?"
        " AND stage IN (?, ?) AND NOT forgotten",
        (Stage.CANCELED.value, now, *key, Stage.INCOMING.value, Stage.QUEUED.value),
    ).rowcount
    return changed == 1


def forget_jobs(connection: sqlite3.Connection, kiosk_id: str) -> None:
    """Forget a printer's jobs, as a power cut does; queued jobs never print."""
    connection.execute("UPDATE jobs SET forgotten = 1 WHERE kiosk_id = ?", (kiosk_id,))


def complete_job(connection: sqlite3.Connection, key: JobKey, data: Path, now: float) -> list[Path]:
    """Complete a queued job: count its sheet and keep the PDF. Return the spool files to remove.

    Does nothing for a job that was canceled, forgotten or completed meanwhile.
    """
    job = find_job(connection, key)
    if job is None or job.stage is not Stage.QUEUED:
        return []
    connection.execute(
        "UPDATE jobs SET stage = ?, ended_at = ? WHERE kiosk_id = ? AND job_id = ?",
        (Stage.COMPLETED.value, now, *key),
    )
    ticket = Ticket.of(job.name)
    (earlier,) = connection.execute(
        "SELECT count(*) FROM sheets WHERE order_id = ? AND copy = ? AND kiosk_id = ?",
        (ticket.order_id, ticket.copy_number, key.kiosk_id),
    ).fetchone()
    spooled = [
        data / spool
        for (spool,) in connection.execute(
            "SELECT spool FROM documents WHERE kiosk_id = ? AND job_id = ? ORDER BY number", key
        )
    ]
    stem = f"{_file_name(ticket.order_id)}-{ticket.copy_number}-{earlier + 1}"
    kept = [
        Path("printed", key.kiosk_id, f"{stem}.pdf" if number == 1 else f"{stem}-{number}.pdf")
        for number in range(1, len(spooled) + 1)
    ]
    for source, target in zip(spooled, kept, strict=True):
        _keep(source, data / target)
    if not kept:
        return []  # closed without a document: it ends, and nothing comes out
    connection.execute(
        "INSERT INTO sheets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*key, *ticket, job.pages, job.copies, str(kept[0]), now),
    )
    return spooled


def spooled_files(connection: sqlite3.Connection) -> frozenset[Path]:
    """Return the files that unended jobs still need, relative to the data directory."""
    rows = connection.execute(
        "SELECT spool FROM documents JOIN jobs USING (kiosk_id, job_id)"
        " WHERE stage IN (?, ?) AND NOT forgotten",
        (Stage.INCOMING.value, Stage.QUEUED.value),
    )
    return frozenset(Path(spool) for (spool,) in rows)


def _file_name(order_id: str) -> str:
    """Return the quoted id, or its hash if it is too long for a file name."""
    quoted = quote(order_id, safe="")
    return quoted if len(quoted) <= 150 else sha256(order_id.encode()).hexdigest()


def _keep(source: Path, target: Path) -> None:
    """Link a spooled file to its final place; the spool keeps its own link until the commit."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_suffix(".part")
    staged.unlink(missing_ok=True)
    os.link(source, staged)
    staged.replace(target)


def printed_json(
    connection: sqlite3.Connection, order_id: str | None, request_id: str | None
) -> str:
    """Return the sheets as JSON text; `count` is the number of sets printed at any kiosk."""
    row = connection.execute(
        "SELECT json_group_array(json_object('order_id', order_id, 'request_id', request_id,"
        " 'document_id', document_id, 'copy', copy, 'kiosk_id', kiosk_id, 'pages', pages,"
        " 'count', count)) FROM (SELECT order_id, request_id, document_id, copy, kiosk_id, pages,"
        " max(printed_at), sum(sets) AS count FROM sheets"
        " WHERE (?1 IS NULL OR order_id = ?1) AND (?2 IS NULL OR request_id = ?2)"
        " GROUP BY order_id, request_id, document_id, copy)",
        (order_id, request_id),
    ).fetchone()
    text: str = row[0]
    return text


def printed_file(connection: sqlite3.Connection, order_id: str) -> Path | None:
    """Return the PDF printed last for an order, relative to the data directory."""
    row = connection.execute(
        "SELECT file FROM sheets WHERE order_id = ? ORDER BY printed_at DESC LIMIT 1",
        (order_id,),
    ).fetchone()
    return Path(row[0]) if row else None


def _job(row: tuple[Any, ...]) -> Job:
    """Return the job of a row of `_JOBS`, whose columns are in the order of Job's fields."""
    kiosk_id, job_id, name, user, copies, stage, *others = row
    return Job(JobKey(kiosk_id, job_id), name, user, copies, Stage(stage), *others)
