"""Every kind of error over HTTP, in the language that was asked for and in no other."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest

from tests.integration.intake.conftest import Replica, Stack, token
from tests.integration.intake.test_reading import shown
from tongban_common.domain.status import Status
from tongban_intake.problems import Kind

ELSEWHERE = {Kind.GONE, Kind.INTERNAL}
"""Not by asking: a key that was destroyed (test_keys_destroy), a fault of ours."""
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_ENGLISH_WORDS = re.compile(r"\b(?:the|is|not|must|too|with|for|try|send)\b", re.IGNORECASE)
_JSON = {"Content-Type": "application/json"}

Asking = Callable[[dict[str, str]], Coroutine[Any, Any, aiohttp.ClientResponse]]


class Wrong:
    """One way into each kind of problem; `language` is sent along."""

    def __init__(self, intake: Replica, stack: Stack, finished: str) -> None:
        self._intake = intake
        self._stack = stack
        self._finished = finished

    def ways(self) -> dict[Kind, Asking]:
        """All that can be asked for."""
        return {
            Kind.MALFORMED: lambda h: self._raw(b"{", {"Idempotency-Key": "word-malformed", **h}),
            Kind.UNAUTHENTICATED: lambda h: self._get(self._finished, Authorization="", **h),
            Kind.FORBIDDEN: lambda h: self._get(
                self._finished, Authorization=f"Bearer {token('kiosk-900', 'branch-09')}", **h
            ),
            Kind.NOT_FOUND: lambda h: self._get("r-nothing", **h),
            Kind.METHOD: lambda h: self._intake.call("DELETE", "/v1/requests", headers=h),
            Kind.SLOW: self._slow,
            Kind.CONFLICT: lambda h: self._intake.post(
                f"/v1/requests/{self._finished}/withdrawal", {}, "word-conflict", headers=h
            ),
            Kind.TOO_LARGE: lambda h: self._raw(
                b'{"x": "' + b"x" * 300_000 + b'"}', {"Idempotency-Key": "word-too-large", **h}
            ),
            Kind.MEDIA_TYPE: lambda h: self._raw(
                b"{}", {"Idempotency-Key": "word-media-type", **h, "Content-Type": "text/plain"}
            ),
            Kind.INVALID: lambda h: self._submit(self._invalid(), "word-invalid", h),
            Kind.KEY_REUSED: self._reused,
            Kind.TOO_MANY: self._too_many,
            Kind.UNAVAILABLE: self._no_room,
        }

    async def _raw(self, data: bytes, headers: dict[str, str]) -> aiohttp.ClientResponse:
        return await self._intake.call(
            "POST", "/v1/requests", data=data, headers={**_JSON, **headers}
        )

    async def _get(self, request_id: str, **headers: str) -> aiohttp.ClientResponse:
        path = f"/v1/requests/{request_id}"
        return await self._intake.call(
            "GET", path, headers={name.replace("_", "-"): said for name, said in headers.items()}
        )

    async def _submit(self, body: Any, key: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
        return await self._intake.submit(body, key, headers=headers)

    def _invalid(self) -> dict[str, Any]:
        """As many faults at once as one body can have once its shape is right."""
        item = self._stack.printable
        return self._stack.body(
            item,
            channel="assisted",
            applicant={
                **item.example_applicant, "id_number": "11010119900230123X", "phone": "12",
            },
            form={**dict.fromkeys(item.example_form, 7), "made_up": 1},
        )  # fmt: skip

    async def _slow(self, headers: dict[str, str]) -> aiohttp.ClientResponse:
        async def body() -> Any:
            yield b"{"
            await asyncio.sleep(20)  # far beyond what this replica waits for

        return await self._intake.call(
            "POST",
            "/v1/requests",
            data=body(),
            headers={**_JSON, "Idempotency-Key": "word-slow", **headers},
        )

    async def _reused(self, headers: dict[str, str]) -> aiohttp.ClientResponse:
        assert (await self._submit(self._stack.body(), "word-reused", headers)).status == 202
        return await self._submit(self._stack.body(print=False), "word-reused", headers)

    async def _too_many(self, headers: dict[str, str]) -> aiohttp.ClientResponse:
        headers = {"Authorization": f"Bearer {token('kiosk-002')}", **headers}
        for _ in range(60):
            answer = await self._submit({}, "word-too-many", headers)
            if answer.status == 429:
                return answer
        raise AssertionError("never too many")

    async def _no_room(self, headers: dict[str, str]) -> aiohttp.ClientResponse:
        path = f"/v1/requests/{self._finished}/events"
        own = {"Authorization": f"Bearer {token()}", **headers}
        async with self._intake.session.get(self._intake.url + path, headers=own) as first:
            if first.status == 503:  # the last one's place has not been given back yet
                await first.read()
                return first
            return await self._intake.call("GET", path, headers=headers)


@pytest.fixture(scope="module")
async def wrong(stack: Stack) -> Any:
    small = {
        "TONGBAN_BODY_SECONDS": "0.5",
        "TONGBAN_KIOSK_RATE": "0.2",
        "TONGBAN_KIOSK_BURST": "40",
        "TONGBAN_MAX_STREAMS": "1",
        "TONGBAN_STREAM_GRACE": "60",
    }
    async with stack.replica(**small) as intake:
        event = await stack.accepted(intake, "word-finished", print=True)
        await stack.tell(event, Status.SUBMITTED, Status.COMPLETED)
        await shown(intake, event.request_id, Status.COMPLETED)
        yield Wrong(intake, stack, event.request_id)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in ELSEWHERE], ids=str)
async def test_problem_is_reported_in_the_requested_language(wrong: Wrong, kind: Kind) -> None:
    for language, asked in (("zh", "zh-CN,zh;q=0.9,en;q=0.5"), ("en", "en-GB,en;q=0.9")):
        answer = await wrong.ways()[kind]({"Accept-Language": asked})
        assert answer.status == kind.status, await answer.text()
        body = await answer.json(content_type="application/problem+json")
        assert (body["type"], body["title"]) == (kind.uri, kind.title.in_(language))  # type: ignore[arg-type]
        assert answer.headers["Content-Language"] == language
        assert "Accept-Language" in answer.headers["Vary"]
        said = [body["title"], *(error["message"] for error in body.get("errors", ()))]
        said += [body["detail"]] if "detail" in body else []
        for words in said:
            if language == "zh":
                assert _CHINESE.search(words), words
                assert not _ENGLISH_WORDS.search(words), words
            else:
                assert not _CHINESE.search(words), words


async def test_wrong_field_is_reported_in_both_languages(wrong: Wrong) -> None:
    told = []
    for language in ("zh", "en"):
        answer = await wrong.ways()[Kind.INVALID]({"Accept-Language": language})
        errors = (await answer.json(content_type=None))["errors"]
        told.append([error["pointer"] for error in errors])
    assert told[0] == told[1]
    assert {"/assistant", "/applicant/id_number", "/applicant/phone"} <= set(told[0])
    assert len([pointer for pointer in told[0] if pointer.startswith("/form/")]) >= 3
