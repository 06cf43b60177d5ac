"""The export on a real broker: counted, repeated, killed at every point, and attacked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.integration.facts.facts_kit import Exporting, population, write
from tongban_common.topics import FACTS, TOPICS
from tongban_devstack.embedded import EmbeddedKafka
from tongban_facts.coarsening import KIND, QUASI
from tongban_facts.schema import arrow_schema
from tongban_facts.tables import TABLES
from tongban_kafka.admin import apply_topics

pytestmark = pytest.mark.long

REQUESTS = 900
FAULTS = (
    "facts.after_reading", "facts.before_fsync:2", "facts.before_rename:5", "facts.after_rename:9",
    "facts.after_state:2", "facts.after_publishing", "facts.before_offsets", "facts.after_offsets",
)  # fmt: skip
PEOPLE = population()


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A broker of its own: the names of the topics are fixed, and they hold these events alone."""
    async with EmbeddedKafka(tmp_path_factory.mktemp("facts") / "kafka") as kafka:
        await apply_topics(
            kafka.address, [topic for topic in TOPICS.values() if FACTS in topic.readers]
        )
        await write(kafka.address, PEOPLE, range(REQUESTS))
        yield kafka.address


@pytest.fixture(scope="module")
async def exported(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Exporting:
    """One export of all that is there."""
    done = Exporting(broker, tmp_path_factory.mktemp("exported") / "facts")
    code, output = await done.run()
    assert code == 0, output
    return done


def test_counts_are_those_of_the_events(exported: Exporting) -> None:
    requests = exported.table("requests")
    assert requests.height == REQUESTS == requests["request"].n_unique()
    states = dict(requests.group_by("state").len().iter_rows())
    counts = PEOPLE.counts
    assert states == {"completed": counts["completed"], "rejected": counts["rejected"]}
    assert exported.table("prints").height == counts["printed"] == requests["sheets"].sum()
    assert exported.table("ratings").height == counts["rated"]
    assert exported.table("messages").height == REQUESTS == requests["messages"].sum()
    calls = exported.table("province_calls")
    assert calls.filter(pl.col("outcome") == "completed").height == counts["completed"]
    assert calls["took_ms"].null_count() == 0
    changes = exported.table("status_changes").group_by("request").agg(pl.col("state").last())
    assert changes.join(requests, on=["request", "state"]).height == REQUESTS


def test_files_have_the_published_schema(exported: Exporting) -> None:
    for name, table in TABLES.items():
        files = sorted((exported.target / name).rglob("*.parquet"))
        assert len(files) == 3
        for file in files:
            assert pq.read_schema(file).equals(arrow_schema(table), check_metadata=True)


async def test_same_command_again_changes_nothing(exported: Exporting) -> None:
    before = exported.files()
    code, output = await exported.run()
    assert code == 0, output
    assert "0 new events" in output
    assert exported.files() == before


NAMING = r"^r-[0-9a-z]{20}|^k-\d+$|社会保险|^[0-9a-f]{32}$"
"""Ids of requests and kiosks, words of a form, and trace ids. A pseudonym has 16 characters of its
own, so it may begin like one of these."""


def test_no_file_holds_what_names_a_request_or_a_kiosk(exported: Exporting) -> None:
    for frame in exported.tables().values():
        texts = [column for column, kind in frame.schema.items() if kind == pl.String]
        for column in texts:
            values = frame[column].drop_nulls()
            assert not values.str.contains(NAMING).any(), column


def test_joins_show_no_more_than_requests_do(exported: Exporting) -> None:
    shown = exported.table("requests").select("request", "date", KIND, *QUASI)
    for name, frame in exported.tables().items():
        mine = frame.select("request", "date", KIND, *QUASI).unique()
        assert mine.join(shown, on=shown.columns, how="anti", nulls_equal=True).is_empty(), name


def test_neighbour_finds_at_least_k_candidates_in_every_table(exported: Exporting) -> None:
    """The attacker knows branch, day, item, age and hour of everyone, from the private state."""
    state = pl.read_parquet(exported.state / "days" / "*" / "requests.parquet")
    published = exported.table("requests")
    known = (
        published.select("request", "date")
        .join(state, on="request")
        .join(published.select("request", "domain", "zone"), on="request")
    )
    assert known.height == REQUESTS
    by_day = {day: rows for (day,), rows in published.partition_by("date", as_dict=True).items()}
    for person in known.iter_rows(named=True):
        fits = by_day[person["date"]]
        for column in (KIND, "branch", "item", "province", "category", "age_band"):
            fits = fits.filter(pl.col(column).is_null() | (pl.col(column) == person[column]))
        assert person["request"] in fits["request"]
        assert fits.height >= 5
        # Whoever has a row in another table looks there like all others of the class.
        classes = fits.join(
            fits.filter(pl.col("request") == person["request"]), on=[KIND, *QUASI],
            how="semi", nulls_equal=True,
        )  # fmt: skip
        assert classes.height >= 5


async def test_export_killed_at_any_point_is_completed_by_the_next(
    broker: str, exported: Exporting, tmp_path: Path
) -> None:
    killed = Exporting(broker, tmp_path / "facts")
    for fault in FAULTS:
        code, output = await killed.run(fault=fault)
        assert code == -9, (fault, code, output)
        for file in killed.target.rglob("part-*.parquet"):
            assert pq.read_table(file).num_rows > 0, (fault, file)
    code, output = await killed.run()
    assert code == 0, output
    # Keys differ, so pseudonyms do; everything else is what the undisturbed export has.
    for name, frame in exported.tables().items():
        columns = [column for column in frame.columns if column != "request"]
        mine = killed.table(name).select(columns)
        assert mine.sort(columns).equals(frame.select(columns).sort(columns)), name
    assert not [name for name in killed.files() if name.endswith(".tmp")]


async def test_later_requests_are_added_and_published_ones_keep_what_they_show(
    broker: str, exported: Exporting, tmp_path: Path
) -> None:
    growing = Exporting(broker, tmp_path / "facts")
    assert (await growing.run("--until", "2026-03-02"))[0] == 0
    first = growing.table("requests")
    assert first["date"].n_unique() == 1
    assert (await growing.run())[0] == 0
    whole = growing.table("requests")
    assert whole.height == REQUESTS
    assert first.join(whole, on=first.columns, how="semi", nulls_equal=True).height == first.height
    assert exported.table("requests").height == whole.height


async def test_key_is_destroyed_after_the_month_with_the_state_and_facts_stay(
    broker: str, exported: Exporting, tmp_path: Path
) -> None:
    closing = Exporting(broker, tmp_path / "facts")
    assert (await closing.run())[0] == 0
    before = {name: frame.height for name, frame in closing.tables().items()}
    code, output = await closing.run(clock="2026-05-06T02:00:00+08:00@1")
    assert code == 0, output
    assert "the key of 2026-03 is destroyed" in output
    assert not list((closing.state / "days").glob("2026-03-*"))
    assert {name: frame.height for name, frame in closing.tables().items()} == before
    assert before["requests"] == exported.table("requests").height
