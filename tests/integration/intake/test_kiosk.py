"""The kiosk's pages as a browser without scripts uses them."""

from __future__ import annotations

import re
from datetime import datetime
from html.parser import HTMLParser
from typing import Any

import aiohttp
import pytest

from tests.integration.intake.conftest import KIOSK, Replica, Stack, token, until
from tests.integration.intake.test_reading import shown
from tongban_common import topics
from tongban_common.clock import CHINA
from tongban_common.control.connectors import CircuitState, ConnectorState
from tongban_common.control.records import JSON_HEADERS
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.events.models import DocumentRef, PrintOrdered
from tongban_common.topics import CONNECTORS_STATE

DOCUMENT = DocumentRef(document_id="d-1", title="<b>证明</b>", pages=1, sha256="ab" * 32)


class Form(HTMLParser):
    """The fields of a page's forms, as a browser would send them: those of its own, or those of
    its header."""

    def __init__(self, html: str, *, header: bool = False) -> None:
        super().__init__()
        self._wanted = not header
        self._header = header
        self.fields: list[tuple[str, str]] = []
        self._select: str | None = None
        self._textarea: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        if tag == "header":
            self._wanted = self._header
        if not self._wanted:
            return
        name = found.get("name", "")
        if tag == "input" and name:
            chosen = found.get("type") not in ("radio", "checkbox") or "checked" in found
            if chosen:
                self.fields.append((name, found.get("value", "")))
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and "selected" in found:
            self.fields.append((self._select, found["value"]))
        elif tag == "textarea" and name:
            self._textarea = name

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.fields.append((self._textarea, data))

    def handle_endtag(self, tag: str) -> None:
        if tag == "header":
            self._wanted = not self._header
        if tag == "textarea":
            self._textarea = None

    def get(self, name: str) -> str:
        return next(value for field, value in self.fields if field == name)


class Browser:
    """Keeps cookies and nothing else."""

    def __init__(self, intake: Replica) -> None:
        self._intake = intake
        self.cookies: dict[str, str] = {}

    async def log_in(self, bearer: str) -> aiohttp.ClientResponse:
        return await self.ask("GET", f"/kiosk/login?token={bearer}")

    async def ask(self, method: str, path: str, **more: Any) -> aiohttp.ClientResponse:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookie, **more.pop("headers", {})}
        answer = await self._intake.session.request(
            method, self._intake.url + path, headers=headers, allow_redirects=False, **more
        )
        await answer.read()
        for each in answer.headers.getall("Set-Cookie", []):
            name, _, value = each.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    async def get(self, path: str, status: int = 200) -> str:
        answer = await self.ask("GET", path)
        assert answer.status == status, await answer.text()
        return await answer.text()

    async def post(self, path: str, fields: list[tuple[str, str]]) -> aiohttp.ClientResponse:
        return await self.ask("POST", path, data=aiohttp.FormData(fields))

    async def prove(
        self, request_id: str, *, number: str, phone: str
    ) -> tuple[aiohttp.ClientResponse, str]:
        """Give the ends of both at the page that asks for proof."""
        path = f"/kiosk/requests/{request_id}"
        form = Form(await self.get(path, status=403))
        proof = [("key", form.get("key")), ("proof", form.get("proof"))]
        answer = await self.post(
            f"{path}/proof", [*proof, ("number_end", number), ("phone_end", phone)]
        )
        return answer, await answer.text()

    async def proved(self, request_id: str, applicant: dict[str, Any]) -> None:
        """Prove to be this applicant of a request that is in the read model."""
        person = applicant.get("agent", applicant)
        answer, page = await self.prove(
            request_id, number=person["id_number"][-4:], phone=person["phone"][-4:]
        )
        assert answer.status == 303, page


@pytest.fixture
async def browser(intake: Replica) -> Browser:
    made = Browser(intake)
    await made.log_in(token())
    return made


async def test_logging_in_sets_a_cookie_that_scripts_cannot_read(intake: Replica) -> None:
    answer = await Browser(intake).log_in(token())
    assert (answer.status, answer.headers["Location"]) == (303, "/kiosk")
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/kiosk" in cookie
    refused = await Browser(intake).log_in("nonsense")
    assert refused.status == 401
    assert "Set-Cookie" not in refused.headers


async def test_without_a_login_there_is_nothing_to_see(intake: Replica, stack: Stack) -> None:
    nobody = Browser(intake)
    for path in ("", "/items", f"/items/{stack.printable.code}", "/requests/r-x"):
        assert "登录" in await nobody.get("/kiosk" + path, status=401)


async def test_finding_an_item(browser: Browser, stack: Stack) -> None:
    home = await browser.get("/kiosk")
    for word in ("您要办什么事", "跨省通办", "社会保障", KIOSK):
        assert word in home
    item = stack.printable
    found = await browser.get(f"/kiosk/items?q={item.name}&province={item.province}")
    assert f"/kiosk/items/{item.code}" in found
    assert "没有找到" in await browser.get("/kiosk/items?q=没有这种事项")
    await browser.get("/kiosk/items?page=0", status=422)
    await browser.get("/kiosk/items/99", status=404)


async def test_pages_fetch_nothing_from_elsewhere(browser: Browser, stack: Stack) -> None:
    for path in ("/kiosk", "/kiosk/items", f"/kiosk/items/{stack.printable.code}"):
        page = await browser.get(path)
        links = re.findall(r'(?:src|href|action|data)="([^"]*)"', page)
        statics = re.findall(r'"(/kiosk/static/[^"]+)"', page)
        assert links
        assert statics
        for link in links:
            assert link.startswith(("/kiosk", "#", "data:,")), link
        assert "<style" not in page
        assert " style=" not in page
        assert "onclick" not in page
        for static in statics:
            assert await browser.get(static)
    await browser.get("/kiosk/static/..%2fsession.py", status=404)


async def fill_in(browser: Browser, stack: Stack) -> tuple[str, list[tuple[str, str]]]:
    """The page that asks to confirm, and what it would submit."""
    path = f"/kiosk/items/{stack.printable.code}"
    form = Form(await browser.get(f"{path}?example=1"))
    answer = await browser.post(path, [*form.fields, ("step", "confirm")])
    page = await answer.text()
    assert "请核对一遍" in page
    return path, [*Form(page).fields, ("step", "submit")]


async def test_from_the_form_to_kafka_once(browser: Browser, intake: Replica, stack: Stack) -> None:
    path, confirmed = await fill_in(browser, stack)
    first = await browser.post(path, confirmed)
    again = await browser.post(path, confirmed)
    assert first.status == again.status == 303
    assert first.headers["Location"] == again.headers["Location"]
    request_id = first.headers["Location"].rpartition("/")[2]
    assert len(await stack.events(topics.REQUESTS_SUBMITTED, request_id)) == 1
    event = await stack.submitted(request_id)
    assert event.print is True
    assert event.origin.channel == "self_service"

    # Back in the browser, something else filled in: another request, and only after a question.
    changed = [(n, v) for n, v in confirmed if n != "print"]
    asked = await browser.post(path, changed)
    page = await asked.text()
    assert "已提交过一次" in page
    assert Form(page).get("key") != Form(await browser.get(path)).get("key") != ""
    second = await browser.post(path, [*Form(page).fields, ("step", "submit")])
    assert second.status == 303
    assert second.headers["Location"] != first.headers["Location"]
    assert intake.process.returncode is None


async def test_reviewed_form_is_the_form_that_is_submitted(browser: Browser, stack: Stack) -> None:
    """An item can change (its fee, say) between the page that asks to confirm and the answer."""
    path, confirmed = await fill_in(browser, stack)
    old = [(name, "999" if name == "version" else value) for name, value in confirmed]
    assert old != confirmed
    asked = await browser.post(path, old)
    page = await asked.text()
    assert asked.status == 200
    assert "刚有更新" in page
    accepted = await browser.post(path, [*Form(page).fields, ("step", "submit")])
    assert accepted.status == 303


async def test_errors_stand_at_their_fields(browser: Browser, stack: Stack) -> None:
    path = f"/kiosk/items/{stack.printable.code}"
    form = Form(await browser.get(path))
    answer = await browser.post(path, [*form.fields, ("step", "confirm"), ("assisted", "1")])
    page = await answer.text()
    assert answer.status == 422
    count = int(re.search(r"有 (\d+) 处需要修改", page)[1])  # type: ignore[index]
    assert count == page.count('class="error"') >= 4
    kept = [("applicant.name", '"><script>alert(1)</script>'), ("step", "confirm")]
    answer = await browser.post(path, [*form.fields, *kept])
    assert "<script>alert" not in await answer.text()


async def test_the_assisted_channel_names_who_assists(browser: Browser, stack: Stack) -> None:
    path, confirmed = await fill_in(browser, stack)
    alone = [(name, value) for name, value in confirmed if name != "assistant"]
    answer = await browser.post(path, [*alone, ("assisted", "1"), ("assistant", "m-07")])
    event = await stack.submitted(answer.headers["Location"].rpartition("/")[2])
    assert (event.origin.channel, event.origin.assistant) == ("assisted", "m-07")


async def test_a_form_from_elsewhere_is_refused(
    browser: Browser, intake: Replica, stack: Stack
) -> None:
    path, confirmed = await fill_in(browser, stack)
    for name in ("proof", "key"):
        forged = [(n, "0" * 32 if n == name else v) for n, v in confirmed]
        assert (await browser.post(path, forged)).status == 403
        without = [(n, v) for n, v in confirmed if n != name]
        assert (await browser.post(path, without)).status == 403
    other = Browser(intake)
    await other.log_in(token("kiosk-002"))
    assert (await other.post(path, confirmed)).status == 403


async def test_following_a_request(browser: Browser, intake: Replica, stack: Stack) -> None:
    path, confirmed = await fill_in(browser, stack)
    path = (await browser.post(path, confirmed)).headers["Location"]
    event = await stack.submitted(path.rpartition("/")[2])
    assert "已提交" in await browser.get(path)
    await stack.tell(event, Status.SUBMITTED, Status.NEEDS_SUPPLEMENT, reason="缺<b>页</b>")
    await shown(intake, event.request_id, Status.NEEDS_SUPPLEMENT)
    page = await browser.get(path)
    assert "缺&lt;b&gt;页" in page
    form = Form(page)
    empty = await browser.post(f"{path}/supplement", form.fields[:2])
    assert "请填写需要补充的内容" in await empty.text()
    given = [("key", form.get("key")), ("proof", form.get("proof")), ("remark", "已补")]
    assert (await browser.post(f"{path}/supplement", given)).status == 303
    assert len(await stack.events(topics.REQUESTS_COMMANDS, event.request_id)) == 1

    await stack.tell(event, Status.COMPLETED, seq=3)
    await stack.report_print(event, DOCUMENT, PrintStatus.PRINTED, seq=1)
    await shown(intake, event.request_id, Status.COMPLETED)
    page = await browser.get(path)
    while "再打印一份" not in page:
        page = await browser.get(f"{path}?part=1")
    assert "&lt;b&gt;证明" in page
    assert "<b>证明" not in page
    form = Form(page)
    proof = [("key", form.get("key")), ("proof", form.get("proof"))]
    assert (await browser.post(f"{path}/print", proof)).status == 303
    (order,) = await stack.events(topics.PRINT_ORDERS, event.request_id)
    assert isinstance(order.body, PrintOrdered)
    assert order.body.copy_number == 2
    ungraded = await browser.post(f"{path}/rating", proof)
    assert "请选择满意程度" in await ungraded.text()
    form = Form(await browser.get(path))
    proof = [("key", form.get("key")), ("proof", form.get("proof"))]
    assert (await browser.post(f"{path}/rating", [*proof, ("grade", "5")])).status == 303
    late = await browser.post(f"{path}/withdrawal", proof)
    assert "不能撤回" in await late.text()
    assert (await browser.post(f"{path}/nonsense", proof)).status == 404


async def test_request_of_another_visit_is_shown_after_proof_alone(
    browser: Browser, intake: Replica, stack: Stack
) -> None:
    event = await stack.accepted(intake, "kiosk-of-another")
    path = f"/kiosk/requests/{event.request_id}"
    await stack.tell(event, Status.SUBMITTED, Status.REJECTED, reason="这是别人的事")
    await shown(intake, event.request_id, Status.REJECTED)

    closed = await browser.get(path, status=403)
    assert "请先核实申请人" in closed
    assert "这是别人的事" not in closed
    for below in ("?part=1", "/events", "/documents/d-1"):
        assert "这是别人的事" not in await browser.get(path + below, status=403)
    form = Form(closed)
    proof = [("key", form.get("key")), ("proof", form.get("proof"))]
    for kind in ("withdrawal", "print", "rating", "supplement"):
        assert (await browser.post(f"{path}/{kind}", [*proof, ("grade", "5")])).status == 403

    applicant = stack.printable.example_applicant
    answer, page = await browser.prove(event.request_id, number="0000", phone="0000")
    assert (answer.status, "不一致" in page) == (403, True)
    await browser.proved(event.request_id, applicant)
    assert "这是别人的事" in await browser.get(path)

    # The next person begins at home: the same address asks again.
    await browser.get("/kiosk")
    assert "这是别人的事" not in await browser.get(path, status=403)


async def test_request_is_locked_after_a_few_wrong_proofs(
    browser: Browser, intake: Replica, stack: Stack
) -> None:
    event = await stack.accepted(intake, "kiosk-guessed")
    await stack.tell(event, Status.SUBMITTED, Status.ROUTED)
    await shown(intake, event.request_id, Status.ROUTED)
    for phone in ("0001", "0002", "0003"):
        answer, _ = await browser.prove(event.request_id, number="0000", phone=phone)
        assert answer.status == 403
    answer, page = await browser.prove(event.request_id, number="0000", phone="0004")
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) > 200
    assert "秒后可以再试" in page


async def test_form_of_the_person_before_cannot_be_sent_again(
    browser: Browser, stack: Stack
) -> None:
    """The way back to a page that was posted: the browser offers to send the form once more."""
    path, confirmed = await fill_in(browser, stack)
    await browser.get("/kiosk")
    again = await browser.post(path, [*confirmed, ("step", "edit")])
    assert again.status == 403
    name = dict(confirmed)["applicant.name"]
    assert name not in await again.text()


async def test_another_branchs_request_is_not_shown(intake: Replica, stack: Stack) -> None:
    event = await stack.accepted(intake, "kiosk-elsewhere")
    elsewhere = Browser(intake)
    await elsewhere.log_in(token("kiosk-900", "branch-09"))
    await elsewhere.get(f"/kiosk/requests/{event.request_id}", status=403)
    await elsewhere.get(f"/kiosk/requests/{event.request_id}/events", status=403)


async def test_the_cookie_opens_no_api(intake: Replica) -> None:
    answer = await intake.session.get(
        f"{intake.url}/v1/catalogue/summary", headers={"Cookie": f"tongban_kiosk={token()}"}
    )
    assert answer.status == 401


async def test_province_that_cannot_be_reached_is_told_before_anyone_types(
    browser: Browser, stack: Stack
) -> None:
    item = stack.printable
    path = f"/kiosk/items/{item.code}"

    async def reported(cause: str | None) -> None:
        state = ConnectorState(
            province=item.province, instance="connectors-0", cause=cause,
            since=datetime.now(CHINA),
            circuit=CircuitState.OPEN if cause else CircuitState.CLOSED,
        )  # fmt: skip
        key, value = state.to_record()
        await stack.producer.send(CONNECTORS_STATE, key=key, value=value, headers=JSON_HEADERS)

    async def says(words: str, *, there: bool = True) -> bool:
        return (words in await browser.get(path)) is there

    assert "省级平台暂时连不上" not in await browser.get(path)
    await reported("down")
    await until(lambda: says("省级平台暂时连不上"))
    await reported(None)
    await until(lambda: says("省级平台暂时连不上", there=False))
