"""What the SOAP connector says, and what it makes of what it is told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.unit.connectors.soap_kit import APPLICATION, KNOWN, TOKEN, Silent, said
from tongban_connectors.domain.gateway import (
    AccessDeniedError,
    BrokenAnswerError,
    GatewayRefusedError,
    NotRecognisedError,
    RetryLaterError,
    UnclearAnswerError,
    Unknown,
)
from tongban_devstack.gateways import soap_answers
from tongban_devstack.gateways.soap_answers import SoapAnswer as Envelope
from tongban_devstack.gateways.soap_answers import answered, fault, knows
from tongban_provinces.models import GatewayAnswer
from tongban_provinces.soap_envelope import PROVINCE, read, schema
from tongban_provinces.soap_signature import created

XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\r\n\t"))
VALUES = st.one_of(XML_TEXT, st.integers(), st.booleans(), st.none(), st.lists(XML_TEXT))


@settings(deadline=None)
@given(form=st.dictionaries(XML_TEXT.filter(bool), VALUES, max_size=5), name=XML_TEXT.filter(bool))
async def test_no_value_is_lost_or_changed_on_its_way(form: dict[str, Any], name: str) -> None:
    silent = Silent()
    application = {**APPLICATION, "item_name": name[:200], "form": form}
    with pytest.raises(UnclearAnswerError):
        await silent.submit(application, act_before=1.5)
    content = read(silent.sent[0].raw).content
    p = f"{{{PROVINCE}}}"
    assert content.findtext(f"{p}itemName") == name[:200]
    assert content.findtext(f"{p}actBefore") == "1500"
    told = {}
    for field in content.findall(f"{p}form/{p}field"):
        of, kind, value = (part.text or "" for part in field)
        told[of] = value if kind == "text" else json.loads(value)
    assert told == form


def test_messages_keep_to_the_schema() -> None:
    validator = schema()
    content = etree.fromstring(answered("Submit", knows(KNOWN)).raw)[0][0]
    assert validator.validate(content), validator.error_log


async def test_a_company_and_its_agent_are_told() -> None:
    silent = Silent()
    agent = {
        "name": "李四",
        "id_type": "passport",
        "id_number": "E1",
        "phone": "139",
        "email": "a@b",
    }
    applicant = {"type": "company", "name": "某公司", "uscc": "9122", "agent": agent}
    with pytest.raises(UnclearAnswerError):
        await silent.submit({**APPLICATION, "applicant": applicant}, act_before=time.time())
    content = read(silent.sent[0].raw).content
    assert schema().validate(content)
    company = content.find(f"{{{PROVINCE}}}applicant")[0]
    assert [part.text for part in company.iter() if part.text] == [
        "某公司",
        "9122",
        "李四",
        "passport",
        "E1",
        "139",
        "a@b",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"item_name": "a\x00b"},
        {"applicant": {"type": "person", "name": "\x0b"}},
        {"applicant": {"type": "person", "name": "a", "shoe_size": "42"}},
        {"applicant": {"type": "ghost", "name": "a"}},
        {"form": {"a": "\ud800"}},
    ],
)
async def test_request_that_xml_cannot_carry_is_refused_before_it_is_sent(
    change: dict[str, Any],
) -> None:
    silent = Silent()
    with pytest.raises(GatewayRefusedError, match="not_expressible") as caught:
        await silent.submit({**APPLICATION, **change}, act_before=time.time())
    assert not silent.sent
    assert caught.value.__cause__ is None


# --- answers


async def test_an_answer_is_read_whole() -> None:
    answer = await said(lambda: answered("LookUp", knows(KNOWN))).look_up("r-1")
    assert isinstance(answer, GatewayAnswer)
    assert answer.model_dump() == GatewayAnswer.model_validate(KNOWN).model_dump()
    assert answer.result is not None
    assert answer.result.table is not None
    assert answer.result.table.rows == [["2025-01", ""], []]


async def test_a_large_answer_is_read_whole() -> None:
    rows = [[f"{n}", "x" * 20] for n in range(1000)]
    result = {**KNOWN["result"], "table": {"columns": ["a", "b"], "rows": rows}}
    answer = await said(lambda: answered("LookUp", knows({**KNOWN, "result": result}))).look_up(
        "r-1"
    )
    assert isinstance(answer, GatewayAnswer)
    assert answer.result is not None
    assert answer.result.table is not None
    assert answer.result.table.rows == rows


FAULTS: list[tuple[Callable[[], Envelope], type[Exception], str]] = [
    (lambda: fault("too_late", ""), AccessDeniedError, "too_late"),
    (lambda: fault("unknown_item", ""), GatewayRefusedError, "unknown_item"),
    (
        lambda: fault("throttled", "", server=True, retry_after_seconds=7),
        RetryLaterError,
        "throttled",
    ),
    (lambda: fault("closed", "", server=True), RetryLaterError, "closed"),
    (lambda: fault("replayed", ""), UnclearAnswerError, "fault replayed"),
    (lambda: fault("backend_error", "", server=True), UnclearAnswerError, "fault backend_error"),
    (lambda: fault("duplicate", ""), GatewayRefusedError, "duplicate"),
    (lambda: fault("bad_signature", ""), NotRecognisedError, "bad_signature"),
    (lambda: fault("stale", ""), NotRecognisedError, "stale"),
    (lambda: fault("too_large", ""), BrokenAnswerError, "too_large"),
    (lambda: fault("Strange Code", ""), BrokenAnswerError, "another shape"),
    (lambda: answered("Withdraw", knows(KNOWN)), BrokenAnswerError, "another shape"),
    (
        lambda: answered("Submit", knows({**KNOWN, "request_id": "r-2"})),
        BrokenAnswerError,
        "another request",
    ),
    (
        lambda: answered("Submit", knows({**KNOWN, "state": "sleeping"})),
        BrokenAnswerError,
        "another shape",
    ),
    (
        lambda: answered("Submit", knows({**KNOWN, "supplements": "many"})),
        BrokenAnswerError,
        "another shape",
    ),
    (lambda: answered("Submit", etree.Element("x")), BrokenAnswerError, "another shape"),
]


@pytest.mark.parametrize("number", range(len(FAULTS)))
async def test_signed_fault_is_believed(number: int) -> None:
    make, kind, text = FAULTS[number]
    with pytest.raises(kind, match=text) as caught:
        await said(make).submit(APPLICATION, act_before=time.time())
    if isinstance(caught.value, RetryLaterError):
        assert caught.value.after_s == (7 if text == "throttled" else 1)


async def test_refused_repeat_returns_the_known_state() -> None:
    gateway = said(lambda: fault("duplicate", "", application=KNOWN))
    told = await gateway.submit(APPLICATION, act_before=time.time())
    assert told.model_dump() == GatewayAnswer.model_validate(KNOWN).model_dump()


@pytest.mark.parametrize("behind", [-290, 0, 290])
async def test_known_state_comes_with_the_provinces_own_time(
    monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    """The connector holds it against `act_before`, which goes by that clock."""
    began = time.time()
    monkeypatch.setattr(soap_answers, "created", lambda now: created(now - behind))
    for make in (lambda: answered("LookUp", knows(KNOWN)), lambda: fault("unknown", "")):
        told = await said(make).look_up("r-1")
        assert told.said_at is not None
        assert began - behind - 1 <= told.said_at <= time.time() - behind


@pytest.mark.parametrize("behind", [-310, 310])
async def test_answer_of_another_time_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    monkeypatch.setattr(soap_answers, "created", lambda now: created(now - behind))
    for make in (lambda: answered("LookUp", knows(KNOWN)), lambda: fault("unknown", "")):
        with pytest.raises(BrokenAnswerError, match="without a signature to believe: Created"):
            await said(make).look_up("r-1")


async def test_an_answer_that_was_recorded_is_not_the_answer_to_the_next_question() -> None:
    answers: list[bytes] = []

    def answer(sent: Any) -> bytes:
        made = answered("LookUp", knows(KNOWN))
        made.signed(TOKEN, relates_to=sent.message_id, confirms=sent.signature)
        answers.append(made.raw)
        return answers[0]

    gateway = Silent(answer)
    assert isinstance(await gateway.look_up("r-1"), GatewayAnswer)
    with pytest.raises(BrokenAnswerError, match="another message"):
        await gateway.look_up("r-1")


async def test_unknown_is_believed_with_a_signature_alone() -> None:
    found = await said(lambda: fault("unknown", "")).look_up("r-1")
    assert isinstance(found, Unknown)
    assert found.said_at == pytest.approx(time.time(), abs=60), "by the province's own clock"
    with pytest.raises(UnclearAnswerError, match="without a signature"):
        await Silent(lambda _: fault("unknown", "").raw).look_up("r-1")
    with pytest.raises(BrokenAnswerError, match="look-up refused"):
        await said(lambda: fault("bad_request", "")).look_up("r-1")
