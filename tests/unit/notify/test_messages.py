"""What messages say, how long they are, and what they keep to themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongban_notify.domain.messages import (
    Contact,
    MessageApplicant,
    MessageTemplate,
    reference,
)
from tongban_notify.domain.texts import LONGEST, MessageTexts, TextEvent

PERSON = MessageApplicant(type="person", name="张三丰", phone="13800138000")
COMPANY = MessageApplicant(
    type="company",
    name="上海某某贸易有限公司",
    agent=Contact(name="李四", phone="+86 139-0013-9000"),
)
ITEM = "社会保险缴费证明打印"
STATUSES = [template for template in MessageTemplate if template is not MessageTemplate.COMPLETED]
TEXTS = MessageTexts.load()


def completed_text(applicant: MessageApplicant, item: str, *, on_paper: bool) -> str:
    event = TextEvent.of(MessageTemplate.COMPLETED, on_paper=on_paper)
    return TEXTS.text(event, applicant, item)


def status_text(
    applicant: MessageApplicant, item: str, template: MessageTemplate, reason: str | None
) -> str:
    return TEXTS.text(TextEvent.of(template, on_paper=False), applicant, item, reason)


def test_completion_says_whether_paper_comes_out() -> None:
    assert completed_text(PERSON, ITEM, on_paper=True) == (
        "【政务通办】张**您好，您申请的“社会保险缴费证明打印”已办结，"
        "证明将在一体机打印，请及时取走；如未出纸请咨询大堂经理。"
    )
    assert "打印，请" not in completed_text(PERSON, ITEM, on_paper=False)


def test_a_reason_is_told() -> None:
    text = status_text(PERSON, ITEM, MessageTemplate.REJECTED, "参保地不在本省。")
    assert text == (
        "【政务通办】张**您好，您申请的“社会保险缴费证明打印”未获通过：参保地不在本省。"
        "如有疑问请咨询网点大堂经理。"
    )


def test_without_a_reason_nothing_dangles() -> None:
    for template in STATUSES:
        for reason in (None, "", "。"):
            text = status_text(PERSON, ITEM, template, reason)
            assert "：" not in text
            assert "{" not in text


def test_company_is_notified_through_its_agent() -> None:
    contact = COMPANY.contact
    assert contact is not None
    assert contact.number == "13900139000"
    text = completed_text(COMPANY, ITEM, on_paper=False)
    assert text.startswith("【政务通办】李**您好，贵单位申请的")


@pytest.mark.parametrize("template", STATUSES)
def test_nothing_private_goes_into_a_text(template: MessageTemplate) -> None:
    reason = "申请人张三丰的身份证341126199003070011、手机13800138000与社保卡X12345678901不符"
    text = status_text(PERSON, ITEM, template, reason)
    for private in ("三丰", "341126199003070011", "13800138000", "X12345678901"):
        assert private not in text


@pytest.mark.parametrize(
    "spelt",
    [
        "341126 19900307 0011",
        "３４１１２６１９９００３０７００１１",
        "138-0013-8000",
        "138 0013 8000",
        "一三八零零一三八零零零",
        "一三八〇〇一三八〇〇〇",
        "张 三 丰",
    ],
)
def test_private_value_is_masked_however_it_is_spelt(spelt: str) -> None:
    text = status_text(PERSON, ITEM, MessageTemplate.REJECTED, f"经核验，{spelt}与登记不符")
    assert spelt not in text
    assert "与登记不符" in text


def test_names_of_company_and_agent_are_masked() -> None:
    reason = f"{COMPANY.name}的经办人李四未登记"
    text = status_text(COMPANY, ITEM, MessageTemplate.REJECTED, reason)
    assert "上**的经办人李**未登记" in text


def test_date_and_amount_in_a_reason_stay() -> None:
    text = status_text(PERSON, ITEM, MessageTemplate.REJECTED, "2026-03-02 10:30前补缴1250.50元")
    assert "2026-03-02 10:30前补缴1250.50元" in text


@given(
    name=st.text(min_size=1, max_size=40),
    item=st.text(min_size=1, max_size=200),
    reason=st.one_of(st.none(), st.text(max_size=400)),
    template=st.sampled_from(STATUSES),
)
def test_a_text_fits_two_messages(
    name: str, item: str, reason: str | None, template: MessageTemplate
) -> None:
    applicant = MessageApplicant(type="person", name=name, phone="13800138000")
    for text in (
        status_text(applicant, item, template, reason),
        completed_text(applicant, item, on_paper=True),
    ):
        assert len(text.encode("utf-16-be")) // 2 <= LONGEST


@pytest.mark.parametrize(
    "phone", ["13800138000", "+8613800138000", "86 138 0013 8000", "0086-138-0013-8000"]
)
def test_one_number_has_one_form(phone: str) -> None:
    assert Contact(name="张三", phone=phone).number == "13800138000"


def test_references_tell_messages_apart_and_no_numbers() -> None:
    given: dict[str, Any] = {"request_id": "r-1", "template": "completed", "number": "13800138000"}
    base = reference("secret", **given)
    assert base == reference("secret", **given)
    others = {
        reference("other", **given),
        reference("secret", **{**given, "request_id": "r-2"}),
        reference("secret", **{**given, "template": "failed"}),
        reference("secret", **{**given, "number": "13800138001"}),
        reference("secret", **given, time=1),
        reference("secret", **given, time=2),
    }
    assert len(others | {base}) == 7
