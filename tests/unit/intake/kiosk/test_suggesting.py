"""Hits while typing: from the first letter on, each service once, made once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tongban_intake.catalogue_index import CatalogueIndex
from tongban_intake.kiosk.suggesting import Suggestions
from tongban_ops.catalogue.loader import load

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def index() -> CatalogueIndex:
    made = CatalogueIndex()
    for item in load(ROOT / "catalogue"):
        made.change(item.code, item)
    return made


def find(suggestions: Suggestions, words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(suggestions.body(words, near_zone=None))
    return found


@pytest.mark.parametrize("words", ["s", "sb", "shebao", "社", "社保", "社會", "社會保險"])
def test_words_in_any_spelling_find_services_by_name(index: CatalogueIndex, words: str) -> None:
    hits = find(Suggestions(index), words)["hits"]
    assert 1 <= len(hits) <= 6
    assert len({hit["name"] for hit in hits}) == len(hits)
    assert any("社" in hit["name"] for hit in hits)


def test_service_of_one_province_leads_to_its_form_and_of_several_to_their_list(
    index: CatalogueIndex,
) -> None:
    suggestions = Suggestions(index)
    several = find(suggestions, "公积金账户查询")["hits"][0]
    assert several["where"] == "31 个省份" and several["link"].startswith("/kiosk/items?q=")
    code = next(item.code for item in index.catalogue)
    one = find(suggestions, code)["hits"][0]
    assert one["link"] == f"/kiosk/items/{code}"


def test_nothing_typed_finds_nothing(index: CatalogueIndex) -> None:
    assert find(Suggestions(index), "  ") == {"hits": [], "total": 0}


def test_withdrawn_item_is_found_no_more_although_answers_are_cached() -> None:
    index = CatalogueIndex()
    items = list(load(ROOT / "catalogue"))[:1]
    index.change(items[0].code, items[0])
    suggestions = Suggestions(index)
    assert find(suggestions, items[0].name)["total"] == 1
    assert suggestions.body(items[0].name, near_zone=None) is suggestions.body(
        items[0].name, near_zone=None
    )
    index.change(items[0].code, None)
    assert find(suggestions, items[0].name)["total"] == 0
