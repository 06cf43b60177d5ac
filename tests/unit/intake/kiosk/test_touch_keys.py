"""Which keys a field gets, and that they can type every value which its schema accepts."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

import pytest

from tongban_intake.kiosk import touch_keys
from tongban_intake.kiosk.touch_keys import of_schema
from tongban_ops.catalogue.loader import load

ROOT = Path(__file__).parents[4]
STATIC = resources.files("tongban_intake.kiosk").joinpath("static")
TYPED = {
    "digits": re.compile("[0-9]*"),
    "amount": re.compile("[0-9.]*"),
    "id": re.compile("[0-9X]*"),
    "credit": re.compile("[0-9A-HJ-NPQRTUWXY]*"),
    "code": re.compile("[0-9A-Z-]*"),
    "latin": re.compile(r"[0-9a-z@._-]*"),
}


@pytest.mark.parametrize(
    ("schema", "keys"),
    [
        ({"type": "string", "format": "mobile"}, "digits"),
        ({"type": "integer"}, "digits"),
        ({"type": "number"}, "amount"),
        ({"type": "string", "pattern": "^[0-9]{17}[0-9X]$"}, "id"),
        ({"type": "string", "pattern": "^1[3-9][0-9]{9}$"}, "digits"),
        ({"type": "string", "pattern": "^[0-9A-Z]{8,24}$"}, "code"),
        ({"type": "string", "pattern": "^[京沪][A-Z][0-9]{5}$"}, "text"),
        ({"type": "string", "format": "credit-code"}, "credit"),
        ({"type": "array", "items": {"type": "string", "maxLength": 9}}, "text"),
        ({"type": "string"}, "text"),
    ],
)
def test_keys_follow_the_kind_of_the_field(schema: dict[str, object], keys: str) -> None:
    assert of_schema(schema) == keys


def test_keys_can_type_the_example_of_every_field_of_the_catalogue() -> None:
    seen = set()
    for item in load(ROOT / "catalogue"):
        for name, schema in item.form.get("properties", {}).items():
            value = item.example_form.get(name)
            keys = of_schema(schema)
            if not isinstance(value, str | int | float) or "enum" in schema or keys == "text":
                continue
            if schema.get("format") in ("date", "year-month"):
                continue  # chosen from lists
            seen.add(keys)
            assert TYPED[keys].fullmatch(str(value)), (item.code, name, keys, value)
    assert seen >= {"digits", "code", "id"}


def test_tables_have_every_character_of_the_catalogue_and_of_a_name() -> None:
    source = STATIC.joinpath("pinyin.js").read_text("utf-8")
    table = json.loads(source[source.index("{") : source.rindex("}") + 1])
    known = set(table["chars"])
    names = {letter for item in load(ROOT / "catalogue") for letter in item.name}
    assert {each for each in names if "\u4e00" <= each <= "\u9fff"} <= known
    assert set("王欧阳喆堃昇镕珺玥祎") <= known
    readings = {line[: len(re.match("[a-z]+", line)[0])]: line for line in table["chars"].split()}  # type: ignore[index]
    assert readings["zhang"].removeprefix("zhang")[:1] in "张长"
    assert "重" in readings["chong"] and "重" in readings["zhong"]
    assert table["ours"].split()[0] in "查询 登记 信息 社保"


def test_page_with_its_keyboard_is_below_150_kb() -> None:
    longest_page = 20_000  # the form with most fields
    sizes = {file.name: len(file.read_bytes()) for file in STATIC.iterdir()}
    del sizes["desk.js"]  # on the lobby manager's desk alone
    assert sum(sizes.values()) + longest_page < 150_000, sizes


def test_kinds_of_keys_have_a_layout_each() -> None:
    script = STATIC.joinpath("keyboard.js").read_text("utf-8")
    for kind in touch_keys.Keys.__args__:  # type: ignore[attr-defined]
        assert not kind or f"\n    {kind}: [" in script, kind
