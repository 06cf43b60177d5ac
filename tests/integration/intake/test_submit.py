"""POST /v1/requests: every answer of the contract."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from tests.integration.intake.conftest import BRANCH, KIOSK, Replica, Stack, token
from tongban_common import topics
from tongban_common.envelope import KeyRing
from tongban_common.settings import CommonSettings


async def problem(response: aiohttp.ClientResponse, status: int) -> dict[str, Any]:
    """The problem document of an answer."""
    assert response.status == status, (response.status, await response.text())
    assert response.content_type == "application/problem+json"
    body: dict[str, Any] = await response.json(content_type=None)
    assert body["status"] == status
    assert body["type"].startswith("urn:tongban:problem:")
    assert body["title"]
    return body


def pointers(body: dict[str, Any]) -> set[str]:
    return {error["pointer"] for error in body["errors"]}


async def test_accepted_submission_is_sealed_on_kafka(intake: Replica, stack: Stack) -> None:
    body = stack.body()
    answer = await intake.submit(body, "submit-accepted")
    assert answer.status == 202
    receipt = await answer.json()
    # What they say goes by the hour and by what other tests have handed in: test_intake_notes.
    assert isinstance(receipt.pop("notes"), list)
    request_id = receipt["request_id"]
    assert receipt == {
        "request_id": request_id,
        "status": "submitted",
        "status_url": f"/v1/requests/{request_id}",
        "events_url": f"/v1/requests/{request_id}/events",
    }
    (event,) = await stack.events(topics.REQUESTS_SUBMITTED, request_id)
    submitted = event.body
    assert submitted.item.code == body["item_code"]
    assert submitted.item.template
    assert submitted.print is True
    assert (submitted.origin.kiosk_id, submitted.origin.branch_id) == (KIOSK, BRANCH)
    assert (submitted.deadline - submitted.submitted_at).days >= 7
    assert submitted.applicant.age_band
    assert submitted.applicant.region == body["applicant"]["id_number"][:2]
    clear = submitted.model_dump_json()
    for secret in (body["applicant"]["name"], body["applicant"]["id_number"]):
        assert secret not in clear
    keys = KeyRing.parse(CommonSettings().keyring.get_secret_value())
    assert keys.open(request_id, submitted.sealed, "applicant") == body["applicant"]
    assert keys.open(request_id, submitted.sealed, "form") == body["form"]


async def test_print_and_assistant_are_on_record(intake: Replica, stack: Stack) -> None:
    event = await stack.accepted(
        intake, "assisted-1", channel="assisted", assistant="m-07", print=False
    )
    assert event.origin.assistant == "m-07"
    assert event.print is False
    query = next(item for item in stack.catalogue if not item.printable)
    assert (await stack.accepted(intake, "query-001", item=query)).item.template is None


@pytest.mark.parametrize(
    ("raw", "headers"),
    [
        (b"{", {}),
        (b"[]", {}),
        (b'"text"', {}),
        (b"\xff\xfe", {}),
        (b'{"a": NaN}', {}),
        (b'{"a": 1, "a": 2}', {}),
        (b"\xef\xbb\xbf{}", {}),
        (b'{"a":' * 400 + b"1" + b"}" * 400, {}),
        (b"{}", {"Idempotency-Key": "short"}),
        (b"{}", {"Idempotency-Key": "k" * 129}),
        (b"{}", {"Idempotency-Key": "with a space"}),
    ],
)
async def test_malformed_submission_is_400(
    intake: Replica, raw: bytes, headers: dict[str, str]
) -> None:
    answer = await intake.call(
        "POST",
        "/v1/requests",
        data=raw,
        headers={"Content-Type": "application/json", "Idempotency-Key": "malformed-1", **headers},
    )
    await problem(answer, 400)


async def test_a_missing_key_is_400(intake: Replica, stack: Stack) -> None:
    await problem(await intake.call("POST", "/v1/requests", json=stack.body()), 400)


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer nonsense", "Basic abc", f"Bearer {token()}x", "Bearer a.b"],
)
async def test_no_valid_token_is_401(intake: Replica, stack: Stack, authorization: str) -> None:
    answer = await intake.submit(
        stack.body(), "unauthenticated", headers={"Authorization": authorization}
    )
    await problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_token_out_of_date_is_401(intake: Replica, stack: Stack) -> None:
    old = token(lifetime_s=-1)
    answer = await intake.submit(
        stack.body(), "out-of-date", headers={"Authorization": f"Bearer {old}"}
    )
    await problem(answer, 401)


async def test_an_unknown_item_is_404(intake: Replica, stack: Stack) -> None:
    body = stack.body() | {"item_code": "11000020990990007"}
    found = await problem(await intake.submit(body, "unknown-item"), 404)
    assert pointers(found) == {"/item_code"}


async def test_oversized_submission_is_413(intake: Replica, stack: Stack) -> None:
    body = stack.body() | {"form": {"x": "x" * 300_000}}
    await problem(await intake.submit(body, "too-large-1"), 413)

    async def endless() -> Any:
        for _ in range(40):
            yield b" " * 10_000

    answer = await intake.call(
        "POST",
        "/v1/requests",
        data=endless(),
        headers={"Content-Type": "application/json", "Idempotency-Key": "too-large-2"},
    )
    await problem(answer, 413)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_another_media_type_is_415(intake: Replica, media_type: str) -> None:
    answer = await intake.call(
        "POST",
        "/v1/requests",
        data=b"{}",
        headers={"Content-Type": media_type, "Idempotency-Key": "media-type-1"},
    )
    await problem(answer, 415)


async def test_compressed_body_is_415_and_names_the_accepted_encoding(intake: Replica) -> None:
    answer = await intake.call(
        "POST",
        "/v1/requests",
        data=b"{}",
        headers={
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Idempotency-Key": "encoding-1",
        },
    )
    assert answer.headers["Accept-Encoding"] == "identity"
    await problem(answer, 415)


async def test_wrong_fields_are_422_each_by_its_pointer(intake: Replica, stack: Stack) -> None:
    body = stack.body()
    person = body["applicant"]
    wrong = {
        **body,
        "channel": "assisted",
        "applicant": {**person, "id_number": person["id_number"][:-1] + "0", "phone": "12345"},
        "form": {"nonsense/~": 1},
    }
    if wrong["applicant"]["id_number"] == person["id_number"]:
        wrong["applicant"]["id_number"] = person["id_number"][:-1] + "1"
    found = await problem(await intake.submit(wrong, "wrong-fields"), 422)
    required = {f"/form/{name}" for name in stack.printable.form["required"]}
    assert pointers(found) == required | {
        "/assistant",
        "/applicant/id_number",
        "/applicant/phone",
        "/form/nonsense~1~0",
    }
    assert "12345" not in str(found)
    missing = await intake.submit({"applicant": {"type": "person"}}, "wrong-shape")
    assert pointers(await problem(missing, 422)) >= {
        "/item_code",
        "/channel",
        "/form",
        "/applicant/name",
        "/applicant/phone",
    }
    for applicant in ({"type": "robot"}, {}, 7):
        answer = await intake.submit(body | {"applicant": applicant}, "wrong-applicant")
        assert "/applicant" in "".join(pointers(await problem(answer, 422)))
    extra = await intake.submit(body | {"pritn": True}, "misspelt-field")
    assert pointers(await problem(extra, 422)) == {"/pritn"}


async def test_option_that_the_item_does_not_offer_is_422(intake: Replica, stack: Stack) -> None:
    query = next(item for item in stack.catalogue if not item.printable)
    answer = await intake.submit(stack.body(query, print=True), "print-what")
    assert pointers(await problem(answer, 422)) == {"/print"}
    personal = next(i for i in stack.catalogue if i.audience == "person")
    company = {
        "type": "company",
        "name": "示例公司",
        "uscc": "91310000000000011A",
        "agent": personal.example_applicant | {"name": "张三"},
    }
    del company["agent"]["type"]
    answer = await intake.submit(stack.body(personal, applicant=company), "audience-1")
    assert pointers(await problem(answer, 422)) == {"/applicant/type", "/applicant/uscc"}


async def test_errors_speak_the_language_that_is_wanted(intake: Replica, stack: Stack) -> None:
    body = stack.body() | {"channel": "assisted"}
    zh = await problem(await intake.submit(body, "language-1"), 422)
    answer = await intake.submit(body, "language-1", headers={"Accept-Language": "en-GB, zh;q=0.5"})
    en = await problem(answer, 422)
    assert answer.headers["Content-Language"] == "en"
    assert "工号" in zh["errors"][0]["message"]
    assert "assisted" in en["errors"][0]["message"]


async def test_a_kiosk_that_asks_too_often_is_429(stack: Stack) -> None:
    async with stack.replica(TONGBAN_KIOSK_RATE="0.1", TONGBAN_KIOSK_BURST="3") as intake:
        answers = [await intake.submit(stack.body(), f"often-{n:04d}") for n in range(4)]
        assert [answer.status for answer in answers] == [202, 202, 202, 429]
        await problem(answers[-1], 429)
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 10
        other = await intake.submit(
            stack.body(), "often-0009", headers={"Authorization": f"Bearer {token('kiosk-002')}"}
        )
        assert other.status == 202


async def test_a_body_that_trickles_is_408(stack: Stack) -> None:
    async with stack.replica(TONGBAN_BODY_SECONDS="0.3") as intake:

        async def slow() -> Any:
            yield b"{"
            await asyncio.sleep(5)

        answer = await intake.call(
            "POST",
            "/v1/requests",
            data=slow(),
            headers={"Content-Type": "application/json", "Idempotency-Key": "trickle-1"},
        )
        await problem(answer, 408)


async def test_a_head_that_trickles_is_cut_off(stack: Stack) -> None:
    async with stack.replica(TONGBAN_HEADER_SECONDS="0.3") as intake:
        host, port = intake.url.removeprefix("http://").split(":")
        for first in (b"", b"GET /livez HTTP/1.1\r\nHost: x\r\nX-"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(first)
            began = time.monotonic()
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            # A connection closed at once would have been refused for another reason.
            assert time.monotonic() - began >= 0.2
            writer.close()


async def test_a_later_head_on_a_connection_that_trickles_is_cut_off(stack: Stack) -> None:
    async with stack.replica(TONGBAN_HEADER_SECONDS="0.3") as intake:
        host, port = intake.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(3):
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                await reader.readuntil(b"}}")
        writer.write(b"GET /livez HTTP/1.1\r\nHost:")
        began = time.monotonic()
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        # A connection closed at once would have been refused for another reason.
        assert time.monotonic() - began >= 0.2
        writer.close()


async def test_unknown_paths_and_methods_are_problems_too(intake: Replica) -> None:
    await problem(await intake.call("GET", "/v1/nonsense"), 404)
    await problem(await intake.call("DELETE", "/v1/requests"), 405)
