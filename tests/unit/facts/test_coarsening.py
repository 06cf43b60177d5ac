"""Nobody is singled out in a batch, in the union of batches, or in the difference of two."""

from __future__ import annotations

import random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tongban_facts.coarsening import ITEM, KIND, LADDER, QUASI, coarsen

KINDS = ("query", "handle", "print")


def requests(count: int, seed: int, *, first: int = 0, items: int = 40) -> pl.DataFrame:
    """Requests of one day at six branches in three districts, few items asked for most."""
    rng = random.Random(seed)
    rows = []
    for number in range(first, first + count):
        item = min(rng.randrange(items), rng.randrange(items))
        branch = rng.randrange(6)
        rows.append(
            {
                "request": f"{number:06d}",
                KIND: KINDS[item % 3],
                "hour": rng.randrange(9, 17),
                "branch": f"b-31010{branch // 2}-0{branch}",
                "district": f"31010{branch // 2}",
                "item": f"item-{item}",
                "category": f"category-{item // 4}",
                "province": f"{11 + item % 5}0000",
                "domain": f"domain-{item % 4}",
                "zone": "cross_province" if item % 2 else "local",
                "age_band": rng.choice(("18-29", "30-44", "45-59", "75+")),
            }
        )
    return pl.DataFrame(rows, schema_overrides={"hour": pl.Int16})


def candidates(published: pl.DataFrame, known: dict[str, object], *columns: str) -> int:
    """Count the rows that may be a person's of whom these columns are known."""
    fits = pl.lit(value=True)
    for column in columns:
        fits &= pl.col(column).is_null() | (pl.col(column) == known[column])
    return published.filter(fits).height


@settings(max_examples=25)
@given(count=st.integers(0, 120), seed=st.integers(0, 1000), k=st.integers(2, 7))
def test_rows_that_look_alike_are_at_least_k(count: int, seed: int, k: int) -> None:
    given_rows = requests(count, seed) if count else requests(1, seed).clear()
    published = coarsen(given_rows, k)
    classes = published.group_by(KIND, *QUASI).len()
    assert classes.filter(pl.col("len") < k).is_empty()
    withheld = given_rows.join(published, on="request", how="anti").group_by(KIND).len()
    assert withheld.filter(pl.col("len") >= k).is_empty()
    assert published["request"].n_unique() == published.height


def test_neighbour_who_knows_branch_item_age_and_hour_finds_at_least_k() -> None:
    original = requests(620, 7)
    published = coarsen(original, 5)
    assert published.height == original.height
    for known in original.iter_rows(named=True):
        # The item tells its kind and all that follows from it.
        assert candidates(published, known, KIND, *QUASI) >= 5


def test_row_on_a_rung_keeps_what_the_rung_names_and_shows_nothing_else() -> None:
    original = requests(620, 8)
    joined = coarsen(original, 5).join(original, on="request", suffix="_true")
    assert joined["rung"].n_unique() > 3
    for row in joined.iter_rows(named=True):
        for column in QUASI:
            kept = column in LADDER[row["rung"]]
            assert row[column] == (row[f"{column}_true"] if kept else None)


def test_result_does_not_depend_on_the_order_of_rows() -> None:
    original = requests(300, 9)
    assert coarsen(original, 5).equals(coarsen(original.reverse(), 5))


def test_frequent_combination_keeps_everything() -> None:
    one = requests(1, 3)
    same = pl.concat(
        [one.with_columns(pl.lit(f"{number}").alias("request")) for number in range(5)]
    )
    published = coarsen(same, 5)
    assert published["rung"].to_list() == [0] * 5
    assert published.select(QUASI).null_count().sum_horizontal().item() == 0


def test_lone_request_hides_in_the_smallest_class_of_its_kind() -> None:
    crowd = requests(1, 3)
    same = [crowd.with_columns(pl.lit(f"{number}").alias("request")) for number in range(11)]
    lone = crowd.with_columns(
        pl.lit("lone").alias("request"),
        *(pl.lit("elsewhere").alias(column) for column in ("branch", "district", *ITEM)),
    )
    published = coarsen(pl.concat([*same, lone]), 5)
    assert published.height == 12
    row = published.filter(pl.col("request") == "lone").row(0, named=True)
    assert [row[column] for column in QUASI] == [None] * len(QUASI)
    assert candidates(published.filter(pl.col("rung") == row["rung"]), row) == 12


def test_fewer_than_k_of_a_kind_wait() -> None:
    assert coarsen(requests(4, 1, items=1), 5).is_empty()


def test_difference_of_two_exports_is_k_anonymous() -> None:
    first = coarsen(requests(200, 5), 5)
    second = coarsen(requests(150, 6, first=200), 5)
    assert set(first["request"]).isdisjoint(second["request"])
    # A class of the second batch that extends one of the first has k rows of its own.
    assert second.group_by(KIND, *QUASI).len()["len"].min() >= 5
    union = pl.concat([first, second])
    assert union.group_by(KIND, *QUASI).len()["len"].min() >= 5
