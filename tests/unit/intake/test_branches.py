"""The nearest branches with a kiosk that can print."""

from __future__ import annotations

from pathlib import Path

import pytest

from tongban_common.catalogue import CatalogueError
from tongban_intake.branches import Branches, load_branches

CATALOGUE = Path(__file__).parents[3] / "catalogue"


def ids(branches: Branches, here: str, kiosks: dict[str, int]) -> list[str]:
    found = branches.nearest(here, lambda branch: kiosks.get(branch, 1), most=3)
    assert found == sorted(found, key=lambda each: each.km)
    return [each.branch.id for each in found]


def test_nearest_branches_come_first_and_those_without_a_kiosk_are_left_out() -> None:
    branches = load_branches(CATALOGUE)
    bund = branches.get("b-310115-01")
    assert bund is not None
    assert ids(branches, bund.id, {}) == ["b-310115-03", "b-310115-09", "b-310115-02"]
    assert ids(branches, bund.id, {"b-310115-03": 0})[0] == "b-310115-09"


def test_distance_is_that_of_the_map() -> None:
    branches = load_branches(CATALOGUE)
    nearest = branches.nearest("b-310115-01", lambda _: 1, most=9)
    by_id = {each.branch.id: each.km for each in nearest}
    assert by_id["b-310115-03"] == pytest.approx(1.2, abs=0.1)
    assert by_id["b-310115-07"] == pytest.approx(16.9, abs=0.3)


def test_branch_that_the_file_does_not_have_has_no_neighbours() -> None:
    assert load_branches(CATALOGUE).nearest("b-9", lambda _: 1, most=3) == []


def test_catalogue_without_the_file_has_no_branches(tmp_path: Path) -> None:
    assert load_branches(tmp_path).get("b-310115-01") is None


def test_branch_listed_twice_is_refused_with_file_and_line(tmp_path: Path) -> None:
    line = "  - {id: b, name: n, name_en: n, address: a, latitude: 1.0, longitude: 1.0}\n"
    tmp_path.joinpath("branches.yaml").write_text("branches:\n" + line * 2)
    with pytest.raises(CatalogueError, match=r"branches.yaml:\d+: .*twice"):
        load_branches(tmp_path)
