"""The keys of pseudonyms are drawn once, kept in one file and destroyed for good."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tongban_facts.errors import ExportStateError
from tongban_facts.month_keys import MonthKeys, end_of

GRACE = timedelta(days=35)


def test_request_has_the_same_pseudonym_within_a_month_and_another_in_the_next(
    tmp_path: Path,
) -> None:
    keys = MonthKeys(tmp_path / "keys.json")
    keys.ensure({"2026-03", "2026-04"})
    march = keys.pseudonyms("2026-03", ["r-1", "r-2"])
    assert march == MonthKeys(tmp_path / "keys.json").pseudonyms("2026-03", ["r-1", "r-2"])
    assert len({*march, *keys.pseudonyms("2026-04", ["r-1", "r-2"])}) == 4
    assert {len(each) for each in march} == {16}


def test_key_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    MonthKeys(tmp_path / "keys.json").ensure({"2026-03"})
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_key_is_destroyed_after_the_grace_and_never_drawn_again(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys = MonthKeys(file)
    keys.ensure({"2026-02", "2026-03"})
    key = json.loads(file.read_text())["keys"]["2026-02"]
    last = end_of("2026-02") + GRACE - timedelta(days=1)
    assert keys.destroy_ended(last, GRACE) == []
    assert keys.destroy_ended(last + timedelta(days=1), GRACE) == ["2026-02"]
    assert key not in file.read_text()
    again = MonthKeys(file)
    again.ensure({"2026-02"})
    assert again.months == ["2026-03"]
    assert again.destroyed("2026-02")


def test_two_processes_that_meet_a_month_draw_one_key(tmp_path: Path) -> None:
    one, other = MonthKeys(tmp_path / "keys.json"), MonthKeys(tmp_path / "keys.json")
    one.ensure({"2026-03"})
    other.ensure({"2026-03"})
    assert one.pseudonyms("2026-03", ["r-1"]) == other.pseudonyms("2026-03", ["r-1"])


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"keys": {"2026-03": 5}, "destroyed": []}'])
def test_file_that_is_no_key_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(ExportStateError, match="no key file"):
        MonthKeys(tmp_path / "keys.json")
