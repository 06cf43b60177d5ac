"""What intake makes of the records on catalogue.items."""

from __future__ import annotations

import json
from pathlib import Path

from tongban_intake.catalogue_index import CatalogueIndex
from tongban_intake.submission.checks import Checker
from tongban_ops.catalogue.loader import load

CATALOGUE = Path(__file__).parents[3] / "catalogue"


async def test_unknown_field_of_a_newer_publisher_hides_no_item() -> None:
    """Replicas of two versions run side by side while one is rolled out."""
    item = next(iter(load(CATALOGUE)))
    record = json.loads(item.model_dump_json())
    record["queue"] = {"new": True}
    record["hours"]["holidays"] = "closed"
    view = CatalogueIndex().view("127.0.0.1:1")
    assert view._decode(json.dumps(record).encode()) == item


def test_an_item_that_was_withdrawn_and_comes_anew_is_checked_by_its_new_form() -> None:
    """It begins at version 1 again, so that code and version are those of the old one."""
    item = next(each for each in load(CATALOGUE) if each.form["required"])
    checker = Checker(CatalogueIndex())
    assert not list(checker._form_errors(item, item.example_form))
    form = {**item.form, "required": [*item.form["required"], "added"]}
    anew = item.model_copy(update={"form": form})
    assert [each.pointer for each in checker._form_errors(anew, item.example_form)] == [
        "/form/added"
    ]
    assert not list(checker._form_errors(item, item.example_form))
