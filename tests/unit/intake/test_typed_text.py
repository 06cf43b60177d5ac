"""The rule for text that people type: visible, and fit for every protocol."""

from __future__ import annotations

import json
import unicodedata

import orjson
import pytest
import typst
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from lxml import etree

from tongban_intake.submission.values import normalise_text, text_problem

ANY = st.text(st.characters(codec=None), max_size=12)
LIKELY = st.text(
    st.sampled_from(
        "张三 a\u0301王\u064b\u200b\u200c\u200d\u202e\ufe0f\U000e0100རི\u0627\u0628\u1820"
        "\u180b\n\r\t"
        "\u3164\u115f\u2800\u034f\ufeff\u00ad\u2028\ue000\ufffd\x00\x0b\x7f\u3000·𠮷㛃e\u0323\u0307"
    ),
    max_size=8,
)


@pytest.mark.parametrize(
    "name",
    [
        "张三", "欧阳 示例", "阿卜杜拉·买买提", "买买提•吐尔逊", "JOHN SMITH", "O'Neil-Müller",
        "རིན་ཆེན", "王\u064b", "ئابدۇللا", "می\u200cخواهم", "ක්\u200dෂ",
        "ᠮᠣᠩᠭᠣᠯ", "ᠨ\u180bᠠ", "ᠠ\u180e", "ᠮ\u200d", "𠮷田", "㛃", "\U00030000", "\U0002ebf0",
        "葛\U000e0100城", "辻\ufe00", "ꀀꀁ", "한글", "e\u0301", "李３",
    ],
)  # fmt: skip
def test_names_of_all_peoples_are_accepted(name: str) -> None:
    assert text_problem(normalise_text(name)) is None


@pytest.mark.parametrize(
    "name",
    [
        "张\u202e三", "\u200b", "张\u200b三", "张\u2066三\u2069", "张\u200e",
        "\ufeff张三", "张\u00ad三",
        "\u061c", "\u3164", "\u115f", "\u1160", "\uffa0", "\u2800", "\u034f",
        "张\u034f三", "\u17b4",
        "\u0301", " \u0301", "\u0301张", "\ufe0f", "\U000e0100", "a\U000e0100", "a\ufe0f", "\u180b",
        " ", "\u3000", "\u00a0", "\u2003 ", "\u1680", "\t", "\n", "张\n三", "张\t三", "张\u2028三",
        "\u2029", "张\x00", "\x0b", "\x7f", "\x85", "张\ue000", "\U000f0000", "张\ufffe", "\ufdd0",
        "\U0001fffe", "\ufffd", "\ufffc", "\ud800", "张\udfff", "张\u200d三", "张\u200c", "\u200d",
        "می\u200c", "\U000e0041", "\u2065", "\U0001d159", "a" + "\u0302\u0301" * 6, "\ufff9",
    ],
)  # fmt: skip
def test_invisible_or_unencodable_text_is_refused_in_both_languages(name: str) -> None:
    problem = text_problem(normalise_text(name))
    assert problem is not None
    assert any("\u4e00" <= character <= "\u9fff" for character in problem.zh)
    assert problem.en.isascii()


def test_line_breaks_are_accepted_where_lines_are() -> None:
    assert text_problem("第一行\n\t第二行", lines=True) is None
    assert text_problem("\n \t", lines=True) is not None
    assert text_problem("一\n\u0301", lines=True) is not None
    assert normalise_text("一\r\n二\r三") == "一\n二\n三"


def test_empty_text_is_left_to_the_schema() -> None:
    assert text_problem("") is None


@given(ANY | LIKELY)
@example("\u0958" + "\u0301" * 8)
def test_normalising_is_idempotent(text: str) -> None:
    once = normalise_text(text)
    assert normalise_text(once) == once


@given(ANY | LIKELY, st.booleans())
@example("\r", True)
def test_accepted_text_can_be_written_in_xml_and_json(text: str, lines: bool) -> None:
    text = normalise_text(text)
    if text_problem(text, lines=lines) is not None:
        return
    element = etree.Element("name", said=text)
    element.text = text
    read = etree.fromstring(etree.tostring(element, encoding="utf-8"))
    assert (read.text or "") == text
    assert lines or read.get("said") == text
    assert orjson.loads(orjson.dumps(text)) == text == json.loads(json.dumps(text))
    assert not text or any(unicodedata.category(each)[0] in "LNPSC" for each in text)


@given(st.lists(ANY | LIKELY, min_size=40, max_size=40))
@settings(max_examples=10, deadline=None)
def test_accepted_text_can_be_typeset(texts: list[str]) -> None:
    """typst raises for what it cannot set."""
    accepted = [text for text in map(normalise_text, texts) if text_problem(text) is None]
    assume(accepted)
    page = b"#for text in json(bytes(sys.inputs.texts)) [#text #linebreak()]"
    typst.compile(page, format="pdf", sys_inputs={"texts": json.dumps(accepted)})


@given(st.characters(categories=["Cc", "Cf", "Cs", "Co", "Zl", "Zp"]))
def test_a_character_that_shows_nothing_is_never_a_name(character: str) -> None:
    assert text_problem(character) is not None
    assert text_problem(f"张{character}三") is not None
