"""Generate fictional applicants for the examples of items.

Their ID numbers pass GB 11643 but are never issued: the address code is that of a whole province,
and real numbers carry the code of a county. Company codes pass GB 32100 with a subject number of GB
11714 that begins with 0000. Phone numbers lie in 1380000xxxx.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from zlib import crc32

from stdnum.cn import ric, uscc

from tongban_common.catalogue.models import Audience, Province

_NAMES = (
    "张三", "李四", "王五", "赵六", "钱小七", "孙小九", "周例", "吴示例", "郑样本", "陈示范",
    "林小例", "黄一一", "何二二", "郭三三", "罗四四", "梁五五", "宋六六", "唐七七", "许八八",
    "邓九九", "冯大例", "韩小样", "曹㛃", "欧阳示例", "阿依古丽·示例", "才让·示例",
)  # fmt: skip
_BIRTHS = date(1958, 1, 1), date(2005, 12, 31)
"""Range of birth dates: adults who do not reach a hundred years soon."""
_YOUNG_PROVINCES = {"460000": date(1989, 1, 1), "500000": date(1998, 1, 1)}
"""Earliest birth dates in Hainan and Chongqing: some checkers refuse people who are older than the
code of their province."""
_SUBJECT_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


def applicant(code: str, audience: Audience, province: Province) -> dict[str, Any]:
    """Return an applicant for the item `code` as intake's API expects it; deterministic."""
    seed = crc32(code.encode())
    person = _person(seed, province.code)
    if audience is not Audience.COMPANY:
        return {"type": "person", **person}
    return {
        "type": "company",
        "name": f"{province.short}示例{seed % 997:03d}商贸有限公司",
        "uscc": fictional_credit_code(seed, province.code),
        "agent": person,
    }


def _person(seed: int, province_code: str) -> dict[str, str]:
    return {
        "name": _NAMES[seed % len(_NAMES)],
        "id_type": "resident_id",
        "id_number": fictional_id_number(seed, province_code),
        "phone": f"1380000{seed % 10_000:04d}",
    }


def fictional_id_number(seed: int, province_code: str) -> str:
    """Return a resident ID number of GB 11643 that is never issued (address code of a province)."""
    first = _YOUNG_PROVINCES.get(province_code, _BIRTHS[0])
    days = (_BIRTHS[1] - first).days
    born = first + timedelta(days=seed % days)
    body = f"{province_code}{born:%Y%m%d}{1 + seed // days % 999:03d}"
    return body + ric.calc_check_digit(body + "0")


def fictional_credit_code(seed: int, province_code: str) -> str:
    """Return a unified social credit code of GB 32100 for a company (91) of the province."""
    subject = f"0000{seed % 10_000:04d}"
    total = sum(
        int(digit) * weight for digit, weight in zip(subject, _SUBJECT_WEIGHTS, strict=True)
    )
    check = "0123456789X"[(11 - total % 11) % 11]
    body = f"91{province_code}{subject}{check}"
    return body + uscc.calc_check_digit(body)
