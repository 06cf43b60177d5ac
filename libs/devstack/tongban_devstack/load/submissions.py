"""Make the bodies that simulated kiosks submit."""

from __future__ import annotations

from typing import Any

from tongban_common.catalogue.models import Item


def example_body(item: Item) -> dict[str, Any]:
    """Return the body of a submission with the item's own example."""
    return {
        "item_code": item.code,
        "channel": "self_service",
        "applicant": item.example_applicant,
        "form": item.example_form,
    }
