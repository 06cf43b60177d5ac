"""The help button: a person calls the lobby manager, whose desk is another kiosk of the branch,
served by another replica."""

from __future__ import annotations

import html
import re

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from yarl import URL

from tests.integration.intake.conftest import BRANCH, Replica, Stack, token, until
from tests.integration.intake.test_devices import Operator
from tests.integration.intake.test_kiosk import Browser
from tests.integration.intake.test_kiosk_assistant import PIN, enrolled
from tongban_common.topics import KIOSKS_HELP

pytestmark = pytest.mark.usefixtures("staffed")
WHO, ELSEWHERE = "lm-50", "lm-51"
CALLED, NOT_CALLED, HERE = "已经通知大堂经理", "请大堂经理过来", "请您过去帮忙"


@pytest.fixture(scope="module")
async def staffed(stack: Stack) -> None:
    """Lobby managers of two branches."""
    operator = Operator(stack)
    await operator("assistant", "enrol", WHO, "--branch", BRANCH, typed=f"{PIN}\n")
    await operator("assistant", "enrol", ELSEWHERE, "--branch", "branch-09", typed=f"{PIN}\n")


async def at(replica: Replica, kiosk_id: str, branch_id: str = BRANCH, who: str = "") -> Browser:
    browser = Browser(replica)
    await browser.log_in(token(kiosk_id, branch_id))
    if who:
        await enrolled(browser, who)
    return browser


async def press(browser: Browser, what: str, *, page: str = "/kiosk", proof: str = "") -> str:
    """Press the button at the foot of a page; where it leads to."""
    found = re.search(r'<form id="help".*?</form>', await browser.get(page), re.DOTALL)
    assert found, "no button"
    address = URL(html.unescape(re.findall(r'action="([^"]*)"', found[0])[0]))
    if proof:
        address = address.update_query(proof=proof)
    answer = await browser.post(str(address), [("what", what)])
    return answer.headers.get("Location") or str(answer.status)


async def written(stack: Stack) -> int:
    """Return how many records the topic of calls has had."""
    place = TopicPartition(KIOSKS_HELP, 0)
    async with AIOKafkaConsumer(bootstrap_servers=stack.kafka) as consumer:
        end: int = (await consumer.end_offsets([place]))[place]
        return end


async def answers(desk: Browser, kiosk_id: str, status: int = 303) -> None:
    page = await desk.get("/kiosk/desk/calls")
    address = html.unescape(re.findall(r'action="([^"]*)"', page)[0])
    assert (await desk.post(address, [("kiosk_id", kiosk_id)])).status == status


async def test_call_reaches_the_desk_of_the_branch_and_no_other(
    intake: Replica, stack: Stack
) -> None:
    async with stack.replica() as other:
        person = await at(intake, "kiosk-001")
        desk = await at(other, "kiosk-002", who=WHO)
        far = await at(other, "kiosk-900", "branch-09", who=ELSEWHERE)
        assert HERE not in await desk.get("/kiosk/desk")

        assert await press(person, "call", page="/kiosk/items?q=gjj") == "/kiosk/items?q=gjj"
        assert CALLED in await person.get("/kiosk"), "the page that follows does not say so"

        async def shown() -> bool:
            return "kiosk-001" in await desk.get("/kiosk/desk/calls")

        await until(shown, what="the call at the desk")
        assert HERE in await desk.get("/kiosk/desk")
        assert "kiosk-001" not in await far.get("/kiosk/desk/calls")

        await answers(desk, "kiosk-001")
        assert HERE not in await desk.get("/kiosk/desk")

        async def told() -> bool:
            return NOT_CALLED in await person.get("/kiosk")

        await until(told, what="the end of the call at the kiosk")


async def test_call_that_is_made_twice_is_one_and_can_be_taken_back(
    intake: Replica, stack: Stack
) -> None:
    person, desk = await at(intake, "kiosk-001"), await at(intake, "kiosk-002", who=WHO)
    before = await written(stack)
    for _ in range(2):
        await press(person, "call")
    assert await written(stack) == before + 1
    assert (await desk.get("/kiosk/desk/calls")).count("data-call") == 1
    await press(person, "cancel")
    assert NOT_CALLED in await person.get("/kiosk")
    assert "data-call" not in await desk.get("/kiosk/desk/calls")


async def test_call_cannot_be_made_or_answered_by_a_page_that_is_not_ours(intake: Replica) -> None:
    person = await at(intake, "kiosk-001")
    assert await press(person, "call", proof="forged") == "403"
    assert NOT_CALLED in await person.get("/kiosk")
    await press(person, "call")
    assert (await person.ask("GET", "/kiosk/desk/calls")).status == 403
    forged, fields = "/kiosk/desk/calls?proof=forged", [("kiosk_id", "kiosk-001")]
    assert (await person.post(forged, fields)).status == 403
    far = await at(intake, "kiosk-900", "branch-09", who=ELSEWHERE)
    assert (await far.post(forged, fields)).status == 403
    assert CALLED in await person.get("/kiosk")
    await press(person, "cancel")


async def test_lobby_manager_who_has_signed_in_sees_no_button(intake: Replica) -> None:
    assert 'id="help"' not in await (await at(intake, "kiosk-002", who=WHO)).get("/kiosk")
