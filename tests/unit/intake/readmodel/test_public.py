"""What anyone who holds a sheet's code is told: enough to compare, nothing that names a person."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from tongban_intake.http.limits import AnonymousRates, KioskSlots
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.readmodel import public

PERSON = {
    "type": "person", "name": "张三", "id_type": "resident_id",
    "id_number": "310101199003078615", "phone": "13800001234", "email": "zhang@example.cn",
}  # fmt: skip
COMPANY = {
    "type": "company",
    "name": "上海某某贸易有限公司",
    "uscc": "91310000MA1FL0000X",
    "agent": PERSON,
}


def facts(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"facts": [{"label": label, "value": value} for label, value in pairs]}


@pytest.mark.parametrize(
    ("name", "masked"),
    [("张三", "张*"), ("欧阳走远", "欧***"), ("王", "王*"), ("Ann Lee", "A******")],
)
def test_name_shows_its_first_character_alone(name: str, masked: str) -> None:
    assert public.masked_name(name) == masked


def test_holder_of_a_sheet_is_masked() -> None:
    assert public.holder(PERSON) == {"holder": "张*", "holder_number": "310*************15"}
    told = public.holder(COMPANY)
    assert told == {"holder": "上海******公司", "holder_number": "913*************0X"}
    assert public.masked_number("E123") == "***3"


def test_figures_are_amounts_periods_and_conclusions() -> None:
    found = public.figures(
        facts(
            ("累计缴费", "36个月"),
            ("账户余额", "¥12,345.67元"),
            ("缴费起止", "2023-01 至 2026-02"),
            ("核查结果", "信息一致，记录有效"),
            ("参保地", "合肥市"),
        ),
        PERSON,
    )
    assert [each["label"] for each in found] == ["累计缴费", "账户余额", "缴费起止", "核查结果"]
    assert found[1]["value"] == "¥12,345.67元"


def test_no_more_than_five_figures_are_told() -> None:
    assert len(public.figures(facts(*[(f"第{n}项", "1元") for n in range(9)]), PERSON)) == 5


@pytest.mark.parametrize("applicant", [PERSON, COMPANY], ids=["person", "company"])
@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("姓名", "张三"),
        ("身份证号码", "310101199003078615"),
        ("核查结果", "310101199003078615"),
        ("办理结果", "３１０１０１１９９００３０７８６１５"),
        ("联系电话", "13800001234"),
        ("账号", "1"),
        ("出生日期", "1990-03-07"),
        ("结果", "卡 6222 0200 1234 5678"),
        ("核查结果", "配偶李四的情况" * 20),
        ("备注", "张三的说明"),
    ],
)
def test_figure_that_identifies_a_person_is_left_out(
    label: str, value: str, applicant: dict[str, Any]
) -> None:
    assert public.figures(facts((label, value)), applicant) == []


def test_applicant_in_a_conclusion_is_masked() -> None:
    (found,) = public.figures(facts(("审查结论", "经核查，张三无犯罪记录")), PERSON)
    assert found["value"] == "经核查，张*无犯罪记录"


def asks(address: str) -> Request:
    return Request(
        {"type": "http", "method": "GET", "path": "/", "headers": [], "client": (address, 1)}
    )


def test_stranger_is_limited_by_address_and_all_of_them_together() -> None:
    now = [0.0]
    rates = AnonymousRates(1, 3, all_rate=1, all_burst=10, monotonic=lambda: now[0])

    def let_through(address: str) -> int:
        count = 0
        try:
            for _ in range(20):
                rates.take(asks(address))
                count += 1
        except ProblemError as problem:
            assert problem.kind is Kind.TOO_MANY
            assert problem.retry_after == 1
        return count

    assert let_through("192.0.2.1") == 3
    assert let_through("2001:db8::1") == 3
    assert let_through("2001:db8::ffff") == 0, "the same customer's network"
    assert [let_through(f"192.0.2.{n}") for n in (2, 3, 4)] == [3, 1, 0]
    now[0] += 100
    assert let_through("192.0.2.1") == 3


def test_one_kiosk_takes_no_more_places_than_are_its_own() -> None:
    slots = KioskSlots(2)
    with slots.hold("a"), slots.hold("a"):
        with pytest.raises(ProblemError) as full, slots.hold("a"):
            pass
        assert full.value.kind is Kind.UNAVAILABLE
        with slots.hold("b"):
            pass
    with slots.hold("a"):
        pass
