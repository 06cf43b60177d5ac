"""What intake accepts as values: in every field of a body, and what it makes of them."""

from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tongban_common.catalogue import Item
from tongban_intake.http.body import canonical, parse_object
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.submission.checks import Checker, Submission
from tongban_ops.catalogue.loader import load

TODAY = date(2026, 3, 2)
CATALOGUE = load(Path(__file__).parents[4] / "catalogue")


class Offered:
    complete = True

    def get(self, code: str) -> Item | None:
        return ITEMS.get(code)


def item_with(**properties: dict[str, Any]) -> Item:
    item = next(each for each in CATALOGUE if each.audience == "person")
    form = {
        "type": "object",
        "properties": properties,
        "required": [],
        "additionalProperties": False,
    }
    return item.model_copy(update={"form": form, "code": "1" * 17})


FIELDS = {
    field: next(
        item.form["properties"][field] for item in CATALOGUE if field in item.form["properties"]
    )
    for field in (
        "bank_account", "amount_yuan", "start_date", "year_month", "year", "spouse_name", "reason",
        "business_scope", "spouse_id_number", "plate_number",
    )
}  # fmt: skip
COMPANY_ITEM = next(item for item in CATALOGUE if item.audience == "company")
ITEMS = {"1" * 17: item_with(**FIELDS), COMPANY_ITEM.code: COMPANY_ITEM}
CHECKER = Checker(Offered())


def body(**form: Any) -> dict[str, Any]:
    item = ITEMS["1" * 17]
    return {
        "item_code": item.code,
        "channel": "self_service",
        "applicant": {**item.example_applicant, "email": "a@b.cn"},
        "form": form,
    }


def errors_of(sent: dict[str, Any]) -> dict[str, str]:
    try:
        CHECKER.check(sent, today=TODAY)
    except ProblemError as problem:
        assert problem.kind is Kind.INVALID
        assert problem.errors
        return {error.pointer: error.message.zh + error.message.en for error in problem.errors}
    return {}


def checked(sent: dict[str, Any]) -> Submission:
    return CHECKER.check(sent, today=TODAY)[0]


def test_body_without_fault_is_accepted() -> None:
    assert errors_of(body()) == {}


@pytest.mark.parametrize(
    "text",
    ["张\u202e三", "\u200b", "\u3164", "\u0301", "张\u000b三", "张\x00", "张\uffff三", "张\ue000"],
)
def test_unfit_text_is_refused_in_every_field_that_takes_text(text: str) -> None:
    for path in (
        ("applicant", "name"), ("applicant", "id_number"), ("applicant", "phone"),
        ("applicant", "email"), ("assistant",), ("item_code",), ("channel",),
        ("form", "spouse_name"), ("form", "reason"), ("form", "business_scope"),
        ("form", "bank_account"), ("form", "start_date"), ("form", "no_such_field"), ("print",),
    ):  # fmt: skip
        sent = body()
        parent: Any = sent
        for step in path[:-1]:
            parent = parent[step]
        parent[path[-1]] = text
        assert "/" + "/".join(path) in errors_of(sent), path


def test_unfit_text_of_a_company_and_its_agent_is_refused() -> None:
    sent = {
        "item_code": COMPANY_ITEM.code,
        "channel": "self_service",
        "applicant": copy.deepcopy(COMPANY_ITEM.example_applicant),
        "form": COMPANY_ITEM.example_form,
    }
    assert errors_of(sent) == {}
    sent["applicant"]["name"] = "上海\u2067示例"
    sent["applicant"]["agent"]["name"] = "\u2800"
    assert set(errors_of(sent)) == {"/applicant/name", "/applicant/agent/name"}


def test_unfit_field_name_is_reported_at_its_object() -> None:
    assert "/form" in errors_of(body(**{"a\u202eb": 1}))


@pytest.mark.parametrize("name", ["王\u064b", "རི", "买买提·吐尔逊", "𠮷田", "㛃", "葛\U000e0100"])
def test_names_of_minorities_and_rare_characters_are_accepted(name: str) -> None:
    sent = body(spouse_name=f"{name}{name}")
    sent["applicant"]["name"] = name
    read = checked(sent)
    assert (read.applicant.name, read.form["spouse_name"]) == (name, f"{name}{name}")


def test_names_are_kept_in_normalisation_form_c_and_the_body_keeps_its_digest() -> None:
    sent = body(reason="re\u0301union familiale")
    sent["applicant"]["name"] = "Rene\u0301"
    before = canonical(sent)
    read = checked(sent)
    assert (read.applicant.name, read.form["reason"]) == ("Ren\u00e9", "r\u00e9union familiale")
    assert canonical(sent) == before


def test_line_breaks_are_for_fields_of_several_lines() -> None:
    assert errors_of(body(business_scope="日用百货；\r\n信息咨询")) == {}
    assert checked(body(business_scope="一二\r\n三四")).form["business_scope"] == "一二\n三四"
    assert "一行" in errors_of(body(reason="因工作\n变动"))["/form/reason"]
    assert "/form/spouse_name" in errors_of(body(spouse_name="李\n样本"))


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("bank_account", "6222000000000000001", True),
        ("bank_account", "6222000000000000001\n", False),
        ("bank_account", 6222000000000000001, False),
        ("bank_account", "６２２２０００００００００００００１", False),
        ("start_date", "2026-03-01", True),
        ("start_date", "2026-W09-1", False),
        ("start_date", "20260301", False),
        ("start_date", "2026-02-30", False),
        ("start_date", "2026-3-1", False),
        ("start_date", "2026-03-01T00:00:00", False),
        ("year_month", "2026-13", False),
        ("year_month", "2026-03\n", False),
        ("amount_yuan", 1200.5, True),
        ("amount_yuan", 1200.55, True),
        ("amount_yuan", 1e5, True),
        ("amount_yuan", 1e-7, False),
        ("amount_yuan", 1.234, False),
        ("amount_yuan", -1, False),
        ("amount_yuan", float("inf"), False),
        ("amount_yuan", 1e300, False),
        ("amount_yuan", "1200.50", False),
        ("amount_yuan", True, False),
        ("year", 2025, True),
        ("year", 2025.5, False),
        ("year", True, False),
        ("year", "2025", False),
        ("year", 10**18, False),
        ("reason", "  ", False),
        ("spouse_id_number", "32000019950406826x", False),
    ],
)  # fmt: skip
def test_values_are_judged_by_the_schema_alone(field: str, value: Any, accepted: bool) -> None:
    assert set(errors_of(body(**{field: value}))) == (set() if accepted else {f"/form/{field}"})


def test_numbers_have_one_spelling() -> None:
    read = checked(body(year=2025.0, amount_yuan=-0.0)).form
    assert orjson.dumps(read) == b'{"year":2025,"amount_yuan":0.0}'


def test_decimals_are_reported_in_decimal_notation() -> None:
    assert "最多2位小数" in errors_of(body(amount_yuan=1.234))["/form/amount_yuan"]


@given(st.integers(0, 10**10))
def test_every_amount_in_fen_is_accepted(fen: int) -> None:
    assert errors_of(body(amount_yuan=fen / 100)) == {}


def test_first_fault_of_each_field_is_reported() -> None:
    sent = body(bank_account="1\u200b", amount_yuan=1.234, year=float("inf"))
    sent["applicant"]["name"] = "\u200b"
    sent["applicant"]["phone"] = "1"
    assert set(errors_of(sent)) == {
        "/applicant/name", "/applicant/phone", "/form/bank_account", "/form/amount_yuan",
        "/form/year",
    }  # fmt: skip


# --- supplements


def supplement_errors(item: Item | None, form: dict[str, Any]) -> set[str]:
    try:
        CHECKER.supplement(item, form)
    except ProblemError as problem:
        return {error.pointer for error in problem.errors}
    return set()


def test_supplement_is_checked_by_the_rules_of_its_fields() -> None:
    item = ITEMS["1" * 17]
    assert supplement_errors(item, {"year": 2025}) == set()
    assert supplement_errors(item, {"year": "2025"}) == {"/form/year"}
    assert supplement_errors(item, {"bank_account": "6222000000000000001\n"}) == {
        "/form/bank_account"
    }
    assert supplement_errors(item, {"other": "第一行\n第二行", "more": {"a": ["b"]}}) == set()
    assert supplement_errors(item, {"other": {"a": ["张\u000b"]}}) == {"/form/other/a/0"}
    assert supplement_errors(item, {"other": float("inf")}) == {"/form/other"}
    assert supplement_errors(None, {"other": "\u202e"}) == {"/form/other"}
    assert CHECKER.supplement(None, {"remark": "e\u0301"}) == {"remark": "\u00e9"}


def test_supplement_that_one_validator_refuses_is_never_accepted() -> None:
    """Also where the schema gives no reason; rules about the whole form do not apply."""
    item = item_with(year=FIELDS["year"])
    form = {**item.form, "minProperties": 2, "properties": {"remark": {"not": {}}}}
    closed = item.model_copy(update={"code": "2" * 17, "form": form})
    assert supplement_errors(closed, {"remark": "x"}) == {"/form/remark"}
    assert supplement_errors(closed, {"other": "x"}) == set()


# --- JSON as it arrives


def refused(raw: bytes | str) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        parse_object(raw.encode() if isinstance(raw, str) else raw)
    return caught.value


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ('{"a": 1, "a": 2}', "twice"),
        ('{"form": {"a": 1, "b": 2, "\\u0061": 3}}', "twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ('{"a": 01}', "No valid JSON"),
        ('{"a": "tab\there"}', "No valid JSON"),
        ('{"a": 1,}', "No valid JSON"),
        ("\ufeff{}", "UTF-8"),
        ('{"a": "\u5f20"}'.encode("gbk"), "UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-8"),
        ('{"a": 1}'.encode("utf-32"), "UTF-8"),
        ("[1]", "object"),
        ("", "No valid JSON"),
        ('{"a":' * 100_000, "deep"),
        ('{"a":' + "[" * 5000 + "]" * 5000 + "}", "deep"),
    ],
)  # fmt: skip
def test_json_that_readers_take_differently_is_malformed(raw: bytes | str, said: str) -> None:
    problem = refused(raw)
    assert problem.kind is Kind.MALFORMED
    assert problem.detail is not None
    assert said in problem.detail.en
    assert problem.response("zh").status_code == 400


def test_half_of_a_surrogate_pair_is_reported_at_its_field() -> None:
    raw = '{"applicant": {"name": "\\ud842"}, "a/b": ["\\udfb7\\ud842"], "x": {"\\ud800": 1}}'
    problem = refused(raw)
    assert problem.kind is Kind.INVALID
    assert [error.pointer for error in problem.errors] == ["/applicant/name", "/a~1b/0", "/x"]
    assert problem.response("en").status_code == 422
    assert parse_object(b'{"name": "\\ud842\\udfb7"}') == {"name": "𠮷"}


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 400, "123456789012345678901234567890"])
def test_number_beyond_all_types_names_its_field(number: str) -> None:
    raw = json.dumps(body(amount_yuan=0)).replace('"amount_yuan": 0', f'"amount_yuan": {number}')
    sent = parse_object(raw.encode())
    canonical(sent)
    assert set(errors_of(sent)) == {"/form/amount_yuan"}


# --- what is accepted can be carried

TEXTS = st.text(st.characters(codec=None), max_size=6) | st.sampled_from(
    ["王\u064b", "a\r\nb", "རི"]
)
VALUES = st.recursive(
    TEXTS | st.integers() | st.floats() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def into_xml(value: Any) -> None:
    if isinstance(value, dict):
        for name, each in value.items():
            into_xml(name)
            into_xml(each)
    elif isinstance(value, list):
        for each in value:
            into_xml(each)
    elif isinstance(value, str):
        element = etree.Element("value")
        element.text = value
        assert (etree.fromstring(etree.tostring(element)).text or "") == value


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_accepted_text_can_be_carried_by_xml_and_json(form: dict[str, Any]) -> None:
    try:
        accepted = CHECKER.supplement(None, form)
    except ProblemError as problem:
        problem.response("zh")
        return
    into_xml(accepted)
    assert orjson.loads(orjson.dumps(accepted)) == accepted
    assert CHECKER.supplement(None, accepted) == accepted


def test_every_items_examples_are_accepted_as_they_are() -> None:
    offered = {item.code: item for item in CATALOGUE}

    class All(Offered):
        def get(self, code: str) -> Item | None:
            return offered.get(code)

    checker = Checker(All())
    for item in CATALOGUE:
        sent = {
            "item_code": item.code,
            "channel": "self_service",
            "applicant": item.example_applicant,
            "form": item.example_form,
        }
        read, _ = checker.check(sent, today=TODAY)
        assert read.form == item.example_form, item.code
