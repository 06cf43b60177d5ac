"""Coarsen quasi-identifiers until at least k requests share them (k-anonymity, ADR 0030).

The input is one frame of requests of one day that are published for the first time, together. Each
row gets the finest rung of the ladder on which at least k of these rows agree on everything that
the rung keeps. What was published earlier has no part in it: each batch is k-anonymous by itself,
so the difference between two exports is, too, and a published row never changes its rung.
"""

from __future__ import annotations

import polars as pl

ITEM = ("item", "category", "province", "domain", "zone")
"""Whatever follows from the item is coarsened with it."""
QUASI = ("hour", "branch", "district", *ITEM, "age_band")
"""The columns that are coarsened."""
KIND = "kind"
"""The kind of item is part of every rung: a neighbour who knows the item knows whether it prints,
and the tables show whether a request did."""
LADDER: tuple[tuple[str, ...], ...] = (
    QUASI,
    ("branch", "district", *ITEM, "age_band"),
    ("district", *ITEM, "age_band"),
    ("district", *ITEM),
    ITEM,
    ("province", "domain", "zone", "age_band"),
    ("province", "domain", "zone"),
    ("province",),
    ("domain", "zone", "age_band"),
    ("domain", "zone"),
    (),
)
"""Columns that each rung keeps: hour to day, branch to district, band to none, then place, then
item."""
DTYPES = {name: pl.Int16 if name == "hour" else pl.String for name in QUASI}
_TOP = len(LADDER) - 1


def coarsen(requests: pl.DataFrame, k: int) -> pl.DataFrame:
    """Return the rows that can be published, coarsened, with the column `rung`.

    Rows that are missing in the result wait: even without any quasi-identifier fewer than k
    requests of their kind came in this batch. Depends on the rows alone, not on their order.

    Args:
        requests: has the columns `request`, `kind` and `QUASI`, none of them null.
        k: smallest number of requests that share all they show.
    """
    left, placed = requests.select("request", KIND, *QUASI), []
    for rung, kept in enumerate(LADDER):
        sizes = left.with_columns(pl.len().over(KIND, *kept).alias("size"))
        placed.append(_on_rung(sizes.filter(pl.col("size") >= k), rung))
        left = sizes.filter(pl.col("size") < k).drop("size")
    published = pl.concat(placed)
    for kind in left.get_column(KIND).unique().sort():
        published = _with_rest(published, left.filter(pl.col(KIND) == kind), kind)
    return published.sort("request")


def _on_rung(rows: pl.DataFrame, rung: int) -> pl.DataFrame:
    kept = LADDER[rung]
    return rows.select(
        "request",
        KIND,
        *(
            pl.col(name) if name in kept else pl.lit(None, dtype=DTYPES[name]).alias(name)
            for name in QUASI
        ),
        pl.lit(rung, dtype=pl.Int16).alias("rung"),
    )


def _with_rest(published: pl.DataFrame, rest: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Add the fewer than k rows of a kind that fit nowhere: the smallest class of that kind gives
    up its quasi-identifiers and hides them. Without such a class they wait."""
    same = published.filter(pl.col(KIND) == kind)
    if same.is_empty():
        return published
    smallest = (
        same.group_by("rung", *QUASI)
        .len()
        .sort("len", "rung", *QUASI, descending=[False, True, *[False] * len(QUASI)])
        .head(1)
    )
    hiding = same.join(smallest, on=["rung", *QUASI], how="semi", nulls_equal=True)
    others = published.join(hiding, on="request", how="anti")
    return pl.concat([others, _on_rung(hiding, _TOP), _on_rung(rest, _TOP)])
