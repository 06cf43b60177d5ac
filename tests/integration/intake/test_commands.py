"""Supplement, withdrawal, print and rating: once each, and only where the state allows it."""

from __future__ import annotations

import asyncio

from tests.integration.intake.conftest import Replica, Stack, until
from tests.integration.intake.test_reading import keyring, shown
from tests.integration.intake.test_submit import pointers, problem
from tongban_common import topics
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.events.models import (
    DocumentRef,
    FeedbackRated,
    PrintOrdered,
    SupplementHanded,
    WithdrawalAsked,
)

DOCUMENT = DocumentRef(document_id="d-1", title="证明", pages=1, sha256="cd" * 32)


async def test_supplement_is_accepted_where_the_province_requested_it(
    intake: Replica, stack: Stack
) -> None:
    event = await stack.accepted(intake, "supplement-a")
    path = f"/v1/requests/{event.request_id}/supplements"
    form = {"form": {"extra": "说明"}}
    early = await problem(await intake.post(path, form, "supplement-key-1"), 409)
    assert "补充" in early["detail"]
    await stack.tell(event, Status.SUBMITTED, Status.NEEDS_SUPPLEMENT)
    await shown(intake, event.request_id, Status.NEEDS_SUPPLEMENT)
    first = await intake.post(path, form, "supplement-key-1")
    assert first.status == 202
    (given,) = await stack.events(topics.REQUESTS_COMMANDS, event.request_id)
    assert isinstance(given.body, SupplementHanded)
    assert keyring().open(event.request_id, given.body.sealed, "supplement") == form["form"]
    assert list(given.body.sealed.parts) == ["supplement"]

    # Its repeat is answered the same even when the request has moved on; another body is not.
    await stack.tell(event, Status.ACCEPTED, seq=3)
    await shown(intake, event.request_id, Status.ACCEPTED)
    again = await intake.post(path, form, "supplement-key-1")
    assert (again.status, await again.read()) == (202, await first.read())
    other = await intake.post(path, {"form": {"extra": "别的"}}, "supplement-key-1")
    await problem(other, 422)
    await problem(await intake.post(path, form, "supplement-key-2"), 409)
    assert len(await stack.events(topics.REQUESTS_COMMANDS, event.request_id)) == 1


async def test_a_supplement_is_checked(intake: Replica, stack: Stack) -> None:
    event = await stack.accepted(intake, "supplement-b")
    await stack.tell(event, Status.SUBMITTED, Status.NEEDS_SUPPLEMENT)
    await shown(intake, event.request_id, Status.NEEDS_SUPPLEMENT)
    path = f"/v1/requests/{event.request_id}/supplements"
    assert pointers(await problem(await intake.post(path, {}, "supplement-b1"), 422)) == {"/form"}
    empty = await intake.post(path, {"form": {}}, "supplement-b2")
    assert pointers(await problem(empty, 422)) == {"/form"}
    field = next(iter(stack.printable.form["properties"]))
    wrong = await intake.post(path, {"form": {field: [1]}}, "supplement-b3")
    assert pointers(await problem(wrong, 422)) == {f"/form/{field}"}


async def test_a_withdrawal_is_taken_until_the_end(intake: Replica, stack: Stack) -> None:
    event = await stack.accepted(intake, "withdrawal-a")
    path = f"/v1/requests/{event.request_id}/withdrawal"
    # Also before anything is projected.
    first = await intake.post(path, {}, "withdrawal-key")
    assert first.status == 202
    assert (await (await intake.post(path, {}, "withdrawal-key")).read()) == await first.read()
    (given,) = await stack.events(topics.REQUESTS_COMMANDS, event.request_id)
    assert isinstance(given.body, WithdrawalAsked)
    await stack.tell(event, Status.SUBMITTED, Status.WITHDRAWN)
    await shown(intake, event.request_id, Status.WITHDRAWN)
    late = await problem(await intake.post(path, {}, "withdrawal-key-2"), 409)
    assert "已撤回" in late["detail"]


async def test_each_print_is_a_copy_of_its_own(intake: Replica, stack: Stack) -> None:
    event = await stack.accepted(intake, "prints-a")
    path = f"/v1/requests/{event.request_id}/prints"
    await problem(await intake.post(path, {}, "prints-none-yet"), 409)
    await stack.tell(event, Status.SUBMITTED, Status.COMPLETED)
    await stack.report_print(event, DOCUMENT, PrintStatus.QUEUED, seq=1)

    async def in_print() -> bool:
        body = await intake.get(f"/v1/requests/{event.request_id}")
        return bool(body["print_orders"])

    await until(in_print)
    busy = await problem(await intake.post(path, {}, "prints-too-soon"), 409)
    assert "正在打印" in busy["detail"]
    await stack.report_print(event, DOCUMENT, PrintStatus.PRINTED, seq=2)

    async def printed() -> bool:
        body = await intake.get(f"/v1/requests/{event.request_id}")
        return bool(body["print_orders"][0]["status"] == "printed")

    await until(printed)
    wrong = await intake.post(path, {"document_id": "other"}, "prints-unknown")
    assert pointers(await problem(wrong, 422)) == {"/document_id"}
    # Two people press at once, and one of them twice.
    answers = await asyncio.gather(
        *(intake.post(path, {}, key) for key in ("prints-key-1", "prints-key-1", "prints-key-2"))
    )
    assert {answer.status for answer in answers} <= {202, 409}
    orders = {(await a.json())["order_id"] for a in answers if a.status == 202}
    assert orders
    events = await stack.events(topics.PRINT_ORDERS, event.request_id)
    bodies = {each.id: each.body for each in events}
    assert all(isinstance(body, PrintOrdered) for body in bodies.values())
    assert {body.order_id for body in bodies.values()} == orders
    copies = [body.copy_number for body in bodies.values()]
    assert sorted(copies) == list(range(2, 2 + len(orders)))
    assert {body.document_id for body in bodies.values()} == {"d-1"}


async def test_a_rating_is_given_once_and_names_nobody(intake: Replica, stack: Stack) -> None:
    event = await stack.accepted(intake, "rating-a")
    name = stack.printable.example_applicant["name"]
    path = f"/v1/requests/{event.request_id}/rating"
    rating = {"grade": 5, "words": f"我是{name}，电话138 0000 1234，很方便"}
    await problem(await intake.post(path, rating, "rating-early"), 409)
    await stack.tell(event, Status.SUBMITTED, Status.COMPLETED)
    await shown(intake, event.request_id, Status.COMPLETED)
    for wrong in ({}, {"grade": 0}, {"grade": 6}, {"grade": "5"}, {"grade": True}):
        answer = await intake.post(path, wrong, "rating-wrong")
        assert pointers(await problem(answer, 422)) == {"/grade"}
    assert (await intake.post(path, rating, "rating-key-1")).status == 202
    (given,) = await stack.events(topics.FEEDBACK_RATED, event.request_id)
    assert isinstance(given.body, FeedbackRated)
    assert given.body.grade == 5
    assert given.body.words is None
    assert given.body.sealed is not None
    assert keyring().open(event.request_id, given.body.sealed, "words") == rating["words"]
    assert name not in given.body.model_dump_json()

    async def rated() -> bool:
        return "rating" in await intake.get(f"/v1/requests/{event.request_id}")

    await until(rated)
    assert (await intake.post(path, rating, "rating-key-1")).status == 202
    await problem(await intake.post(path, rating, "rating-key-2"), 409)
    assert len(await stack.events(topics.FEEDBACK_RATED, event.request_id)) == 1


async def test_command_without_key_token_or_valid_body_is_refused(
    intake: Replica, stack: Stack
) -> None:
    event = await stack.accepted(intake, "followups-needs")
    path = f"/v1/requests/{event.request_id}/withdrawal"
    await problem(await intake.call("POST", path, json={}), 400)
    await problem(await intake.post(path, {}, "followups-k1", headers={"Authorization": ""}), 401)
    text = await intake.call("POST", path, data=b"", headers={"Idempotency-Key": "followups-k2"})
    await problem(text, 415)
    extra = await intake.post(path, {"why": "x"}, "followups-k3")
    assert pointers(await problem(extra, 422)) == {"/why"}
