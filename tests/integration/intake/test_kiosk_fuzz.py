"""The kiosk's pages under anything that may be sent to them: a page comes back each time, never a
fault of ours, and never what was sent as markup."""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.intake.conftest import Replica, Stack, token
from tests.integration.intake.test_kiosk import Browser, Form
from tests.integration.intake.test_reading import shown
from tongban_common.domain.status import Status

MARKUP = "<script>alert(7)</script>"
VALUES = (
    "", "0", "-1", "1", "x", " ", "㛃𠮷", "\x00", "\ud7ff", "\u202e", "9" * 400, "é" * 60, MARKUP,
    f'"{MARKUP}', "{{7*7}}", "../..", "%2e%2e", "2026-02-30", "resident_id", "company", "person",
    "submit", "edit", "signed", "sign_in", "confirm", "true", "[]", "null", "1e309",
)  # fmt: skip
NAMES = (
    "step", "assisted", "assistant", "print", "who", "pin", "grade", "words", "remark",
    "document_id", "applicant.type", "applicant.name", "applicant.id_type", "applicant.id_number",
    "applicant.phone", "applicant.company.uscc", "applicant.agent.name", "form.", "form.x",
    "form..year", "applicant", "form",
)  # fmt: skip
PATHS = (
    "", "/", "/items", "/items/{item}", "/items/{odd}", "/items?{odd}={odd}", "/items?page={odd}",
    "/items?q={odd}", "/items?zone={odd}&kind={odd}", "/requests/{request}", "/requests/{odd}",
    "/requests/{request}?part={odd}", "/requests/{request}/documents/{odd}", "/assistant",
    "/static/{odd}", "/login?token={odd}", "/{odd}",
)  # fmt: skip
POSTS = (
    "/items/{item}", "/items/{odd}", "/assistant", "/assistant/out", "/requests/{request}/{odd}",
    "/requests/{request}/supplement", "/requests/{request}/withdrawal",
    "/requests/{request}/print", "/requests/{request}/rating", "/requests/{odd}/rating",
)  # fmt: skip


@pytest.fixture
async def scene(intake: Replica, stack: Stack) -> tuple[Browser, dict[str, str]]:
    """A browser, and what there is to be found."""
    event = await stack.accepted(intake, "fuzz-request")
    await stack.tell(event, Status.SUBMITTED, Status.NEEDS_SUPPLEMENT)
    await shown(intake, event.request_id, Status.NEEDS_SUPPLEMENT)
    browser = Browser(intake)
    await browser.log_in(token())
    return browser, {"item": stack.printable.code, "request": event.request_id}


async def looks_right(answer: Any) -> None:
    text = await answer.text()
    assert answer.status < 500, (answer.url, answer.status, text[:500])
    assert MARKUP not in text, answer.url
    if answer.status >= 400 and answer.content_type != "text/html":
        assert answer.content_type == "application/problem+json", answer.url


@pytest.mark.parametrize(
    "rounds",
    [pytest.param(12, id="short"), pytest.param(150, id="long", marks=pytest.mark.long)],
)
async def test_whatever_is_sent_a_page_comes_back(
    scene: tuple[Browser, dict[str, str]], stack: Stack, rounds: int
) -> None:
    browser, real = scene
    dice = random.Random(rounds)

    def path(pattern: str) -> str:
        odd = quote(dice.choice(VALUES)[:80] or "-", safe="")
        return "/kiosk" + pattern.format(**real, odd=odd)

    form = Form(await browser.get(f"/kiosk/items/{stack.printable.code}?example=1"))
    own = [name for name, _ in form.fields]
    for _ in range(rounds):
        for pattern in PATHS:
            await looks_right(await browser.ask("GET", path(pattern)))
        for pattern in POSTS:
            # Half of them with a proof of ours, the filled-in form, and some of it changed.
            fields = list(form.fields) if dice.random() < 0.5 else []
            for _ in range(dice.randrange(6)):
                name = dice.choice((*NAMES, *own))
                if name in ("key", "proof") and dice.random() < 0.8:
                    continue
                fields.insert(dice.randrange(len(fields) + 1), (name, dice.choice(VALUES)))
            await looks_right(await browser.post(path(pattern), fields))
    assert "您要办什么事" in await browser.get("/kiosk")
