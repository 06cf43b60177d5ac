"""Assemble the page: run every query once, draw every chart once for each language."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from tongban_report.answers import SECTIONS
from tongban_report.answers.model import Answer, Rows
from tongban_report.answers.overview import figures
from tongban_report.store import FactStore
from tongban_report.wording import LANGUAGES, Names, Words

_TAGS = {"zh": "zh-CN", "en": "en"}
_READING = ("business", "answer", "failure", "coarsened", "pseudonyms", "colours")


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer's rows and the query that made them."""

    answer: Answer
    rows: Rows
    sql: str


def render(
    store: FactStore,
    names: Names,
    *,
    languages: Sequence[str] = LANGUAGES,
    progress: Callable[[int], None] = lambda _: None,
) -> str:
    """Return the report as one HTML page that loads nothing.

    The page is the same, byte for byte, whenever it is made of the same facts.

    Args:
        progress: called with the number of answers that are ready.
    """
    overview = store.rows("overview")[0]
    answered = {}
    for section in SECTIONS:
        for answer in section.answers:
            answered[answer.name] = Answered(
                answer, store.rows(answer.name), store.sql(answer.name)
            )
            progress(len(answered))
    said = [_in(Words(language, names), overview, answered) for language in languages]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tongban_report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    css = files("tongban_report").joinpath("templates/report.css").read_text("utf-8")
    return environment.get_template("report.html.j2").render(
        languages=said, first=said[0], css=css, views=store.views
    )


def write(
    source: Path,
    target: Path,
    names: Names,
    *,
    languages: Sequence[str] = LANGUAGES,
    since: date | None = None,
    until: date | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Make the report of the facts in `source`, replace `target` by it, and return its bytes.

    Raises:
        FactsNotFoundError: see `FactStore`.
        FactsUnreadableError: as above.
        OSError: the file cannot be written.
    """
    with FactStore(source, since=since, until=until) as store:
        content = render(store, names, languages=languages, progress=progress).encode()
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return len(content)


def _in(words: Words, overview: Any, answered: dict[str, Answered]) -> dict[str, Any]:
    """Return what the template needs for one language."""
    requests = overview["requests"]
    return {
        "words": words,
        "tag": _TAGS[words.language],
        "period": _period(words, overview),
        "notice": None if requests else words.text("no_requests"),
        "figures": figures(overview, words) if requests else [],
        "reading": _READING,
        "sections": [
            {
                "name": section.name,
                "title": words.text(f"{section.name}.title"),
                "about": words.text(f"{section.name}.about"),
                "parts": list(_parts(section.answers, words, answered)),
            }
            for section in SECTIONS
        ],
    }


def _period(words: Words, overview: Any) -> str:
    first, last = overview["first_day"], overview["last_day"]
    if first is None:
        return words.text("period.none")
    key = "period.day" if first == last else "period.days"
    return words.text(
        key, first=first, last=last, until=overview["as_of"],
        requests=words.count(overview["requests"]),
    )  # fmt: skip


def _parts(
    answers: Sequence[Answer], words: Words, answered: dict[str, Answered]
) -> Iterator[dict[str, Any]]:
    for answer in answers:
        done = answered[answer.name]
        if answer.optional and not done.rows:
            continue
        several = len(answers) > 1
        title = words.text(f"{answer.name}.title") if several else None
        part: dict[str, Any] = {
            "name": answer.name,
            "title": title,
            "sql": done.sql,
            "empty": None if done.rows else words.text(f"{answer.name}.empty"),
        }
        if done.rows:
            caption = f"{answer.name}.caption"
            part |= {
                "finding": answer.finding(done.rows, words),
                "svg": answer.draw(done.rows, words),
                "caption": words.text(caption) if words.has(caption) else None,
                "table_name": words.text("table", name=words.text(f"{answer.name}.title")),
                "columns": [
                    {
                        "title": words.text(f"column.{column.field}"),
                        "numeric": column.numeric,
                    }
                    for column in answer.columns
                ],
                "rows": [
                    [words.cell(column.kind, row[column.field]) for column in answer.columns]
                    for row in answer.shown(done.rows)
                ],
            }
        yield part
