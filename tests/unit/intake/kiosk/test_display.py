"""Language and size of the kiosk's pages: what a cookie says, and that every text has both."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from importlib import resources

import jinja2
import pytest
from jinja2 import nodes
from jinja2.ext import extract_from_ast

from tongban_intake.kiosk import display
from tongban_intake.kiosk.display import DEFAULT, Display
from tongban_intake.kiosk.english import ENGLISH
from tongban_intake.text import Text

TEMPLATES = sorted(
    (
        file
        for file in resources.files("tongban_intake.kiosk").joinpath("templates").iterdir()
        if file.name != "icons.html"  # it names its icons as the catalogue names domains
    ),
    key=lambda file: file.name,
)
PARSER = jinja2.Environment(autoescape=True)
CHINESE = re.compile("[\u4e00-\u9fff]")
PROPER_NAMES = {
    "中文",  # a language is offered under the name it has in itself
    "税务服务",
    "维吾尔自治区",
    "壮族自治区",
    "回族自治区",
    "自治区",
    "省",
    "市",
}


def parsed() -> Iterator[nodes.Template]:
    for file in TEMPLATES:
        yield PARSER.parse(file.read_text(encoding="utf-8"), file.name)


def translated_texts() -> Counter[str]:
    found: Counter[str] = Counter()
    for tree in parsed():
        for _, _, text in extract_from_ast(tree, gettext_functions=("_",)):
            found[text if isinstance(text, str) else next(filter(None, text)) or ""] += 1
    return found


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("large", [False, True])
def test_display_written_in_a_cookie_is_read_again(language: display.Language, large: bool) -> None:
    shown = Display(language, large)
    assert Display.read(shown.write()) == shown


@pytest.mark.parametrize("cookie", ["", "zh", "fr", "LARGE", "en2-largest", "'; drop", "é", "-"])
def test_unknown_cookie_is_the_default(cookie: str) -> None:
    assert Display.read(cookie) == DEFAULT


def test_each_choice_changes_one_thing() -> None:
    assert DEFAULT.changed("large").changed("en") == Display("en", large=True)
    assert Display("en", large=True).changed("ordinary") == Display("en")
    assert Display("en", large=True).changed("zh") == Display("zh", large=True)
    assert Display("en", large=True).changed("fr") == Display("en", large=True)


@pytest.mark.parametrize("back", ["/kiosk", "/kiosk/items?q=%E7%A4%BE&page=2", "/kiosk/requests/r"])
def test_a_page_of_the_kiosk_is_returned_to(back: str) -> None:
    assert display.page_of_ours(back) == back


@pytest.mark.parametrize(
    "back",
    [
        "", "https://example.org/kiosk", "//example.org/kiosk", "/kioskx", "kiosk", "/v1/requests",
        "javascript:alert(1)", "/kiosk\r\nSet-Cookie: a=b", "/\\example.org/kiosk", "/kiosk\\..\\x",
    ],
)  # fmt: skip
def test_no_other_address_is_returned_to(back: str) -> None:
    assert display.page_of_ours(back) == display.HOME


def test_every_text_of_the_templates_has_its_english_and_none_is_there_in_vain() -> None:
    assert set(translated_texts()) == set(ENGLISH)


def test_english_has_the_same_values_and_no_chinese_but_examples() -> None:
    quoted = re.compile("“[^”]*”|: .*")
    for chinese, english in ENGLISH.items():
        places = re.compile(r"{\w+}")
        assert Counter(places.findall(chinese)) == Counter(places.findall(english)), chinese
        assert not CHINESE.search(quoted.sub("", english)), english


def test_templates_have_no_chinese_outside_of_texts_that_are_translated() -> None:
    known = set(translated_texts()) | PROPER_NAMES
    for tree in parsed():
        for data in tree.find_all(nodes.TemplateData):
            assert not CHINESE.search(data.data), (tree.name, data.lineno, data.data)
        for const in tree.find_all(nodes.Const):
            if isinstance(const.value, str) and CHINESE.search(const.value):
                assert const.value in known, (const.lineno, const.value)


def test_values_in_a_text_are_escaped() -> None:
    shown = display.translated("大堂经理<b>{name}</b>陪同中", name="<script>")
    assert shown == "大堂经理<b>&lt;script&gt;</b>陪同中"


def test_a_text_is_said_in_the_chosen_language() -> None:
    assert display.said(Text("查询", "Query")) == "查询"
    assert display.said("社保缴费证明") == "社保缴费证明"
