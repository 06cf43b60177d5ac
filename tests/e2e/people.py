"""A person and a company like no other: what leaks of them is found."""

from __future__ import annotations

from typing import Any

from tongban_common.catalogue import Item

PERSON = {
    "type": "person",
    "name": "澹台㛃芃",
    "id_type": "resident_id",
    "id_number": "520302198209145735",
    "phone": "19847362915",
    "email": "zhu.yuan-zz71@quux-mail.cn",
}
COMPANY = {
    "type": "company",
    "name": "瑝槿鋆昶实业（上海）有限公司",
    "uscc": "91310115MA7Q093K8K",
    "agent": {
        "name": "闾丘𠮷瀚",
        "id_type": "passport",
        "id_number": "QX7301946",
        "phone": "17359028461",
        "email": "agent.qq83@quux-mail.cn",
    },
}
_ANSWERS = {
    "resident-id": "530426197506284911",
    "credit-code": "91310114MA9XW27R45",
    "mobile": "15963820174",
    "bank_account": "6228480037719264053",
    "plate_number": "沪AQ7W9X",
    "fund_account": "70291836450912",
    "social_card_number": "Q7Z93K2X8",
    "licence_file_number": "730291846503",
    "spouse_name": "亓官鑫垚",
    "relative_name": "宰父淼焱",
    "birth_name": "壤驷犇毳",
    "new_name": "漆雕骉羴",
    "child_name": "呼延鱻灥",
    "sought_name": "拓跋飍厵",
    "deceased_name": "公良晶矗",
    "legal_representative": "钟离赑屃",
    "address": "上海市静安区彧翯路7319弄46号",
    "house_address": "上海市长宁区旖旎湾8265号",
    "move_from_address": "安徽省芜湖市氤氲里5937号",
    "move_to_address": "上海市闵行区葳蕤坊6148号",
    "utility_address": "上海市虹口区潋滟弄2764号",
    "company_address": "上海市嘉定区璀璨园3852号",
    "employer_name": "霁昀骐骥机电厂七一九号",
    "hospital_name": "蘅芜杏林医院四六三号",
    "reason": "因醍醐灌顶之事需办理七三",
    "diagnosis": "罕见魑魅综合征乙型九",
}
"""What a form is filled with: by the name of the field, else by its format."""
VALUES = {
    **{
        f"person {name}": value for name, value in PERSON.items() if name not in ("type", "id_type")
    },
    "company": COMPANY["name"],
    "uscc": COMPANY["uscc"],
    **{f"agent {name}": COMPANY["agent"][name] for name in ("name", "id_number", "phone", "email")},
    **_ANSWERS,
}
"""All that must never be seen in clear, by what it is."""


_DIGITS = str.maketrans("0123456789", "０１２３４５６７８９")
_NUMERALS = str.maketrans("0123456789", "零一二三四五六七八九")
_OTHER = "濮阳麤犇"
_ID, _PHONE = PERSON["id_number"], PERSON["phone"]
SPELT = {
    "person id_number in groups": f"{_ID[:6]} {_ID[6:14]} {_ID[14:]}",
    "person id_number in full width": _ID.translate(_DIGITS),
    "person phone in groups": f"{_PHONE[:3]} {_PHONE[3:7]} {_PHONE[7:]}",
    "person phone in numerals": _PHONE.translate(_NUMERALS),
    "another's name": _OTHER,
}
"""What clerks, operators and providers write of a person in words of their own."""
TALK = (
    f"{SPELT['person id_number in groups']} {PERSON['name']} {_OTHER} "
    f"{SPELT['person phone in numerals']} {SPELT['person phone in groups']} "
    f"{SPELT['person id_number in full width']} {_ID} {_PHONE}"
)
"""All of it in one text. A receipt number has room for the first forty characters."""


def form_about(item: Item) -> dict[str, Any]:
    """The item's example with everything personal replaced, as far as its form asks for it."""
    form = dict(item.example_form)
    for name, schema in item.form["properties"].items():
        value = _ANSWERS.get(name) or _ANSWERS.get(schema.get("format", ""))
        if value is not None:
            form[name] = value
    return form
