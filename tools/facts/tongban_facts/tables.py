"""The fact tables: their columns with types, units, meanings and data classes.

This module is the one source: the Parquet schema (`tongban_facts.schema`), the data contracts under
docs/facts and their golden files follow from it. Changes are additive only, as with events: a
column keeps its name, type, unit and meaning, and a new column may be null.

Every table has one directory for each business date (China's time) on which requests were handed
in: `DIR/<table>/date=YYYY-MM-DD/part-0.parquet`. The date is that of the request in all tables, so
that one date holds everything about its requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PARTITION = "date"
"""The partition key of all tables: the business date of the request's submission. It is in the
directory's name, not in the files."""


class Type(StrEnum):
    """The logical types of columns."""

    TEXT = "text"
    CODE = "code"
    """A text of few values, dictionary-encoded."""
    INTEGER = "integer"
    """A whole number of 64 bits."""
    SMALL = "small"
    """A whole number of 16 bits."""
    BOOLEAN = "boolean"
    DATE = "date"


class ColumnClass(StrEnum):
    """The sensitivity of a column."""

    PSEUDONYM = "pseudonym: joins the tables within a month, and nothing beyond it"
    COARSENED = "quasi-identifier: coarsened until at least k requests share it"
    PLAIN = "says nothing about who the applicant is"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a fact table.

    Args:
        unit: of a number; empty where there is none.
        null: what a null means; empty if the column is never null.
        values: the values that a code may have, as far as they are fixed.
    """

    name: str
    type: Type
    meaning: str
    data: ColumnClass = ColumnClass.PLAIN
    unit: str = ""
    null: str = ""
    values: tuple[str, ...] = ()

    @property
    def nullable(self) -> bool:
        """Return True if the column may be null."""
        return bool(self.null)


@dataclass(frozen=True, slots=True)
class Table:
    """One fact table. `key` names the columns that identify a row within a date."""

    name: str
    meaning: str
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    sources: tuple[str, ...]
    """The topics that its rows come from."""

    def column(self, name: str) -> Column:
        """Return the column of that name.

        Raises:
            KeyError: there is none.
        """
        return next_or_key_error(self.columns, name)


def next_or_key_error(columns: tuple[Column, ...], name: str) -> Column:
    """Return the column of that name, or raise KeyError."""
    for column in columns:
        if column.name == name:
            return column
    raise KeyError(name)


_COARSENED = "coarsened, because fewer than k requests of the day share the finer value"
_NOT_REACHED = "not reached (yet)"
STATES = (
    "submitted", "routed", "waiting_for_province", "accepted", "needs_supplement", "held",
    "completed", "rejected", "withdrawn", "expired", "failed",
)  # fmt: skip
FINAL_STATES = ("completed", "rejected", "withdrawn", "expired", "failed")
KINDS = ("query", "handle", "print")
CHANNELS = ("self_service", "assisted")
CALLS = ("submit", "poll", "supplement", "withdraw")
PRINT_STATES = (
    "queued", "waiting_for_printer", "needs_confirmation", "printed", "cancelled", "expired",
)  # fmt: skip
OUTCOMES = (
    "accepted", "needs_supplement", "completed", "rejected", "withdrawn", "waiting", "not_sent",
    "held",
)  # fmt: skip
MESSAGE_STATES = ("sent", "refused", "suppressed", "held")

REQUEST = Column(
    "request",
    Type.TEXT,
    "pseudonym of the request, under a key that is used for one month of submissions and then "
    "destroyed; the same in all tables",
    ColumnClass.PSEUDONYM,
)
_KIND = Column(
    "kind", Type.CODE, "kind of the item: a query, an action or a printed sheet", values=KINDS
)
PLACE_AND_ITEM = (
    Column("hour", Type.SMALL, "hour of the submission, 0 to 23 in China's time",
           ColumnClass.COARSENED, unit="h", null=_COARSENED),
    Column("branch", Type.CODE, "branch of the bank where the request was handed in",
           ColumnClass.COARSENED, null=_COARSENED),
    Column("district", Type.CODE, "GB/T 2260 code of the branch's district, or `unknown`",
           ColumnClass.COARSENED, null=_COARSENED),
    Column("item", Type.CODE, "code of the item", ColumnClass.COARSENED, null=_COARSENED),
    Column("category", Type.CODE, "category of the item, as in the catalogue",
           ColumnClass.COARSENED, null=_COARSENED),
    Column("province", Type.CODE, "GB/T 2260 code of the province that handles the item",
           ColumnClass.COARSENED, null=_COARSENED),
    Column("domain", Type.CODE, "domain of the item in the catalogue (社会保障), or `unknown`",
           ColumnClass.COARSENED, null=_COARSENED),
    Column("zone", Type.CODE, "first zone of the item at the kiosk, or `unknown`",
           ColumnClass.COARSENED, null=_COARSENED,
           values=("cross_province", "yangtze_delta", "local", "unknown")),
    Column("age_band", Type.CODE, "age band of the applicant; `none` for companies, `unknown` "
           "without a resident ID number", ColumnClass.COARSENED, null=_COARSENED),
)  # fmt: skip
"""The columns that say where, when, what and at which age. They are coarsened together."""


def _duration(name: str, meaning: str, null: str = _NOT_REACHED) -> Column:
    return Column(
        name,
        Type.INTEGER,
        f"{meaning}; rounded to two significant digits",
        unit="ms",
        null=null,
    )


_AFTER = Column(
    "after_ms",
    Type.INTEGER,
    "business time since the submission; rounded to two significant digits",
    unit="ms",
)

REQUESTS = Table(
    "requests",
    "Requests that were handed in at kiosks, each with its newest state and its way there.",
    "one request",
    ("request",),
    (
        REQUEST,
        _KIND,
        *PLACE_AND_ITEM,
        Column("channel", Type.CODE, "at the kiosk alone, or with a lobby manager",
               values=CHANNELS),
        Column("state", Type.CODE, "newest state of the request", values=STATES),
        Column("final", Type.BOOLEAN, "true if no other state can follow"),
        Column("state_since", Type.DATE, "business date on which it came into this state"),
        Column("cause", Type.CODE, "why it waits, or whose words explain the state: closed, down, "
               "throttled, paused, store, province, operator", null="no cause was given"),
        _duration("to_accepted_ms", "from the submission until the province accepted it"),
        _duration("to_final_ms", "from the submission until its final state"),
        _duration("routing_ms", "from the submission until the router's call to the province"),
        _duration("province_ms", "from the router's call until the province accepted, completed or "
                  "rejected it"),
        _duration("handling_ms", "from the province's acceptance until the final state"),
        _duration("waiting_ms", "sum of the time in which it waited for the province, closed or "
                  "down", null="it never waited"),
        _duration("supplement_ms", "sum of the time in which it waited for the applicant",
                  null="nothing was asked for"),
        _duration("held_ms", "sum of the time in which it waited for an operator",
                  null="it was never held"),
        _duration("to_first_print_ms", "from the submission until its first sheet was printed",
                  null="nothing was printed (yet)"),
        _duration("printing_ms", "from the completion until its first sheet was printed",
                  null="nothing was printed (yet)"),
        Column("printed_within_five_minutes", Type.BOOLEAN, "true if the first sheet was printed "
               "within five minutes of the submission, by the exact time; false also while the "
               "sheet has not been printed", null="nothing was to be printed (yet)"),
        Column("supplements", Type.SMALL, "how often the province asked for a supplement"),
        Column("sheets", Type.SMALL, "print orders that ended with a printed sheet"),
        Column("messages", Type.SMALL, "messages that were sent"),
        Column("grade", Type.SMALL, "the applicant's rating (好差评), 1 to 5", null="not rated"),
    ),
    ("requests.status", "documents.printed", "notifications.sent", "feedback.rated"),
)  # fmt: skip

STATUS_CHANGES = Table(
    "status_changes",
    "The way of each request through its states.",
    "one change of state",
    ("request", "seq"),
    (
        REQUEST,
        _KIND,
        *PLACE_AND_ITEM,
        Column("seq", Type.SMALL, "number of the change within the request, from 1; remarks that "
               "change no state are left out, so numbers may be missing"),
        Column("state", Type.CODE, "state that begins", values=STATES),
        Column("before", Type.CODE, "state that ends", null="the first state", values=STATES),
        Column("by", Type.CODE, "who changed it: kiosk, router, province, operator or applicant"),
        Column("cause", Type.CODE, "as in `requests`", null="no cause was given"),
        _AFTER,
        _duration("lasted_ms", "business time until the next change", null="it lasts (yet)"),
    ),
    ("requests.status",),
)  # fmt: skip

PRINTS = Table(
    "prints",
    "Print orders and how they stand.",
    "one print order",
    ("request", "number"),
    (
        REQUEST,
        _KIND,
        *PLACE_AND_ITEM,
        Column("number", Type.SMALL, "number of the order within the request, from 1"),
        Column("copy_number", Type.SMALL, "1 for the first print, from 2 for a further copy"),
        Column("state", Type.CODE, "newest state of the order", values=PRINT_STATES),
        Column("pages", Type.SMALL, "pages of the document", null="no document was named"),
        Column("asked", Type.BOOLEAN, "true if a lobby manager was asked whether it came out"),
        _duration("after_ms", "business time from the submission until the order's first report",
                  null=""),
        _duration("took_ms", "business time from the order's first report until it was printed",
                  null="it was not printed (yet)"),
    ),
    ("documents.printed",),
)  # fmt: skip

MESSAGES = Table(
    "messages",
    "Messages to applicants and what became of them.",
    "one message",
    ("request", "number"),
    (
        REQUEST,
        _KIND,
        *PLACE_AND_ITEM,
        Column("number", Type.SMALL, "number of the message within the request, from 1"),
        Column("template", Type.CODE, "name of the text"),
        Column("channel", Type.CODE, "sms or mail", values=("sms", "mail")),
        Column("state", Type.CODE, "newest report", values=MESSAGE_STATES),
        _AFTER,
    ),
    ("notifications.sent",),
)  # fmt: skip

RATINGS = Table(
    "ratings",
    "Ratings by applicants (好差评), without their words.",
    "one rating; a request is rated once",
    ("request",),
    (
        REQUEST,
        _KIND,
        *PLACE_AND_ITEM,
        Column("grade", Type.SMALL, "1 (very dissatisfied) to 5 (very satisfied)"),
        _AFTER,
    ),
    ("feedback.rated",),
)

PROVINCE_CALLS = Table(
    "province_calls",
    "What provinces answered to calls, and what kept calls from them.",
    "one outcome of a call; a call that waited has several",
    ("request", "number"),
    (
        REQUEST,
        _KIND,
        *PLACE_AND_ITEM,
        Column("number", Type.SMALL, "number of the outcome within the request, from 1"),
        Column("call", Type.CODE, "kind of the call", values=CALLS),
        Column("outcome", Type.CODE, "what came of it", values=OUTCOMES),
        Column("cause", Type.CODE, "closed, down, throttled or a fault",
               null="the province answered"),
        _AFTER,
        _duration("took_ms", "business time from the router's call until this outcome",
                  null="the call is not among the events"),
    ),
    ("requests.outcomes", "province.*.requests"),
)  # fmt: skip

TABLES: dict[str, Table] = {
    table.name: table
    for table in (REQUESTS, STATUS_CHANGES, PRINTS, MESSAGES, RATINGS, PROVINCE_CALLS)
}
"""Every fact table by name."""
