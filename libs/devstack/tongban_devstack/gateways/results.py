"""Compose the results of completed applications: certificates and query results, in Chinese.

Everything derives from the application, so every look-up returns the same result. Words in the
item's name choose the kind of result, so a new item gets a sensible result without new code.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tongban_devstack.gateways.applications import Application
from tongban_devstack.gateways.periods import months_of
from tongban_devstack.gateways.provinces import SimulatedProvince
from tongban_devstack.gateways.seeded_random import SeededRandom

FORM_LABELS = {
    "insured_city": "参保地",
    "fund_city": "缴存地",
    "household_city": "户籍地",
    "record_place": "曾居住地",
    "insurance_kind": "险种",
    "medical_kind": "医保类型",
    "from_province": "转出地",
    "to_province": "转入地",
    "purpose": "用途",
}
"""Form fields that a result repeats, with their labels."""

_OFFICES = (
    (("医保", "医疗保险", "就医", "生育"), "医疗保障局", "医疗保障局"),
    (("公积金",), "住房公积金管理中心", "住房公积金管理中心"),
    (("无犯罪", "户口", "户籍", "身份证", "居住证", "驾驶", "机动车"), "公安厅", "公安局"),
    (("婚姻", "结婚", "低保", "殡葬", "养老服务"), "民政厅", "民政局"),
    (
        ("社保", "社会保险", "社会保障", "养老", "失业", "工伤", "参保"),
        "人力资源和社会保障厅",
        "人力资源和社会保障局",
    ),
    (("不动产", "房屋"), "自然资源厅", "规划和自然资源局"),
    (("档案",), "档案馆", "档案馆"),
)
"""Words in an item's name, the office of a province, the office in a municipality."""

Facts = list[dict[str, str]]
Table = dict[str, Any]
_Composer = Callable[[Application, datetime, SeededRandom], tuple[Facts, Table | None]]


def result_of(application: Application, province: SimulatedProvince) -> dict[str, Any]:
    """Return `{number, issuer, issued_on, facts: [{label, value}], table: {columns, rows} | None}`.

    Cells and values are strings. The application must have been decided.
    """
    decided_at = application.decided_at() or application.submitted_at
    rng = SeededRandom(application.province, application.request_id)
    serial = rng.number("serial", 0, 999_999)
    facts, table = _composer(application)(application, decided_at, rng)
    return {
        "number": f"{application.province}{decided_at:%Y%m%d}{serial:06d}",
        "issuer": _issuer(application.item_name, province),
        "issued_on": f"{decided_at:%Y-%m-%d}",
        "facts": [_fact("姓名", application.name), *_of_the_form(application), *facts],
        "table": table,
    }


def _composer(application: Application) -> _Composer:
    name = application.item_name
    if "转移" in name:
        return _transfer
    if application.kind == "handle":
        return _handled
    for words, composer in _COMPOSERS:
        if any(word in name for word in words):
            return composer
    return _plain


def _contributions(
    application: Application, decided_at: datetime, rng: SeededRandom
) -> tuple[Facts, Table]:
    """Compose pension contributions: 16 % of the base by the employer, 8 % by the employee."""
    base = rng.number("base", 60, 360) * 100
    months = months_of(application.form, decided_at)
    rows = [[month, _yuan(base), _yuan(base * 0.16), _yuan(base * 0.08)] for month in months]
    facts = [
        _fact("缴费单位", _employer(rng)),
        _fact("参保状态", "正常参保"),
        _fact("缴费月数", f"{len(rows)}个月"),
        _fact("累计缴费", f"{_yuan(base * 0.24 * len(rows))}元"),
    ]
    return facts, _table(("年月", "缴费基数", "单位缴纳", "个人缴纳"), rows)


def _medical_account(
    application: Application, decided_at: datetime, rng: SeededRandom
) -> tuple[Facts, Table]:
    """Compose movements of a medical account: income, spending, balance."""
    income = rng.number("income", 150, 600)
    balance = float(rng.number("balance", 500, 8_000))
    rows = []
    for month in months_of(application.form, decided_at):
        spent = rng.number(f"spent {month}", 0, income)
        balance += income - spent
        rows.append([month, _yuan(income), _yuan(spent), _yuan(balance)])
    facts = [_fact("账户状态", "正常"), _fact("账户余额", f"{_yuan(balance)}元")]
    return facts, _table(("年月", "划入金额", "支出金额", "账户余额"), rows)


def _housing_fund(
    application: Application, decided_at: datetime, rng: SeededRandom
) -> tuple[Facts, Table]:
    """Compose payments into a housing fund: 7 % each by employer and employee."""
    base = rng.number("base", 60, 360) * 100
    balance = float(rng.number("balance", 5_000, 90_000))
    rows = []
    for month in months_of(application.form, decided_at):
        balance += base * 0.14
        rows.append([month, _yuan(base), _yuan(base * 0.07), _yuan(base * 0.07), _yuan(balance)])
    facts = [
        _fact("缴存单位", _employer(rng)),
        _fact("账户状态", "正常缴存"),
        _fact("账户余额", f"{_yuan(balance)}元"),
    ]
    return facts, _table(("年月", "缴存基数", "单位缴存", "个人缴存", "账户余额"), rows)


def _taxes(
    application: Application, decided_at: datetime, rng: SeededRandom
) -> tuple[Facts, Table]:
    """Compose the income tax paid, month by month."""
    amounts = {
        month: rng.number(f"tax {month}", 30, 900)
        for month in months_of(application.form, decided_at)
    }
    rows = [[month, "个人所得税", _yuan(amount)] for month, amount in amounts.items()]
    facts = [_fact("实缴合计", f"{_yuan(sum(amounts.values()))}元")]
    return facts, _table(("税款所属期", "税种", "实缴金额"), rows)


def _no_criminal_record(
    application: Application, decided_at: datetime, _: SeededRandom
) -> tuple[Facts, None]:
    statement = f"经查询，截至{_date(decided_at)}，未发现{application.name}有犯罪记录。"
    return [_fact("查询结果", "无犯罪记录"), _fact("证明事项", statement)], None


def _transfer(
    application: Application, decided_at: datetime, rng: SeededRandom
) -> tuple[Facts, Table]:
    """Compose a transfer of two provinces: the lead reports its partner's steps."""
    source = application.form.get("from_province", "转出地")
    target = application.form.get("to_province", "转入地")
    began, ended = f"{application.submitted_at:%Y-%m-%d}", f"{decided_at:%Y-%m-%d}"
    rows = [
        ["受理转移申请", f"{source}经办机构", began],
        ["出具参保缴费凭证", f"{source}经办机构", began],
        ["发出联系函", f"{target}经办机构", ended],
        ["基金划转到账", f"{target}经办机构", ended],
    ]
    amount = rng.number("amount", 8_000, 160_000)
    facts = [_fact("办理结果", "转移接续已办结"), _fact("转移金额", f"{_yuan(amount)}元")]
    return facts, _table(("办理环节", "经办机构", "办结日期"), rows)


def _handled(application: Application, decided_at: datetime, _: SeededRandom) -> tuple[Facts, None]:
    facts = [
        _fact("办理事项", application.item_name),
        _fact("办理结果", "已办结"),
        _fact("办结时间", f"{decided_at:%Y-%m-%d %H:%M}"),
    ]
    return facts, None


def _plain(application: Application, decided_at: datetime, _: SeededRandom) -> tuple[Facts, None]:
    facts = [
        _fact("事项名称", application.item_name),
        _fact("核查结果", "信息一致，记录有效"),
        _fact("数据截止", _date(decided_at)),
    ]
    return facts, None


_COMPOSERS: tuple[tuple[tuple[str, ...], _Composer], ...] = (
    (("医保账户", "医疗保险账户", "医保缴费", "医保消费"), _medical_account),
    (("公积金",), _housing_fund),
    (("无犯罪",), _no_criminal_record),
    (("税",), _taxes),
    (("缴费", "参保", "社保", "社会保险", "养老保险", "失业保险"), _contributions),
)
"""The first entry with a word in the item's name composes the result."""


def _issuer(item_name: str, province: SimulatedProvince) -> str:
    if "税" in item_name:
        return f"国家税务总局{province.name}税务局"
    for words, office, in_municipality in _OFFICES:
        if any(word in item_name for word in words):
            return province.name + (in_municipality if province.name.endswith("市") else office)
    return f"{province.name}政务服务中心"


def _of_the_form(application: Application) -> Facts:
    return [
        _fact(label, application.form[name])
        for name, label in FORM_LABELS.items()
        if name in application.form
    ]


def _fact(label: str, value: str) -> dict[str, str]:
    return {"label": label, "value": value}


def _table(columns: tuple[str, ...], rows: list[list[str]]) -> Table:
    return {"columns": list(columns), "rows": rows}


def _date(at: datetime) -> str:
    return f"{at.year}年{at.month}月{at.day}日"


def _yuan(amount: float) -> str:
    return f"{amount:.2f}"


def _employer(rng: SeededRandom) -> str:
    where = ("华东", "江淮", "中原", "南方", "长城")[rng.number("place", 0, 4)]
    trade = ("机械制造", "电子科技", "餐饮管理", "物流", "建筑工程")[rng.number("trade", 0, 4)]
    return f"{where}{trade}有限公司（模拟）"
