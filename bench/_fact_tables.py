"""Make fact tables of any size, as `tongban export` lays them out, without a chain behind them.

The figures are invented: they have the shape of a busy week (mornings, slow provinces, older people
who ask for help), so that every chart of a report has something to show.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.random import Generator
from numpy.typing import NDArray

from tongban_facts.schema import arrow_schema
from tongban_facts.tables import PARTITION, PLACE_AND_ITEM, TABLES

PROVINCES = (
    "110000", "120000", "130000", "140000", "150000", "210000", "220000", "230000", "310000",
    "320000", "330000", "340000", "350000", "360000", "370000", "410000", "420000", "430000",
    "440000", "450000", "460000", "500000", "510000", "520000", "530000", "540000", "610000",
    "620000", "630000", "640000", "650000",
)  # fmt: skip
DOMAINS = (
    "社会保障", "公积金", "医疗卫生", "档案证明", "户籍办理", "交管服务", "税务服务", "公共事业",
    "民政服务",
)  # fmt: skip
CATEGORIES = {
    "social_insurance_enrolment": "query", "contribution_details": "query",
    "pension_account": "query", "pension_payments": "query", "household_certificate": "print",
    "no_criminal_record": "print", "electricity_transfer": "handle",
    "personnel_archive_transfer": "handle",
}  # fmt: skip
"""Categories with the kind of their items."""
AGES = ("18-29", "30-44", "45-59", "60-74", "75+", "none", "unknown")
CAUSES = ("down", "throttled", "closed")
_SHARED = ("request", "kind", *(column.name for column in PLACE_AND_ITEM))
_FIRST_DAY = date(2026, 3, 2)


def write(
    directory: Path, *, requests: int, days: int = 7, seed: int = 7, provinces: int = 31
) -> None:
    """Write all tables of `requests` requests, spread evenly over `days` dates."""
    random = np.random.default_rng(seed)
    per_day = np.diff(np.linspace(0, requests, days + 1).astype(int))
    for number, count in enumerate(per_day):
        day = _FIRST_DAY + timedelta(days=number)
        frame = _requests(random, int(count), day, provinces=provinces)
        tables = {
            "requests": frame,
            "status_changes": _status_changes(frame),
            "prints": _prints(frame),
            "messages": _messages(frame),
            "ratings": _ratings(frame),
            "province_calls": _province_calls(random, frame),
        }
        for name, table in tables.items():
            _write(directory, name, day, table)


def _write(directory: Path, name: str, day: date, table: pl.DataFrame) -> None:
    """Write one date of one table in its schema; no file if there is no row."""
    if not len(table):
        return
    schema = arrow_schema(TABLES[name])
    target = directory / name / f"{PARTITION}={day}"
    target.mkdir(parents=True, exist_ok=True)
    arrow = table.select(schema.names).to_arrow().cast(schema)
    pq.write_table(arrow, target / "part-0.parquet", compression="zstd")


def _rounded(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round to two significant digits, as the export does."""
    digits = 10.0 ** np.floor(np.log10(np.maximum(values, 1)) - 1)
    return (np.round(values / digits) * digits).astype(np.int64)


def _pick(random: Generator, of: tuple[Any, ...], count: int, weights: Any = None) -> Any:
    share = None if weights is None else np.asarray(weights, float) / np.sum(weights)
    return np.asarray(of)[random.choice(len(of), count, p=share)]


def _requests(random: Generator, count: int, day: date, *, provinces: int) -> pl.DataFrame:
    categories = _pick(random, tuple(CATEGORIES), count, (9, 7, 6, 4, 8, 6, 5, 5))
    kinds = np.asarray([CATEGORIES[each] for each in categories])
    places = random.choice(provinces, count, p=_falling(provinces))
    ages = _pick(random, AGES, count, (14, 24, 26, 20, 9, 5, 2))
    older = np.isin(ages, ("60-74", "75+"))
    assisted = random.random(count) < np.where(older, 0.55, 0.14)
    domains = random.choice(len(DOMAINS), count, p=_falling(len(DOMAINS)))
    # The provinces differ by a factor of thirty; handling takes hours where a query takes seconds.
    speed = np.exp(np.linspace(0, 3.4, provinces))[places]
    slow = np.where(kinds == "handle", 1_200.0, 1.0)
    answer = 400 * speed * slow * random.lognormal(0, 0.9, count)
    state = _pick(
        random,
        ("completed", "rejected", "withdrawn", "expired", "failed", "accepted",
         "needs_supplement", "waiting_for_province", "held"),
        count, (86, 4.5, 1.5, 0.6, 0.3, 3.2, 2, 1.4, 0.5),
    )  # fmt: skip
    done = np.isin(state, ("completed", "rejected", "withdrawn", "expired", "failed"))
    waited = (random.random(count) < 0.02 + 0.1 * (places == 3)) | (state == "waiting_for_province")
    supplemented = (random.random(count) < 0.05) & (kinds == "handle") | (
        state == "needs_supplement"
    )
    routing = 30 * random.lognormal(0, 0.5, count)
    final = routing + answer * np.where(supplemented, 6.0, 1.3)
    prints = (kinds == "print") & (state == "completed") | (
        (kinds == "query") & (state == "completed") & (random.random(count) < 0.3)
    )
    printing = 25_000 * random.lognormal(0, 1.3, count)
    printed = prints & (random.random(count) < 0.985)
    hours = np.clip(np.round(random.normal(11.5, 2.4, count)), 8, 20)
    grade = _pick(random, (1, 2, 3, 4, 5), count, (1, 2, 5, 24, 68))
    rated = done & (random.random(count) < 0.22)

    def where(condition: Any, values: Any) -> Any:
        return pl.Series(values).set(~pl.Series(condition), None)

    frame = pl.DataFrame(
        {
            "request": [f"{day:%m%d}{number:014x}" for number in range(count)],
            "kind": kinds,
            "hour": where(random.random(count) > 0.03, hours.astype(np.int16)),
            "branch": where(random.random(count) > 0.2, _pick(random, tuple(
                f"b-3101{district:02}-{branch:02}" for district in (1, 4, 5, 6, 15, 18)
                for branch in (1, 2, 3)), count)),
            "district": _pick(random, ("310101", "310104", "310105", "310106", "310115"), count),
            "item": [None] * count,
            "category": where(random.random(count) > 0.04, categories),
            "province": np.asarray(PROVINCES)[places],
            "domain": np.asarray(DOMAINS)[domains],
            "zone": np.where(places == 8 % provinces, "local", np.where(
                np.isin(places, (9, 10, 11)), "yangtze_delta", "cross_province")),
            "age_band": where(random.random(count) > 0.05, ages),
            "channel": np.where(assisted, "assisted", "self_service"),
            "state": state,
            "final": done,
            "state_since": [day] * count,
            "cause": where(state == "waiting_for_province", _pick(random, CAUSES, count)),
            "to_accepted_ms": _rounded(routing + answer),
            "to_final_ms": where(done, _rounded(final)),
            "routing_ms": _rounded(routing),
            "province_ms": where((state != "waiting_for_province") & (state != "held"),
                                 _rounded(answer)),
            "handling_ms": where(done, _rounded(final - routing)),
            "waiting_ms": where(waited, _rounded(60_000 * random.lognormal(0, 1, count))),
            "supplement_ms": where(supplemented, _rounded(3e6 * random.lognormal(0, 1, count))),
            "held_ms": where(state == "held", _rounded(3e6 * random.lognormal(0, 1, count))),
            "to_first_print_ms": where(printed, _rounded(final + printing)),
            "printing_ms": where(printed, _rounded(printing)),
            "printed_within_five_minutes": where(prints, printed & (final + printing <= 300_000)),
            "supplements": supplemented.astype(np.int16),
            "sheets": printed.astype(np.int16),
            "messages": done.astype(np.int16),
            "grade": where(rated, grade.astype(np.int16)),
        }
    )  # fmt: skip
    return frame.with_columns(ordered=pl.Series(prints), waited=pl.Series(waited))


def _falling(count: int) -> NDArray[np.float64]:
    weights = 1 / np.arange(1, count + 1) ** 0.6
    return np.asarray(weights / weights.sum())


def _status_changes(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the way of every request: submitted, routed, what it waited for, its newest state."""
    steps = (
        ("submitted", pl.lit(value=True), pl.lit(0)),
        ("routed", pl.lit(value=True), pl.col("routing_ms")),
        ("waiting_for_province", pl.col("waited") & (pl.col("state") != "waiting_for_province"),
         pl.col("routing_ms")),
        ("accepted", (pl.col("kind") == "handle")
         & ~pl.col("state").is_in(["accepted", "waiting_for_province", "held"]),
         pl.col("to_accepted_ms")),
        ("needs_supplement", (pl.col("supplements") > 0) & (pl.col("state") != "needs_supplement"),
         pl.col("to_accepted_ms")),
        (None, pl.lit(value=True), pl.coalesce("to_final_ms", "to_accepted_ms")),
    )  # fmt: skip
    parts = [
        frame.filter(condition).select(
            *_SHARED,
            pl.lit(number, pl.Int16).alias("seq"),
            (pl.col("state") if state is None else pl.lit(state)).alias("state"),
            pl.lit("router").alias("by"),
            pl.col("cause"),
            after.cast(pl.Int64).alias("after_ms"),
        )
        for number, (state, condition, after) in enumerate(steps, start=1)
    ]
    return pl.concat(parts).with_columns(
        before=pl.lit(None, pl.String), lasted_ms=pl.lit(None, pl.Int64)
    )


def _prints(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter("ordered").select(
        *_SHARED,
        pl.lit(1, pl.Int16).alias("number"),
        pl.lit(1, pl.Int16).alias("copy_number"),
        pl.when(pl.col("printing_ms").is_null())
        .then(pl.lit("waiting_for_printer"))
        .otherwise(pl.lit("printed"))
        .alias("state"),
        pl.lit(1, pl.Int16).alias("pages"),
        pl.lit(value=False).alias("asked"),
        pl.col("to_final_ms").fill_null(0).alias("after_ms"),
        pl.col("printing_ms").alias("took_ms"),
    )


def _messages(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter("final").select(
        *_SHARED,
        pl.lit(1, pl.Int16).alias("number"),
        pl.col("state").alias("template"),
        pl.lit("sms").alias("channel"),
        pl.col("to_final_ms").alias("after_ms"),
    ).with_columns(state=pl.lit("sent"))  # fmt: skip


def _ratings(frame: pl.DataFrame) -> pl.DataFrame:
    rated = frame.filter(pl.col("grade").is_not_null())
    return rated.select(*_SHARED, "grade", pl.col("to_final_ms").alias("after_ms"))


def _province_calls(random: Generator, frame: pl.DataFrame) -> pl.DataFrame:
    """Return an answer for each request, and before it what kept the call of those that waited."""
    causes = pl.Series("cause", _pick(random, CAUSES, len(frame)))
    waited = frame.with_columns(causes).filter("waited")
    answered = frame.filter(pl.col("province_ms").is_not_null())
    return pl.concat(
        [
            waited.select(
                *_SHARED, pl.lit(1, pl.Int16).alias("number"), pl.lit("submit").alias("call"),
                pl.lit("waiting").alias("outcome"), "cause",
                pl.col("routing_ms").alias("after_ms"), pl.lit(100, pl.Int64).alias("took_ms"),
            ),
            answered.select(
                *_SHARED, pl.lit(2, pl.Int16).alias("number"), pl.lit("submit").alias("call"),
                pl.lit("completed").alias("outcome"), pl.lit(None, pl.String).alias("cause"),
                pl.col("to_accepted_ms").alias("after_ms"), pl.col("province_ms").alias("took_ms"),
            ),
        ]
    )  # fmt: skip
