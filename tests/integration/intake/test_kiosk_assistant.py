"""A lobby manager at the kiosk's page: in by a PIN, on record, out again."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.integration.intake.conftest import BRANCH, Replica, Stack, token, until
from tests.integration.intake.test_devices import Operator
from tests.integration.intake.test_kiosk import Browser, Form, fill_in
from tests.integration.intake.test_reading import shown
from tests.integration.intake.test_submit import problem
from tongban_common import topics
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.events.models import DocumentRef, PrintConfirmed

PIN = "730518"


@pytest.fixture(scope="module")
async def staffed(stack: Stack) -> str:
    """Token of a kiosk whose branch has `lm-20` to `lm-23`. They are enrolled once: enrolling anew
    would sign them out."""
    operator = Operator(stack)
    for who in ("lm-20", "lm-21", "lm-22", "lm-23"):
        await operator("assistant", "enrol", who, "--branch", BRANCH, typed=f"{PIN}\n")
    return token()


@pytest.fixture
async def browser(intake: Replica, staffed: str) -> Browser:
    """At that kiosk."""
    made = Browser(intake)
    await made.log_in(staffed)
    return made


async def signs_in(browser: Browser, who: str, pin: str = PIN, status: int = 303) -> str:
    """Tries it at the page; where it leads to, or what the page says."""
    form = Form(await browser.get("/kiosk/assistant"))
    fields = [(name, value) for name, value in form.fields if name in ("key", "proof")]
    answer = await browser.post("/kiosk/assistant", [*fields, ("who", who), ("pin", pin)])
    assert answer.status == status, await answer.text()
    return answer.headers.get("Location") or await answer.text()


async def enrolled(browser: Browser, who: str) -> None:
    """Sign in once this replica has heard of that one. Each refusal counts as a try, and five are
    free: so it is asked less often than other things are."""
    for patience in (0.2, 1.0, 3.0, 10.0, 0.0):
        form = Form(await browser.get("/kiosk/assistant"))
        fields = [(name, value) for name, value in form.fields if name in ("key", "proof")]
        answer = await browser.post("/kiosk/assistant", [*fields, ("who", who), ("pin", PIN)])
        if answer.status == 303:
            return
        await asyncio.sleep(patience)
    pytest.fail(f"{who} could not sign in")


async def signs_out(browser: Browser) -> None:
    form = Form(await browser.get("/kiosk"), header=True)
    proof = [("key", form.get("key")), ("proof", form.get("proof"))]
    assert (await browser.post("/kiosk/assistant/out", proof)).headers["Location"] == "/kiosk"


async def test_in_on_record_and_out(browser: Browser, stack: Stack) -> None:
    assert "陪同中" not in await browser.get("/kiosk")
    await enrolled(browser, "lm-20")
    home = await browser.get("/kiosk")
    assert "陪同中" in home
    assert "lm-20" in home

    path, confirmed = await fill_in(browser, stack)
    assert ("assisted", "1") in confirmed
    answer = await browser.post(path, [*confirmed, ("assistant", "lm-99")])
    event = await stack.submitted(answer.headers["Location"].rpartition("/")[2])
    assert (event.origin.channel, event.origin.assistant) == ("assisted", "lm-20")
    assert event.origin.assistant_proved

    await signs_out(browser)
    assert "陪同中" not in await browser.get("/kiosk")
    path, confirmed = await fill_in(browser, stack)
    alone = [(name, value) for name, value in confirmed if name != "assistant"]
    answer = await browser.post(path, [*alone, ("assisted", "1"), ("assistant", "lm-20")])
    event = await stack.submitted(answer.headers["Location"].rpartition("/")[2])
    assert not event.origin.assistant_proved


async def test_from_a_half_filled_form_nothing_typed_is_lost(
    browser: Browser, stack: Stack
) -> None:
    await enrolled(browser, "lm-21")
    await signs_out(browser)
    path = f"/kiosk/items/{stack.printable.code}"
    typed = [(n, v) for n, v in Form(await browser.get(f"{path}?example=1")).fields]
    key = dict(typed)["key"]
    asked = await browser.post(path, [*typed, ("step", "sign_in")])
    page = await asked.text()
    assert "大堂经理登录" in page
    carried = Form(page)
    assert carried.get("key") == key
    wrong = await browser.post(
        path, [*carried.fields, ("who", "lm-21"), ("pin", "111111"), ("step", "signed")]
    )
    assert wrong.status == 403
    page = await wrong.text()
    assert "没有登录成功" in page
    assert "111111" not in page
    again = [(name, value) for name, value in Form(page).fields if name not in ("who", "pin")]
    right = await browser.post(path, [*again, ("who", "lm-21"), ("pin", PIN), ("step", "signed")])
    page = await right.text()
    assert right.status == 200
    assert "已登录" in page
    back = Form(page)
    anew = ("assistant", "proof")  # a proof has the second at which it was made
    assert {(name, value) for name, value in typed if name not in anew} <= {*back.fields}
    confirm = await browser.post(path, [*back.fields, ("step", "confirm")])
    answer = await browser.post(path, [*Form(await confirm.text()).fields, ("step", "submit")])
    event = await stack.submitted(answer.headers["Location"].rpartition("/")[2])
    assert (event.origin.assistant, event.origin.assistant_proved) == ("lm-21", True)


async def test_question_about_a_sheet_is_answered_with_a_button(
    browser: Browser, intake: Replica, stack: Stack
) -> None:
    event = await stack.accepted(intake, "kiosk-question")
    document = DocumentRef(document_id="d-q", title="证明", pages=1, sha256="cd" * 32)
    await stack.tell(event, Status.SUBMITTED, Status.ROUTED, Status.COMPLETED)
    await stack.report_print(event, document, PrintStatus.NEEDS_CONFIRMATION, seq=3)
    await shown(intake, event.request_id, Status.COMPLETED)
    path = f"/kiosk/requests/{event.request_id}"
    assert "纸出来了" not in await browser.get(path, status=403)

    await enrolled(browser, "lm-23")

    async def asked() -> str:
        page = await browser.get(path)  # a lobby manager needs no proof of being the applicant
        return page if "纸出来了" in page else ""

    form = Form(await until(asked, what="the question"))
    fields = [(name, form.get(name)) for name in ("key", "proof", "order_id")]
    answer = await browser.post(f"{path}/confirmation", [*fields, ("printed", "no")])
    assert answer.status == 303
    (confirmed,) = await stack.events(topics.PRINT_ORDERS, event.request_id)
    body = confirmed.body
    assert isinstance(body, PrintConfirmed)
    assert (body.order_id, body.seq, body.printed, body.by) == (
        form.get("order_id"), 3, False, "lm-23",
    )  # fmt: skip

    # With the kiosk's own token alone it is forbidden.
    url = f"/v1/requests/{event.request_id}/prints/{body.order_id}/confirmation"
    await problem(await intake.post(url, {"printed": True}, "confirm-0001"), 403)
    await signs_out(browser)


async def test_wrong_pins_are_reported_and_rate_limited(browser: Browser) -> None:
    await enrolled(browser, "lm-22")
    await signs_out(browser)
    for _ in range(5):
        page = await signs_in(browser, "lm-22", "000000", status=403)
        assert "工号或密码有误" in page
        assert 'value="lm-22"' in page
    page = await signs_in(browser, "lm-22", status=429)
    wait = re.search(r"（(\d+) 秒后可以再试）", page)
    assert wait
    assert 0 < int(wait[1]) <= 30
    assert "陪同中" not in await browser.get("/kiosk")


async def test_a_sign_in_from_elsewhere_is_refused(browser: Browser) -> None:
    forged = [("key", "sign-out"), ("proof", "0" * 64), ("who", "lm-20"), ("pin", PIN)]
    for path in ("/kiosk/assistant", "/kiosk/assistant/out"):
        assert (await browser.post(path, forged)).status == 403


async def test_where_a_sign_in_is_demanded_no_id_can_be_typed(stack: Stack) -> None:
    async with stack.replica(TONGBAN_ASSISTED_SIGN_IN="true") as strict:
        browser = Browser(strict)
        await browser.log_in(token())
        path = f"/kiosk/items/{stack.printable.code}"
        page = await browser.get(f"{path}?example=1")
        assert 'name="assistant"' not in page
        asked = [*Form(page).fields, ("assisted", "1"), ("step", "confirm")]
        answer = await browser.post(path, asked)
        assert answer.status == 422
        assert "请大堂经理先登录" in await answer.text()
