"""The catalogue's data and what is made of it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric, uscc

from tongban_common.catalogue import (
    Audience,
    Catalogue,
    FormRules,
    Item,
    ItemKind,
    Mode,
    ServiceHours,
    Zone,
    load_provinces,
)
from tongban_common.catalogue.models import ServiceWindow
from tongban_common.clock import CHINA
from tongban_common.domain import identity
from tongban_common.topics import PROVINCES
from tongban_ops.catalogue import code
from tongban_ops.catalogue.loader import load

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    loaded = load(ROOT / "catalogue")
    assert len(loaded) > 100, "tests that go through all items would assert nothing"
    return loaded


def test_the_cross_province_zone_has_the_published_totals(catalogue: Catalogue) -> None:
    assert catalogue.summary()["cross_province"] == {
        "provinces": 31,
        "categories": 189,
        "items": 1346,
        "query": 695,
        "handle": 594,
        "print": 57,
        "domains": 9,
    }


def test_the_other_zones_stand_beside_it(catalogue: Catalogue) -> None:
    summary = catalogue.summary()
    assert (summary["yangtze_delta"]["provinces"], summary["local"]["provinces"]) == (4, 1)
    assert summary["yangtze_delta"]["categories"] >= 40
    assert summary["local"]["items"] >= 60
    assert sum(zone["items"] for zone in summary.values()) == len(catalogue)


def test_the_domains_are_the_published_nine(catalogue: Catalogue) -> None:
    names = "社会保障 公积金 医疗卫生 档案证明 户籍办理 交管服务 税务服务 公共事业 民政服务"
    for zone in Zone:
        assert {item.domain for item in catalogue.filter(zone=zone)} == set(names.split())


@pytest.mark.parametrize(
    ("province", "name", "kind"),
    [
        ("340000", "社保缴费证明", ItemKind.PRINT),
        ("130000", "社保关系转移", ItemKind.HANDLE),
        ("510000", "社保卡激活", ItemKind.HANDLE),
        ("370000", "社保卡激活", ItemKind.HANDLE),
        ("510000", "社保卡临时挂失", ItemKind.HANDLE),
        ("370000", "社保卡临时挂失", ItemKind.HANDLE),
        ("460000", "无犯罪记录证明", ItemKind.PRINT),
        ("140000", "无犯罪记录证明", ItemKind.PRINT),
        ("320000", "医保账户查询", ItemKind.QUERY),
        ("320000", "医保账户打印", ItemKind.PRINT),
    ],
)
def test_the_published_cases_are_on_offer(
    catalogue: Catalogue, province: str, name: str, kind: ItemKind
) -> None:
    offered = [item for item in catalogue.filter(province=province) if item.name == name]
    assert [item.kind for item in offered] == [kind]
    assert offered[0].printable is (kind is ItemKind.PRINT)


def test_hebei_leads_the_transfer_to_shanghai(catalogue: Catalogue) -> None:
    (item,) = (
        item
        for item in catalogue.filter(province="130000")
        if item.category == "social_insurance_transfer"
    )
    assert (item.mode, item.partner) == (Mode.JOINT, "310000")
    assert item.example_form["from_province"] == "河北省"
    assert item.example_form["to_province"] == "上海市"


def test_a_transfer_goes_where_the_partner_is(catalogue: Catalogue) -> None:
    transfers = [
        (item, item.form["properties"]["to_province"])
        for item in catalogue
        if item.partner and item.form["properties"].get("to_province")
    ]
    assert transfers
    for item, target in transfers:
        assert item.partner
        assert target["enum"] == [catalogue.provinces[item.partner].name], item.title


def test_in_the_delta_treatment_is_in_the_delta(catalogue: Catalogue) -> None:
    delta = {catalogue.provinces[code].name for code in ("310000", "320000", "330000", "340000")}
    treatments = [
        (item, item.form["properties"]["treatment_province"])
        for item in catalogue.filter(zone="yangtze_delta")
        if item.form["properties"].get("treatment_province")
    ]
    assert treatments
    for item, treated in treatments:
        assert set(treated["enum"]) == delta - {item.province_name}


def test_item_for_companies_lists_the_business_licence_as_material(catalogue: Catalogue) -> None:
    for_companies = [item for item in catalogue if item.audience is not Audience.PERSON]
    assert for_companies
    for item in for_companies:
        assert any("营业执照" in each.name for each in item.materials), item.title


def test_a_company_is_not_founded_by_a_company(catalogue: Catalogue) -> None:
    founding = [item for item in catalogue if "company_name" in item.form["properties"]]
    assert founding
    for item in founding:
        assert item.audience is Audience.PERSON
        assert not any("营业执照" in each.name for each in item.materials), item.title


@pytest.mark.parametrize(
    ("category", "field", "value"),
    [
        ("newborn_registration", "relationship", "子女"),  # no spouse
        ("orphan_aid_application", "relationship", "孙子女"),
        ("disability_allowance_application", "allowance_kind", "困难残疾人生活补贴"),
        ("notary_application", "notary_kind", "学历公证"),
        ("sh_bike_registration", "plate_kind", "电动自行车"),
        ("sh_green_plate", "plate_kind", "小型新能源汽车"),
        ("invoice_issue", "taxpayer_kind", "自然人"),  # who may have no invoices of their own
    ],
)
def test_an_example_is_one_of_its_own_matter(
    catalogue: Catalogue, category: str, field: str, value: str
) -> None:
    found = [item for item in catalogue if item.category == category]
    assert found
    assert {item.example_form[field] for item in found} == {value}


def test_every_province_offers_something_and_has_a_gateway(catalogue: Catalogue) -> None:
    offered = Counter(item.province for item in catalogue.filter(zone="cross_province"))
    assert set(offered) == set(PROVINCES) == set(catalogue.provinces)
    assert min(offered.values()) >= 10
    assert load_provinces(ROOT / "catalogue") == catalogue.provinces
    assert catalogue.provinces["510000"].gateway.path == "/p/510000"


def test_every_example_is_valid(catalogue: Catalogue) -> None:
    for item in catalogue:
        assert not list(FormRules(item.form).faults(item.example_form)), item.code
        assert item.form["additionalProperties"] is False
        assert item.example_form.keys() == item.form["properties"].keys()
        applicant = item.example_applicant
        assert item.audience.admits(applicant["type"])
        person = applicant.get("agent", applicant)
        # Not only by our own rules: a library that knows nothing of them agrees.
        assert ric.is_valid(person["id_number"]), item.code
        assert not identity.resident_id_problems(person["id_number"])
        assert not identity.mobile_problems(person["phone"])
        if applicant["type"] == "company":
            assert uscc.is_valid(applicant["uscc"])


def test_examples_are_nobodys(catalogue: Catalogue) -> None:
    for item in catalogue:
        applicant = item.example_applicant
        person = applicant.get("agent", applicant)
        assert person["id_number"][2:6] == "0000"
        assert person["phone"].startswith("1380000")
        if applicant["type"] == "company":
            assert applicant["uscc"][8:12] == "0000"


def test_an_item_survives_the_topic(catalogue: Catalogue) -> None:
    for item in catalogue:
        assert Item.from_record(item.model_dump_json().encode()) == item


def test_a_record_of_a_newer_publisher_can_be_read(catalogue: Catalogue) -> None:
    item = next(iter(catalogue))
    record = item.model_dump()
    record["new_in_2027"] = True
    record["limits"]["also_new"] = 3
    newer = Item.model_construct(**record).model_dump_json(warnings=False).encode()
    assert Item.from_record(newer) == item


def test_loading_is_repeatable(catalogue: Catalogue) -> None:
    assert list(load(ROOT / "catalogue")) == list(catalogue)


def test_put_takes_only_what_is_newer(catalogue: Catalogue) -> None:
    item = next(iter(catalogue))
    own = Catalogue([item])
    assert not own.put(item.model_copy(update={"name": "同一版本"}))
    newer = item.model_copy(update={"name": "新的名称", "version": item.version + 1})
    assert own.put(newer)
    assert not own.put(item)
    assert own.get(item.code) == newer
    assert own.search("新的名称") == [newer]
    assert own.search(item.name) == []
    own.remove(item.code)
    own.remove(item.code)
    assert len(own) == 0
    assert own.search("新的名称") == []


def test_filters_narrow(catalogue: Catalogue) -> None:
    found = catalogue.filter(zone="cross_province", province="340000", kind="print")
    assert found
    assert all(item.province == "340000" and item.kind is ItemKind.PRINT for item in found)
    assert [item.usage for item in found] == sorted((i.usage for i in found), reverse=True)
    companies = {item.audience for item in catalogue.filter(audience="company")}
    assert companies == {Audience.COMPANY, Audience.BOTH}
    with pytest.raises(ValueError, match="moon"):
        catalogue.filter(zone="moon")


# --- codes


def test_codes_are_unique_and_tell_their_province(catalogue: Catalogue) -> None:
    for item in catalogue:
        assert code.parse(item.code).region == item.province
    assert len({item.code for item in catalogue}) == len(catalogue)


BASIC = st.builds(
    str.__add__, st.sampled_from(sorted(code.TYPES)), st.from_regex(r"[0-9]{8}", fullmatch=True)
)


@given(region=st.sampled_from(PROVINCES), basic=BASIC)
def test_a_code_comes_apart_as_it_was_made(region: str, basic: str) -> None:
    made = code.make(region, basic)
    parts = code.parse(made)
    assert (parts.region, parts.basic, str(parts)) == (region, basic, made)


@given(
    region=st.sampled_from(PROVINCES),
    basic=BASIC,
    at=st.integers(0, code.CODE_LENGTH - 1),
    by=st.integers(1, 9),
)
def test_every_mistyped_digit_is_noticed(region: str, basic: str, at: int, by: int) -> None:
    made = code.make(region, basic)
    wrong = made[:at] + str((int(made[at]) + by) % 10) + made[at + 1 :]
    with pytest.raises(ValueError, match="check digit"):
        code.parse(wrong)


@pytest.mark.parametrize("wrong", ["", "3100002014001000", "31000020140010００1", "a" * 17])
def test_malformed_code_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="17 digits"):
        code.parse(wrong)


def test_a_type_of_matter_that_is_not_done_on_application_is_refused() -> None:
    with pytest.raises(ValueError, match="no type of matter"):
        code.parse(code.make("310000", "0214001000"))


# --- service hours

HOURS = ServiceHours(
    text="工作日",
    text_en="Weekdays",
    windows=(
        ServiceWindow(days=(1, 2, 3, 4, 5), opens="09:00", closes="11:30"),
        ServiceWindow(days=(1, 2, 3, 4, 5), opens="13:30", closes="17:00"),
    ),
)


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-03-02T09:00", "2026-03-02T09:00"),  # a Monday, opening
        ("2026-03-02T08:59", "2026-03-02T09:00"),
        ("2026-03-02T11:30", "2026-03-02T13:30"),  # closing is exclusive
        ("2026-03-02T16:59", "2026-03-02T16:59"),
        ("2026-03-02T17:00", "2026-03-03T09:00"),
        ("2026-03-06T18:00", "2026-03-09T09:00"),  # over the week-end
    ],
)
def test_service_hours_open_when_they_say(at: str, opens: str) -> None:
    moment = datetime.fromisoformat(at).replace(tzinfo=CHINA)
    wanted = datetime.fromisoformat(opens).replace(tzinfo=CHINA)
    assert HOURS.next_opening(moment) == wanted
    assert HOURS.is_open(moment) is (moment == wanted)


def test_no_windows_is_round_the_clock() -> None:
    always = ServiceHours(text="全天", text_en="Always")
    night = datetime(2026, 3, 1, 3, tzinfo=CHINA)
    assert always.is_open(night)
    assert always.next_opening(night) == night


@pytest.mark.parametrize(
    ("schema", "value", "valid"),
    [
        ({"format": "date"}, "2026-02-28", True),
        ({"format": "date"}, "2026-02-29", False),
        ({"format": "date"}, "20260228", False),
        ({"format": "date"}, "2026-W09-1", False),
        ({"format": "date"}, "2026-3-1", False),
        ({"format": "date"}, "2026-03-01\n", False),
        ({"format": "date"}, "２０２６-03-01", False),
        ({"format": "date"}, "2026-02-30", False),
        ({"format": "year-month"}, "2026-W1", False),
        ({"format": "email"}, "a@b.cn", True),
        ({"format": "email"}, "a@b", False),
        ({"pattern": "^[0-9]{12,19}$"}, "6222000000000000001", True),
        ({"pattern": "^[0-9]{12,19}$"}, "6222000000000000001\n", False),
        ({"pattern": "^[0-9]{3}$"}, "１２３", False),
        ({"type": "number", "multipleOf": 0.01}, 1200.5, True),
        ({"type": "number", "multipleOf": 0.01}, 1e-7, False),
        ({"type": "number", "multipleOf": 0.01}, 1.234, False),
        ({"type": "number", "multipleOf": 0.01}, 1e5, True),
        ({"type": "number", "maximum": 9}, float("inf"), False),
        ({"type": "number"}, "5", False),
        ({"type": "number"}, True, False),
        ({"type": "integer"}, True, False),
        ({"type": "integer"}, 1.5, False),
        ({"format": "year-month"}, "2026-12", True),
        ({"format": "year-month"}, "2026-13", False),
        ({"format": "mobile"}, "13800001234", True),
        ({"format": "mobile"}, "23800001234", False),
        ({"format": "resident-id"}, "310000199003070011", False),
        ({"format": "credit-code"}, "91110000600037341L", True),
        ({"format": "credit-code"}, "91110000600037341A", False),
        ({"format": "mobile"}, 5, True),  # formats are about strings
    ],
)
def test_formats_are_asserted(schema: dict[str, str], value: object, valid: bool) -> None:
    rules = FormRules(schema)
    assert rules.accepts(value) is valid
    assert (not list(rules.faults(value))) is valid


PLATES = FormRules(
    next(
        item.form["properties"]["plate_number"]
        for item in load(ROOT / "catalogue")
        if "plate_number" in item.form["properties"]
    )
)


@pytest.mark.parametrize(
    "plate",
    [
        "沪X1234应急",
        "皖A00001", "沪AQ7W9X", "京A1234挂", "沪B1234学", "沪A1234警", "粤Z1234港", "粤Z12A4澳",
        "沪A1234领",
        "沪AD12345", "沪AF12345", "沪ADA1234", "京AA12345", "沪A12345D", "川GK01234",
    ],
)  # fmt: skip
def test_plates_of_ga_36_are_accepted(plate: str) -> None:
    assert PLATES.accepts(plate)


@pytest.mark.parametrize(
    "plate",
    [
        "", "沪A1234", "沪A123456", "沪A1I345", "沪AO1234", "沪a12345", "沪A 12345", "沪A·12345",
        "沪X12345应急",
        "港A12345", "沪112345", "沪A挂1234", "沪A12345挂", "沪A1234试", "沪AL12345", "沪A12345L",
        "皖A00001\n",
        "使123456",
    ],
)  # fmt: skip
def test_malformed_plate_is_refused(plate: str) -> None:
    assert not PLATES.accepts(plate)
