"""Make the rows of the fact tables of one day from its slim rows."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tongban_facts.coarsening import KIND, QUASI
from tongban_facts.tables import FINAL_STATES

Frames = Mapping[str, pl.DataFrame]
_FIVE_MINUTES_MS = 5 * 60 * 1000
_CHINA_MS = 8 * 3600 * 1000
_DIGITS = 2
_SHOWN = ("request", KIND, *QUASI)
_DISTRICT = r"(?:^|\D)([1-6]\d{5})(?:\D|$)"
"""A GB/T 2260 code in the branch's id: b-310115-02."""


def quasi_identifiers(requests: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Return what the requests would show uncoarsened.

    Args:
        items: `item`, `domain` and `zone` of the catalogue.
    """
    hour = pl.from_epoch(pl.col("submitted") + _CHINA_MS, time_unit="ms").dt.hour()
    return requests.join(items, on="item", how="left").select(
        "request",
        KIND,
        hour.cast(pl.Int16).alias("hour"),
        "branch",
        pl.col("branch").str.extract(_DISTRICT).fill_null("unknown").alias("district"),
        "item",
        "category",
        "province",
        pl.col("domain").fill_null("unknown"),
        pl.col("zone").fill_null("unknown"),
        "age_band",
    )


def _span(end: str | pl.Expr, begin: str | pl.Expr) -> pl.Expr:
    """Return the milliseconds between two moments, at least 0, with two significant digits."""
    to, since = (pl.col(each) if isinstance(each, str) else each for each in (end, begin))
    return (to - since).clip(lower_bound=0).round_sig_figs(_DIGITS).cast(pl.Int64)


def fact_tables(rows: Frames, published: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the rows of all fact tables for the published requests of a day, sorted by key."""
    shown = published.select(*_SHOWN).join(
        rows["requests"].select("request", "submitted"), on="request"
    )
    changes = _changes(rows["status"], shown)
    prints = _prints(rows["prints"], shown)
    messages = _messages(rows["messages"], shown)
    ratings = _first_ratings(rows["ratings"], shown)
    return {
        "requests": _requests(
            rows["requests"],
            shown,
            changes=changes,
            prints=prints,
            messages=messages,
            ratings=ratings,
        ),
        "status_changes": changes.with_columns(
            after_ms=_span("at", "submitted"), lasted_ms=_span("until", "at")
        ),
        "prints": prints.with_columns(
            after_ms=_span("at", "submitted"), took_ms=_span("printed_at", "at")
        ),
        "messages": messages,
        "ratings": ratings,
        "province_calls": _calls(rows["outcomes"], rows["calls"], shown),
    }


def _changes(status: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
    """Return the changes of state, each with the next one's moment as `until`."""
    return (
        status.filter(~pl.col("note"))
        .join(shown, on="request")
        .sort("request", "seq")
        .with_columns(
            pl.col("state").shift(1).over("request").alias("before"),
            pl.col("at").shift(-1).over("request").alias("until"),
        )
    )


def _prints(prints: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
    orders = (
        prints.sort("request", "order", "seq")
        .group_by("request", "order", maintain_order=True)
        .agg(
            pl.col("at").first(),
            pl.col("state").last(),
            pl.col("copy_number").first(),
            pl.col("pages").drop_nulls().first(),
            (pl.col("state") == "needs_confirmation").any().alias("asked"),
            pl.col("at").filter(pl.col("state") == "printed").first().alias("printed_at"),
        )
    )
    return _numbered(orders, "at", "order").join(shown, on="request").sort("request", "number")


def _messages(messages: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
    newest = (
        messages.sort("request", "reference", "at", "state")
        .group_by("request", "reference", maintain_order=True)
        .agg(pl.col("template", "channel", "state", "at").last())
    )
    return (
        _numbered(newest, "at", "reference")
        .join(shown, on="request")
        .with_columns(after_ms=_span("at", "submitted"))
        .sort("request", "number")
    )


def _first_ratings(ratings: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
    return (
        ratings.join(shown, on="request")
        .with_columns(after_ms=_span("at", "submitted"))
        .sort("request")
    )


def _calls(outcomes: pl.DataFrame, calls: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
    asked = calls.select("request", "call_id", pl.col("at").alias("asked_at"))
    return (
        _numbered(outcomes, "at", "call_id", "outcome")
        .join(asked, on=["request", "call_id"], how="left")
        .join(shown, on="request")
        .with_columns(after_ms=_span("at", "submitted"), took_ms=_span("at", "asked_at"))
        .sort("request", "number")
    )


def _numbered(rows: pl.DataFrame, *order: str) -> pl.DataFrame:
    """Number the rows of each request from 1; ids decide between equal moments."""
    return rows.sort("request", *order).with_columns(
        (pl.int_range(pl.len()).over("request") + 1).cast(pl.Int16).alias("number")
    )


def _requests(
    requests: pl.DataFrame,
    shown: pl.DataFrame,
    *,
    changes: pl.DataFrame,
    prints: pl.DataFrame,
    messages: pl.DataFrame,
    ratings: pl.DataFrame,
) -> pl.DataFrame:
    sheets = prints.group_by("request").agg(
        pl.col("printed_at").min().alias("first_print"),
        (pl.col("state") == "printed").sum().cast(pl.Int16).alias("sheets"),
    )
    sent = messages.group_by("request").agg(
        (pl.col("state") == "sent").sum().cast(pl.Int16).alias("messages")
    )
    joined = (
        shown.join(requests.select("request", "channel"), on="request")
        .join(_ways(changes), on="request")
        .join(sheets, on="request", how="left")
        .join(sent, on="request", how="left")
        .join(ratings.select("request", "grade"), on="request", how="left")
    )
    # Submission to sheet, by exact times: the published promise.
    in_time = pl.col("first_print") - pl.col("submitted") <= _FIVE_MINUTES_MS
    since = pl.from_epoch(pl.col("last_at") + _CHINA_MS, time_unit="ms").dt.date()
    return joined.with_columns(
        final=pl.col("state").is_in(FINAL_STATES),
        state_since=since,
        to_accepted_ms=_span("accepted", "submitted"),
        to_final_ms=_span("ended", "submitted"),
        routing_ms=_span("routed", "submitted"),
        province_ms=_span("answered", "routed"),
        handling_ms=_span("ended", "accepted"),
        to_first_print_ms=_span("first_print", "submitted"),
        printing_ms=_span("first_print", "completed"),
        printed_within_five_minutes=pl.when(pl.col("sheets").is_not_null()).then(
            in_time.fill_null(value=False)
        ),
        sheets=pl.col("sheets").fill_null(0),
        messages=pl.col("messages").fill_null(0),
    ).sort("request")


def _ways(changes: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each request with the moments and sums of its way."""

    def first(*states: str) -> pl.Expr:
        return pl.col("at").filter(pl.col("state").is_in(states)).min()

    def spent(state: str, name: str) -> pl.Expr:
        spans = (pl.col("until") - pl.col("at")).filter(pl.col("state") == state)
        total = spans.sum().clip(lower_bound=0).round_sig_figs(_DIGITS).cast(pl.Int64)
        return pl.when(spans.count() > 0).then(total).alias(name)

    return changes.group_by("request", maintain_order=True).agg(
        pl.col("state").last(),
        pl.col("cause").last(),
        pl.col("at").last().alias("last_at"),
        first("routed").alias("routed"),
        first("accepted").alias("accepted"),
        first("completed").alias("completed"),
        first("accepted", "completed", "rejected").alias("answered"),
        first(*FINAL_STATES).alias("ended"),
        spent("waiting_for_province", "waiting_ms"),
        spent("needs_supplement", "supplement_ms"),
        spent("held", "held_ms"),
        (pl.col("state") == "needs_supplement").sum().cast(pl.Int16).alias("supplements"),
    )
