"""What a person types at the page, cleaned by the kind of its field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tongban_common.catalogue import FormRules
from tongban_intake.kiosk import cleaning, fields
from tongban_ops.catalogue.loader import load

CATALOGUE = load(Path(__file__).parents[4] / "catalogue")
SCHEMAS: dict[str, dict[str, Any]] = {
    name: schema for item in CATALOGUE for name, schema in item.form["properties"].items()
}
TYPED = st.text(max_size=24) | st.text(
    st.sampled_from("0189０１８９xXｘ -－—·./年月日元,，￥¥+京沪挂aA\t\n\u3000\u200b()（）。@"),
    max_size=20,
)


@pytest.mark.parametrize(
    ("field", "typed", "clean"),
    [
        ("spouse_id_number", "34000019870224608x", "34000019870224608X"),
        ("spouse_id_number", "320000 19950406 8267", "320000199504068267"),
        ("relative_id_number", "３２００００１９９５０４０６８２６７", "320000199504068267"),
        ("spouse_id_number", " 320000-19950406-8267\n", "320000199504068267"),
        ("contact_mobile", "138 0000 1234", "13800001234"),
        ("contact_mobile", "138-0000-1234", "13800001234"),
        ("contact_mobile", "+86 138 0000 1234", "13800001234"),
        ("contact_mobile", "１３８００００１２３４", "13800001234"),
        ("bank_account", "6222 0000 0000 0000 001", "6222000000000000001"),
        ("bank_account", "6222－0000－0000－0000－001", "6222000000000000001"),
        ("employer_uscc", "91 310000 000010241 6", "913100000000102416"),
        ("organization_uscc", "913100ｍａ00102416", "913100MA00102416"),
        ("plate_number", "皖a·00001", "皖A00001"),
        ("plate_number", "沪Ａ-Ｄ１２３４５", "沪AD12345"),
        ("plate_number", "粤z 1234 港", "粤Z1234港"),
        ("social_card_number", "a12345678", "A12345678"),
        ("certificate_number", "2025—0001234", "2025-0001234"),
        ("certificate_number", "Ab-0001234", "Ab-0001234"),
        ("library_card_number", "sh- 0001234", "sh-0001234"),
        ("vin_tail", "a1 23 45", "A12345"),
        ("decision_number", "3101 0119 0000 001", "310101190000001"),
        ("start_date", "2026-3-1", "2026-03-01"),
        ("start_date", "２０２６年３月１日", "2026-03-01"),
        ("start_date", "2026/03/01", "2026-03-01"),
        ("start_date", "20260301", "2026-03-01"),
        ("year_month", "2026年3月", "2026-03"),
        ("year_month", "202603", "2026-03"),
        ("amount_yuan", "￥1,200.50元", "1200.50"),
        ("amount_yuan", "１２００．５", "1200.5"),
        ("amount_yuan", "1,5", "1,5"),
        ("amount_yuan", "1 200", "1200"),
        ("year", "２０２５ ", "2025"),
        ("spouse_name", " 李 样本　", "李 样本"),
        ("reason", "ＡＢＣ公司－变动", "ＡＢＣ公司－变动"),
    ],
)  # fmt: skip
def test_value_is_cleaned_by_its_kind(field: str, typed: str, clean: str) -> None:
    assert cleaning.value(typed, SCHEMAS[field]) == clean


@given(st.sampled_from(sorted(SCHEMAS)), TYPED)
@example("contact_mobile", "868613800001234")
@example("amount_yuan", "元元")
def test_cleaning_is_idempotent(field: str, typed: str) -> None:
    once = cleaning.value(typed, SCHEMAS[field])
    assert cleaning.value(once, SCHEMAS[field]) == once


@given(TYPED)
def test_cleaning_of_an_applicants_fields_is_idempotent(typed: str) -> None:
    for clean in (cleaning.number, cleaning.mobile, cleaning.email, cleaning.line):
        assert clean(clean(typed)) == clean(typed)


@given(st.sampled_from([name for name in SCHEMAS if "pattern" in SCHEMAS[name]]), st.data())
def test_valid_code_is_never_changed(field: str, data: st.DataObject) -> None:
    schema = SCHEMAS[field]
    value = data.draw(st.from_regex(schema["pattern"].replace("$", r"\Z")))
    assume(FormRules(schema).accepts(value))
    assert cleaning.value(value, schema) == value


def test_every_example_is_clean() -> None:
    examples = [
        (field, schema, value)
        for field, schema in SCHEMAS.items()
        for value in schema["examples"]
        if isinstance(value, str)
    ]
    assert examples
    for field, schema, value in examples:
        assert cleaning.value(value, schema) == value, field


def test_no_input_cuts_what_cleaning_would_shorten() -> None:
    bounded = [
        (field.longest, item.form["properties"][field.name.removeprefix("form.")])
        for item in CATALOGUE
        for field in fields.form_fields(item, {}, {})
        if field.longest is not None
    ]
    assert bounded
    for longest, schema in bounded:
        assert longest >= 2 * schema["maxLength"]
        assert not cleaning.is_code(schema)
    for field in (*fields.person_fields({}, {}, under="applicant"), *fields.company_fields({}, {})):
        assert field.longest is None or field.longest >= 64


def test_applicant_is_cleaned_wherever_it_stands() -> None:
    posted = {
        "applicant.type": ["company"],
        "applicant.company.name": [" 上海示例科技有限公司 "],
        "applicant.company.uscc": ["９１３１００００ 0000 10241-6"],
        "applicant.agent.name": ["张三　"],
        "applicant.agent.id_type": ["resident_id"],
        "applicant.agent.id_number": ["31010119900307867ｘ"],
        "applicant.agent.phone": ["+86 138-0000-1234"],
        "applicant.agent.email": ["zhang＠example。cn"],
    }
    wanted = {
        "type": "company",
        "name": "上海示例科技有限公司",
        "uscc": "913100000000102416",
        "agent": {
            "name": "张三",
            "id_type": "resident_id",
            "id_number": "31010119900307867X",
            "phone": "13800001234",
            "email": "zhang@example.cn",
        },
    }
    assert fields.read_applicant(posted) == wanted
    item = next(item for item in CATALOGUE if item.audience == "company")
    shown = fields.cleaned(item, posted)
    assert shown["applicant.company.uscc"] == ["913100000000102416"]
    assert fields.read_applicant(shown) == wanted
