"""Facts and pages that several tests of the report read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench._fact_tables import write
from tongban_report.page import render
from tongban_report.store import FactStore
from tongban_report.wording import LANGUAGES, Names

NAMES: Names = {
    ("province", "310000"): ("上海", "Shanghai"),
    ("domain", "社会保障"): ("社会保障", "Social security"),
}


def page(directory: Path, names: Names = NAMES, *, languages: Sequence[str] = ("en",)) -> str:
    """Return the page, by default in English alone: drawing takes most of the time."""
    with FactStore(directory) as store:
        return render(store, names, languages=languages)


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of 1,500 requests each, of all provinces."""
    directory = tmp_path_factory.mktemp("facts")
    write(directory, requests=3_000, days=2)
    return directory


@pytest.fixture(scope="session")
def made(facts: Path) -> str:
    """The page of `facts` in both languages."""
    return page(facts, languages=LANGUAGES)
