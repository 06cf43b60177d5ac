"""GET /v1/requests/{id}, its documents and its codes, as the read model tells them."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest

from tests.integration.intake.conftest import BRANCH, Replica, Stack, token, until
from tests.integration.intake.test_submit import problem
from tongban_common import topics
from tongban_common.domain import ids
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.domain.verification import file_code, grouped, sheet_code
from tongban_common.envelope import KeyRing
from tongban_common.events.models import DocumentRef, NotificationReported
from tongban_common.settings import CommonSettings
from tongban_common.store import DocumentStore, Store
from tongban_intake.readmodel.public import masked_name, masked_number

RESULT = {"number": "N-1", "issuer": "示例局", "issued_on": "2026-03-02", "facts": []}


def keyring() -> KeyRing:
    return KeyRing.parse(CommonSettings().keyring.get_secret_value())


async def shown(intake: Replica, request_id: str, status: Status) -> dict[str, Any]:
    """The request once it reads so."""

    async def reads() -> dict[str, Any] | None:
        body: dict[str, Any] = await intake.get(f"/v1/requests/{request_id}")
        return body if body["status"] == status else None

    found: dict[str, Any] = await until(reads, what=f"{request_id} {status}")
    return found


async def test_a_request_reads_submitted_until_it_is_projected(
    intake: Replica, stack: Stack
) -> None:
    answer = await intake.submit(stack.body(), "reading-fresh")
    body = await intake.get((await answer.json())["status_url"])
    assert body["status"] == "submitted"
    assert body["item_code"] == stack.printable.code
    assert body["delayed"] is True
    assert body["timeline"] == body["documents"] == body["print_orders"] == body["messages"] == []


async def test_the_whole_life_of_a_request(intake: Replica, stack: Stack) -> None:
    event = await stack.accepted(intake, "reading-life")
    await stack.tell(event, Status.SUBMITTED, Status.ROUTED)
    sealed = keyring().add(event.request_id, event.sealed, {"result": RESULT})
    await stack.tell(event, Status.COMPLETED, seq=3, sealed=sealed, reason="已办结")
    pdf = b"%PDF-1.7 sample"
    document = DocumentRef(
        document_id="doc.1$", title="社保缴费证明", pages=2, sha256=hashlib.sha256(pdf).hexdigest()
    )
    documents = DocumentStore(Store(stack.store, "tongban"), keyring())
    await documents.put(event.request_id, document, pdf, sealed, at=event.submitted_at)
    await stack.report_print(event, document, PrintStatus.QUEUED, seq=1)
    await stack.report_print(event, document, PrintStatus.PRINTED, seq=2)
    sent = NotificationReported(
        request_id=event.request_id,
        reference="ref.1",
        template="completed",
        channel="sms",
        status="sent",
        provider="alpha",
        at=event.submitted_at,
    )
    await stack.send(topics.NOTIFICATIONS_SENT, sent, "note-1")

    async def whole() -> dict[str, Any] | None:
        body: dict[str, Any] = await intake.get(f"/v1/requests/{event.request_id}")
        printed = [order["status"] for order in body["print_orders"]] == ["printed"]
        return body if printed and body["messages"] and body["status"] == "completed" else None

    body = await until(whole)
    assert [(line["seq"], line["status"]) for line in body["timeline"]] == [
        (1, "submitted"),
        (2, "routed"),
        (3, "completed"),
    ]
    assert body["reason"] == "已办结"
    assert body["outcome"] == RESULT
    assert body["item_name"] == event.item.name
    assert body["province"] == event.item.province
    assert body["documents"] == [
        {"document_id": "doc.1$", "title": "社保缴费证明", "pages": 2, "sha256": document.sha256}
    ]
    assert body["print_orders"][0]["document_id"] == "doc.1$"
    assert body["messages"][0] | {"at": ""} == {
        "template": "completed",
        "channel": "sms",
        "status": "sent",
        "at": "",
    }
    assert "delayed" not in body

    fetched = await intake.call("GET", f"/v1/requests/{event.request_id}/documents/doc.1$")
    assert (fetched.status, await fetched.read()) == (200, pdf)
    assert fetched.content_type == "application/pdf"
    assert "no-store" in fetched.headers["Cache-Control"]
    missing = await intake.call("GET", f"/v1/requests/{event.request_id}/documents/other")
    await problem(missing, 404)

    on_paper = grouped(sheet_code("doc.1$"))
    for typed in (on_paper, on_paper.lower(), file_code(document.sha256)):
        answer = await intake.session.get(f"{intake.url}/v1/verify/{typed}")
        known = await answer.json()
        assert answer.status == 200
        assert known["title"] == known["item_name"] == event.item.name
        assert known["issuer"] == stack.printable.department
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", known["issued_on"])
        applicant = stack.printable.example_applicant
        assert known["holder"] == masked_name(applicant["name"])
        assert known["holder_number"] == masked_number(applicant["id_number"])
        assert (known["number"], known["pages"]) == (RESULT["number"], 2)
        told = str(known)
        assert applicant["id_number"] not in told
        assert stack.printable.example_applicant["name"] not in told
        assert event.request_id not in told


@pytest.mark.parametrize("code", ["0000000000000000", "x", "A" * 200, "%00", "....."])
async def test_a_code_of_nothing_is_404(intake: Replica, code: str) -> None:
    answer = await intake.session.get(f"{intake.url}/v1/verify/{code}")
    await problem(answer, 404)


async def test_ids_that_were_never_issued_are_404(intake: Replica) -> None:
    forged = ids.request_id("another secret", kiosk_id="k", branch_id=BRANCH, key="key-00001")
    for request_id in (forged, "r-nonsense", "x" * 300, forged.upper()):
        for path in ("", "/events", "/documents/d"):
            await problem(await intake.call("GET", f"/v1/requests/{request_id}{path}"), 404)
        for path in ("supplements", "withdrawal", "prints", "rating"):
            answer = await intake.post(f"/v1/requests/{request_id}/{path}", {}, "never-issued")
            await problem(answer, 404)


async def test_another_branch_is_403(intake: Replica, stack: Stack) -> None:
    answer = await intake.submit(stack.body(), "other-branch")
    request_id = (await answer.json())["request_id"]
    elsewhere = {"Authorization": f"Bearer {token('kiosk-900', 'branch-09')}"}
    for path in ("", "/events", "/documents/d"):
        url = f"/v1/requests/{request_id}{path}"
        await problem(await intake.call("GET", url, headers=elsewhere), 403)
    answer = await intake.post(
        f"/v1/requests/{request_id}/withdrawal", {}, "other-branch", headers=elsewhere
    )
    await problem(answer, 403)
    neighbour = {"Authorization": f"Bearer {token('kiosk-002')}"}
    same_branch = await intake.call("GET", f"/v1/requests/{request_id}", headers=neighbour)
    assert same_branch.status == 200


async def test_reading_needs_a_token(intake: Replica, stack: Stack) -> None:
    answer = await intake.submit(stack.body(), "reading-token")
    request_id = (await answer.json())["request_id"]
    none = {"Authorization": ""}
    for path in (f"/v1/requests/{request_id}", "/v1/catalogue/summary", "/v1/catalogue/items"):
        await problem(await intake.call("GET", path, headers=none), 401)
