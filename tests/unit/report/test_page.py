"""The report's page: what it says of full, small and empty facts, and what it never contains."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from bench._fact_tables import write
from tests.unit.report.conftest import page
from tongban_facts.schema import arrow_schema
from tongban_facts.tables import TABLES
from tongban_report.answers import SECTIONS
from tongban_report.wording import LANGUAGES, Words, texts

ANSWERS = [answer for section in SECTIONS for answer in section.answers]


def _empty(html: str) -> set[str]:
    """Return the names of the answers that say that there is nothing to draw."""
    return set(
        re.findall(r'class="part" id="(\w+)-en">(?:\s*<h3>[^<]*</h3>)?\s*<p class="nothing"', html)
    )


def _replace(directory: Path, table: str, frame: pl.DataFrame) -> None:
    schema = arrow_schema(TABLES[table])
    (file,) = (directory / table).glob("*/*.parquet")
    pq.write_table(frame.select(schema.names).to_arrow().cast(schema), file)


def test_page_has_every_answer_with_chart_table_and_query_in_both_languages(made: str) -> None:
    assert len(ANSWERS) >= 15
    for answer in ANSWERS:
        for language in LANGUAGES:
            begin = made.index(f'id="{answer.name}-{language}"')
            part = made[begin : made.index("</details>", begin)]
            assert part.count("<svg xmlns") == 1
            assert "<caption>" in part
            assert "SELECT" in part
    assert not _empty(made)


def test_page_loads_nothing_and_runs_nothing(made: str) -> None:
    addresses = set(re.findall(r'(?:src|href|action|url)\s*[=(]\s*["\']?([^"\'\s>)]+)', made))
    assert {each for each in addresses if not each.startswith("#")} <= {"data:,"}
    assert set(re.findall(r"https?://[^\"'\s<]+", made)) <= {
        "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
    }  # fmt: skip
    assert "<script" not in made
    assert "default-src 'none'" in made


def test_page_of_same_facts_is_same_to_the_last_byte(facts: Path, made: str) -> None:
    def english(html: str) -> str:
        return html[html.index('<main lang="en"') :]

    assert english(page(facts)) == english(made)
    assert len(english(made)) > 100_000


def test_figures_agree_with_counts_by_polars(facts: Path, made: str) -> None:
    requests = pl.scan_parquet(facts / "requests/*/*.parquet", hive_partitioning=True).collect()
    ended = requests.filter("final")
    completed = ended.filter(state="completed")
    sheets = requests["printed_within_five_minutes"].drop_nulls()
    rated = requests["grade"].drop_nulls()
    shanghai = requests.filter(province="310000")["province_ms"].drop_nulls()
    words = Words("en")
    for said in (
        f"{len(completed):,} of {len(ended):,}",
        f"{sheets.sum():,} of {len(sheets):,}",
        f"{(rated >= 4).sum():,} of {len(rated):,}",
        f'<th scope="row">Shanghai</th><td class="n">{len(shanghai):,}</td>',
        words.duration(shanghai.quantile(0.9, "lower")),
    ):
        assert said in made
    assert len(requests) == 3_000


def test_text_from_facts_is_escaped_everywhere(tmp_path: Path) -> None:
    write(tmp_path, requests=60, days=1)
    (file,) = (tmp_path / "requests").glob("*/*.parquet")
    evil = "<script>alert(1)</script>"
    frame = pl.read_parquet(file, hive_partitioning=False).with_columns(
        category=pl.lit(evil), domain=pl.lit(evil), cause=pl.lit(evil), province=pl.lit(evil)
    )
    _replace(tmp_path, "requests", frame)
    html = page(tmp_path, {("province", evil): ("<b>省", '"><b onclick=x>')})
    assert "&lt;script&gt;alert(1)" in html
    assert "<script" not in html
    assert "<b" not in html.replace("<body", "")


def test_day_without_ratings_says_so_instead_of_a_chart(tmp_path: Path) -> None:
    write(tmp_path, requests=200, days=1)
    (file,) = (tmp_path / "requests").glob("*/*.parquet")
    frame = pl.read_parquet(file, hive_partitioning=False)
    _replace(tmp_path, "requests", frame.with_columns(grade=pl.lit(None, pl.Int16)))
    for rating in (tmp_path / "ratings").glob("*/*.parquet"):
        rating.unlink()
    html = page(tmp_path)
    assert _empty(html) == {"satisfaction"}
    assert "no ratings" in html


def test_one_province_is_described_without_a_comparison(tmp_path: Path) -> None:
    write(tmp_path, requests=200, days=1, provinces=1)
    html = page(tmp_path, {("province", "110000"): ("北京", "Beijing")})
    assert "Beijing is the only province" in html
    assert "is slowest" not in html


def test_export_without_requests_says_so_for_every_answer(tmp_path: Path) -> None:
    for table in TABLES:
        (tmp_path / table).mkdir()
    html = page(tmp_path)
    assert "These fact tables contain no requests" in html
    assert _empty(html) == {answer.name for answer in ANSWERS if not answer.optional}
    assert "<svg xmlns" not in html


def test_open_requests_alone_leave_no_empty_chart(tmp_path: Path) -> None:
    """A moment after opening: nothing was answered, printed or rated, and all is coarsened."""
    write(tmp_path, requests=50, days=1)
    (file,) = (tmp_path / "requests").glob("*/*.parquet")
    schema = arrow_schema(TABLES["requests"])
    frame = pl.read_parquet(file, hive_partitioning=False).with_columns(
        state=pl.lit("submitted"), final=pl.lit(value=False)
    )
    gone = [name for name in schema.names if schema.field(name).nullable]
    nothing = [pl.lit(None, frame.schema[name]).alias(name) for name in gone]
    _replace(tmp_path, "requests", frame.with_columns(nothing))
    for name in ("ratings", "prints", "province_calls"):
        for each in (tmp_path / name).glob("*/*.parquet"):
            each.unlink()
    html = page(tmp_path)
    assert {"provinces_answer", "printed_after", "satisfaction", "channels_times"} <= _empty(html)
    assert "withheld" in html
    assert "nan" not in re.sub(r"<[^>]*>", "", html).lower()


def test_every_text_is_there_in_both_languages_with_the_same_values() -> None:
    for key, said in texts().items():
        assert set(said) == set(LANGUAGES), key
        values = [set(re.findall(r"\{(\w+)\}", said[language])) for language in LANGUAGES]
        assert values[0] == values[1], key
    for answer in ANSWERS:
        assert {f"{answer.name}.title", f"{answer.name}.empty"} <= set(texts())
        assert {f"column.{column.field}" for column in answer.columns} <= set(texts())


@pytest.mark.parametrize(
    ("ms", "said"),
    [(850, "850 ms"), (2_300, "2.3 s"), (59_960, "1 min"), (14_400_000, "4 h"), (None, "–")],
)
def test_duration_is_said_in_the_largest_unit_that_it_fills(ms: float | None, said: str) -> None:
    assert Words("en").duration(ms) == said


@pytest.mark.parametrize(
    ("share", "said"), [(0, "0%"), (0.0004, "< 0.1%"), (0.9999, "> 99.9%"), (1, "100%")]
)
def test_share_is_never_rounded_to_none_or_all(share: float, said: str) -> None:
    assert Words("en").share(share) == said
