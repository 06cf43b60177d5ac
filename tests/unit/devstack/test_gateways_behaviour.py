"""What provinces decide, when, and what they hand out: the parts that need no process."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongban_common.clock import CHINA
from tongban_common.topics import PROVINCES as CODES
from tongban_devstack.gateways.applications import Application, ApplicationState, Plan, plan
from tongban_devstack.gateways.periods import MOST, months_of
from tongban_devstack.gateways.provinces import NAMES, Manner, OpeningHours, load_provinces
from tongban_devstack.gateways.results import result_of
from tongban_ops.catalogue.loader import load as load_catalogue
from tongban_provinces.models import Result
from tongban_provinces.nonces import LIFETIME, NonceMemory
from tongban_provinces.signing import SignatureError

MONDAY = datetime(2026, 3, 2, 10, 0, tzinfo=CHINA)
CATALOGUE = Path(__file__).parents[3] / "catalogue"
PROVINCES = load_provinces()
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(  # noqa: DTZ001 - made aware
    lambda moment: moment.replace(tzinfo=CHINA)
)


def counter_of(code: str) -> OpeningHours:
    counter = PROVINCES[code].opening_hours
    assert counter is not None
    return counter


def application(**changes: object) -> Application:
    made = Application(
        province="340000",
        request_id="r-1",
        item_code="34000020140002001",
        item_name="社保缴费证明",
        kind="print",
        name="张三",
        form={},
        submitted_at=MONDAY,
        plan=Plan(MONDAY),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


# --- provinces


def test_there_are_31_provinces_of_three_manners() -> None:
    assert tuple(PROVINCES) == CODES
    manners = Counter(province.manner for province in PROVINCES.values())
    assert manners == {Manner.HONOUR: 11, Manner.REFUSE: 10, Manner.TWICE: 10}
    closing = Counter(p.manner for p in PROVINCES.values() if p.keeps_hours)
    assert set(closing) == set(Manner), "closing hours are found among all manners"
    assert sum(closing.values()) == 10
    own = Counter(p.manner for p in PROVINCES.values() if p.makes_documents)
    assert set(own) == set(Manner), "and so are documents of a province's own"


def test_the_names_in_code_are_those_of_the_catalogue(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TONGBAN_CATALOGUE", str(CATALOGUE))
    from_catalogue = load_provinces()
    monkeypatch.delenv("TONGBAN_CATALOGUE")
    monkeypatch.chdir(tmp_path)
    bare = {
        code: replace(province, opening_hours=None) for code, province in from_catalogue.items()
    }
    assert load_provinces() == bare, "the same, but round the clock"
    assert {code: province.name for code, province in from_catalogue.items()} == NAMES


# --- plans and states


def test_prompt_completes_everything_at_once() -> None:
    for number in range(200):
        for kind in ("query", "handle", "print"):
            made = plan("prompt", PROVINCES["340000"], f"r-{number}", kind, MONDAY)
            assert application(plan=made).state(MONDAY) is ApplicationState.COMPLETED


def _shares(profile: str, kind: str) -> Counter[str]:
    shares: Counter[str] = Counter()
    for number in range(4000):
        made = plan(profile, PROVINCES["120000"], f"r-{number}", kind, MONDAY)
        shares["at once"] += made.decided_at == MONDAY
        shares["supplement"] += made.supplement_at is not None
        shares["rejected"] += made.rejection is not None
    return shares


@pytest.mark.parametrize("profile", ["realistic", "demo"])
def test_one_in_twenty_lacks_something_and_three_in_a_hundred_are_rejected(profile: str) -> None:
    shares = _shares(profile, "handle")
    assert 160 < shares["supplement"] < 240
    assert 90 < shares["rejected"] < 150
    assert shares["at once"] == 0
    assert 3500 < _shares(profile, "query")["at once"] < 3700


@given(st.uuids(), st.sampled_from(["query", "handle", "print"]), MOMENTS)
def test_a_plan_is_made_once_and_kept(request_id: object, kind: str, moment: datetime) -> None:
    for profile in ("realistic", "demo"):
        made = plan(profile, PROVINCES["110000"], str(request_id), kind, moment)
        assert made == plan(profile, PROVINCES["110000"], str(request_id), kind, moment)
        # A few working days; the longest holidays are nine days, and the weekends beside them.
        longest = timedelta(minutes=40) if profile == "demo" else timedelta(days=21)
        assert moment <= made.decided_at <= moment + longest
        if kind == "handle":
            shortest = timedelta(minutes=5 if profile == "demo" else 120)
            assert made.decided_at >= moment + shortest


def test_an_application_is_decided_in_opening_hours_where_they_are_kept() -> None:
    for number in range(300):
        made = plan("realistic", PROVINCES["110000"], f"r-{number}", "handle", MONDAY)
        assert counter_of("110000").is_open(made.decided_at)


def test_a_supplement_is_waited_for_and_then_decided() -> None:
    half = timedelta(hours=1)
    waiting = application(
        plan=Plan(MONDAY + 2 * half, supplement_at=MONDAY + half, after_supplement=half)
    )
    assert waiting.state(MONDAY) is ApplicationState.ACCEPTED
    assert waiting.state(MONDAY + half) is ApplicationState.NEEDS_SUPPLEMENT
    assert waiting.state(MONDAY + 100 * half) is ApplicationState.NEEDS_SUPPLEMENT
    given_ = replace(waiting, supplemented_at=MONDAY + 10 * half)
    assert given_.state(MONDAY + 10 * half) is ApplicationState.ACCEPTED
    assert given_.state(MONDAY + 11 * half) is ApplicationState.COMPLETED


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_states_never_go_back(first: int, second: int, decided: int) -> None:
    early, late = sorted((first, second))
    at = [MONDAY + timedelta(hours=hours) for hours in (early, late, decided)]
    judged = application(plan=Plan(at[2]))
    if judged.state(at[0]) is ApplicationState.COMPLETED:
        assert judged.state(at[1]) is ApplicationState.COMPLETED
    withdrawn = replace(judged, withdrawn_at=at[0])
    assert withdrawn.state(at[1]) is judged.state(at[0])


# --- opening hours


@given(MOMENTS)
def test_the_counter_opens_next_on_a_working_day(moment: datetime) -> None:
    counter = counter_of("440000")
    opens = counter.next_open(moment)
    assert counter.is_open(opens)
    assert moment <= opens <= moment + timedelta(days=10)
    assert (opens == moment) == counter.is_open(moment)
    if opens > moment:
        assert not counter.is_open(opens - timedelta(microseconds=1))


# --- results


def test_every_item_of_the_catalogue_has_a_result_that_connectors_believe() -> None:
    items = list(load_catalogue(CATALOGUE))
    assert items
    for item in items:
        form = {name: str(value) for name, value in item.example_form.items()}
        done = application(
            province=item.province,
            item_code=item.code,
            item_name=item.name,
            kind=item.kind,
            form=form,
        )
        result = result_of(done, PROVINCES[item.province])
        assert Result.model_validate(result).model_dump() == result
        assert result == result_of(done, PROVINCES[item.province]), "the same at every look-up"
        assert PROVINCES[item.province].name in result["issuer"]
        assert {"label": "姓名", "value": "张三"} in result["facts"]
        table = result["table"]
        assert table is None or {len(row) for row in table["rows"]} == {len(table["columns"])}


@pytest.mark.parametrize(
    ("name", "kind", "issuer", "columns"),
    [
        ("社保缴费证明", "print", "安徽省人力资源和社会保障厅", "年月 缴费基数 单位缴纳 个人缴纳"),
        ("医保账户打印", "print", "安徽省医疗保障局", "年月 划入金额 支出金额 账户余额"),
        ("公积金缴存证明", "print", "安徽省住房公积金管理中心",
         "年月 缴存基数 单位缴存 个人缴存 账户余额"),
        ("完税证明", "print", "国家税务总局安徽省税务局", "税款所属期 税种 实缴金额"),
        ("社保关系转移", "handle", "安徽省人力资源和社会保障厅", "办理环节 经办机构 办结日期"),
        ("社保卡临时挂失", "handle", "安徽省人力资源和社会保障厅", None),
        ("无犯罪记录证明", "print", "安徽省公安厅", None),
        ("某事项", "query", "安徽省政务服务中心", None),
    ],
)  # fmt: skip
def test_a_result_fits_its_item(name: str, kind: str, issuer: str, columns: str | None) -> None:
    result = result_of(application(item_name=name, kind=kind), PROVINCES["340000"])
    assert result["issuer"] == issuer
    table = result["table"]
    assert (" ".join(table["columns"]) if table else None) == columns


def test_criminal_record_certificate_is_always_clean() -> None:
    result = result_of(application(item_name="无犯罪记录证明"), PROVINCES["460000"])
    statement = {"label": "证明事项", "value": "经查询，截至2026年3月2日，未发现张三有犯罪记录。"}
    assert statement in result["facts"]
    assert result["issued_on"] == "2026-03-02"


def test_an_account_adds_up() -> None:
    result = result_of(application(item_name="医保账户查询"), PROVINCES["340000"])
    rows = [[float(cell) for cell in row[1:]] for row in result["table"]["rows"]]
    assert len(rows) > 1
    for (_, _, before), (income, spent, after) in pairwise(rows):
        assert after == pytest.approx(before + income - spent)
    assert {"label": "账户余额", "value": f"{rows[-1][2]:.2f}元"} in result["facts"]


def test_the_months_are_those_that_the_form_asks_for() -> None:
    assert months_of({"period_from": "2025-11", "period_to": "2026-01"}, MONDAY) == [
        "2025-11",
        "2025-12",
        "2026-01",
    ]
    assert months_of({"account_period": "近3个月"}, MONDAY) == ["2025-12", "2026-01", "2026-02"]
    assert len(months_of({}, MONDAY)) == 12
    assert months_of({"period_from": "1990-01"}, MONDAY)[-1] == "2026-02"
    assert len(months_of({"period_from": "1990-01"}, MONDAY)) == MOST


@given(st.dictionaries(st.sampled_from(["period_from", "period_to", "account_period"]), st.text()))
def test_any_form_gives_months_up_to_now(form: dict[str, str]) -> None:
    months = months_of(form, MONDAY)
    assert months == sorted(set(months))
    assert len(months) <= MOST
    assert all(month <= "2026-03" for month in months)


# --- nonces


def test_a_nonce_is_remembered_for_its_lifetime_and_not_for_ever() -> None:
    memory = NonceMemory()
    memory.take("a" * 8, 1000.0)
    for later in (0.0, 1.0, LIFETIME - 1):
        with pytest.raises(SignatureError):
            memory.take("a" * 8, 1000.0 + later)
    for number in range(4):
        memory.take(f"other-{number}", 1000.0 + number * LIFETIME)
    memory.take("a" * 8, 1000.0 + 3 * LIFETIME)
