"""What intake makes of the records on catalogue.items."""

from __future__ import annotations

import json
from pathlib import Path

from tongban_common.catalogue import load
from tongban_intake.offers import Offers

CATALOGUE = Path(__file__).parents[2] / "catalogue"


async def test_what_a_newer_publisher_added_hides_no_item() -> None:
    """Replicas of two versions run side by side while one is rolled out."""
    item = next(iter(load(CATALOGUE)))
    record = json.loads(item.model_dump_json())
    record["queue"] = {"new": True}
    record["hours"]["holidays"] = "closed"
    view = Offers().view("127.0.0.1:1")
    assert view._decode(json.dumps(record).encode()) == item
