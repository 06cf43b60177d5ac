"""Items to pages and back: what a person types is what the API would be sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tongban_common.catalogue import Item
from tongban_intake.kiosk import fields
from tongban_intake.submission.checks import Submission
from tongban_ops.catalogue.loader import load

CATALOGUE = load(Path(__file__).parents[4] / "catalogue")


def test_every_example_survives_the_page() -> None:
    """Filled in as text fields and read back, an item's examples are what they were."""
    for item in CATALOGUE:
        posted = fields.example_of(item)
        body = fields.read_submission(item, posted)
        assert body["form"] == item.example_form, item.code
        assert body["applicant"] == item.example_applicant
        Submission.model_validate(body)
        shown = [*fields.form_fields(item, posted, {})]
        assert all(field.shown for field in shown), item.code
        assert len(shown) == len(item.form["properties"])


@pytest.fixture
def item() -> Item:
    return next(iter(CATALOGUE)).model_copy(
        update={
            "form": {
                "type": "object",
                "properties": {
                    "count": {"type": "integer", "examples": [1]},
                    "share": {"type": "number"},
                    "agreed": {"type": "boolean"},
                    "many": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
                    "level": {"type": "integer", "enum": [1, 2]},
                    "day": {"type": "string", "format": "date"},
                },
                "required": ["count"],
            },
        }
    )


def test_types_are_those_of_the_schema(item: Item) -> None:
    posted = {
        "form.count": [" 12 "],
        "form.share": ["0.5"],
        "form.agreed": ["true"],
        "form.many": ["a", "b", ""],
        "form.level": ["2"],
        "form.day.y": ["2026"],
        "form.day.m": ["03"],
        "form.day.d": ["01"],
        "form.other": ["x"],
    }
    assert fields.read_form(item, posted) == {
        "count": 12,
        "share": 0.5,
        "agreed": True,
        "many": ["a", "b"],
        "level": 2,
        "day": "2026-03-01",
    }
    kinds = {field.name: field.kind for field in fields.form_fields(item, posted, {})}
    assert kinds == {
        "form.count": "text",
        "form.share": "text",
        "form.agreed": "radio",
        "form.many": "checks",
        "form.level": "radio",
        "form.day": "day",
    }


def test_malformed_number_is_left_for_the_schema_to_refuse(item: Item) -> None:
    posted = {"form.count": ["twelve"], "form.day.y": ["2026"], "form.day.m": [""]}
    assert fields.read_form(item, posted) == {"count": "twelve", "day": "2026-"}
    assert fields.read_form(item, {"form.day.y": [""], "form.day.m": [""]}) == {}


def test_errors_stand_at_their_fields(item: Item) -> None:
    errors = {"/form/many/1": "no", "/form/count": "missing"}
    found = {field.name: field.error for field in fields.form_fields(item, {}, errors)}
    assert found["form.many"] == "no"
    assert found["form.count"] == "missing"
    assert found["form.share"] is None


def test_numbers_are_taken_as_an_on_screen_keyboard_gives_them() -> None:
    posted = {
        "applicant.type": ["person"],
        "applicant.id_number": ["31010119900307 867x"],
        "applicant.phone": ["138 0000 1234"],
        "applicant.email": ["a@b.cn"],
    }
    assert fields.read_applicant(posted) == {
        "type": "person",
        "id_number": "31010119900307867X",
        "phone": "13800001234",
        "email": "a@b.cn",
    }


def test_lists_to_choose_from_have_no_hint_on_how_to_type(item: Item) -> None:
    for given, shown in (
        ("证明的第一个月，格式为年-月", "证明的第一个月"),
        ("格式为年-月-日，不早于开始日期", "不早于开始日期"),
    ):
        schema = {"type": "string", "format": "date", "description": given}
        changed = item.model_copy(update={"form": {"properties": {"day": schema}}})
        (field,) = fields.form_fields(changed, {}, {})
        assert field.hint == shown


def test_only_option_of_a_field_is_preselected() -> None:
    item = next(item for item in CATALOGUE if item.category == "social_insurance_transfer")
    shown = {field.name: field.value for field in fields.form_fields(item, {}, {})}
    assert shown["form.from_province"] == item.province_name
    assert shown["form.to_province"] == "上海市"
    assert shown["form.insurance_kind"] == ""
    asked_again = fields.form_fields(item, {}, {}, all_optional=True)
    assert not any(field.value for field in asked_again)
