"""When a provider is spared."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from tongban_notify.domain.messages import MessageTemplate, TextMessage
from tongban_notify.sms.provider import NotSentError, Provider, UnclearSendError

MESSAGE = TextMessage("m", "r", MessageTemplate.COMPLETED, "13800138000", "您好")


async def test_a_provider_that_only_answers_with_faults_rests_between_questions() -> None:
    """A question that came to nothing is a failure as well, whatever status it came with."""
    asked: list[str] = []

    async def fault(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.Response(status=500)

    app = web.Application()
    app.add_routes([web.route("*", "/v1/messages", fault)])
    async with TestServer(app) as server, ClientSession() as session:
        url = str(server.make_url("/v1/messages"))
        provider = Provider("p", url, session, key="k", honours_reference=False, timeout=20)
        for _ in range(2):
            with pytest.raises(UnclearSendError):
                await provider.send(MESSAGE)
        assert not await provider.usable()
        assert asked == ["POST", "POST"]
        provider._rests_until = 0.0  # it has rested
        assert [await provider.usable() for _ in range(5)] == [False] * 5
    assert asked == ["POST", "POST", "GET"]


async def test_a_redirection_is_no_clear_answer_and_takes_no_message_elsewhere() -> None:
    """Followed to where nobody listens, it would count as never sent, and another provider would
    send what this one may have taken."""

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPSeeOther("http://127.0.0.1:9/")

    app = web.Application()
    app.add_routes([web.route("*", "/v1/messages", elsewhere)])
    async with TestServer(app) as server, ClientSession() as session:
        url = str(server.make_url("/v1/messages"))
        provider = Provider("p", url, session, key="k", honours_reference=False, timeout=20)
        with pytest.raises(UnclearSendError, match="303"):
            await provider.send(MESSAGE)
        with pytest.raises(UnclearSendError, match="303"):
            await provider.knows("m")


@pytest.mark.parametrize(
    ("status", "body", "final", "spared"),
    [
        (400, {"code": "invalid_number"}, True, False),
        (403, {"code": "content_rejected"}, True, False),
        (422, None, True, False),
        # About the provider or our settings: every message would be lost to them.
        (401, {"code": "unauthorized"}, False, True),
        (403, None, False, True),
        (404, {"code": "no_such_provider"}, False, True),
        (405, None, False, True),
        (400, None, False, True),
        # About this call alone.
        (429, {"code": "throttled"}, False, False),
    ],
)
async def test_only_a_refusal_of_the_message_is_final(
    status: int, body: Any, final: bool, spared: bool
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        if body is None:
            return web.Response(status=status, text="no")
        return web.json_response(body, status=status)

    app = web.Application()
    app.add_routes([web.route("*", "/v1/messages", refuse)])
    async with TestServer(app) as server, ClientSession() as session:
        url = str(server.make_url("/v1/messages"))
        provider = Provider("p", url, session, key="k", honours_reference=False, timeout=20)
        for _ in range(2):
            with pytest.raises(NotSentError) as refused:
                await provider.send(MESSAGE)
            assert refused.value.final is final
        assert await provider.usable() is not spared


async def test_a_conflict_is_unclear() -> None:
    """It may well mean that it has the message."""

    async def conflict(_: web.Request) -> web.Response:
        return web.json_response({"code": "duplicate_reference"}, status=409)

    app = web.Application()
    app.add_routes([web.post("/v1/messages", conflict)])
    async with TestServer(app) as server, ClientSession() as session:
        url = str(server.make_url("/v1/messages"))
        provider = Provider("p", url, session, key="k", honours_reference=False, timeout=20)
        with pytest.raises(UnclearSendError, match="409"):
            await provider.send(MESSAGE)


@pytest.mark.parametrize(
    ("messages", "known"),
    [
        ([], False),
        ([{"reference": "m"}, {"reference": "m"}], True),
        # Whoever passes over what was asked for would have every message taken for sent.
        ([{"reference": "another"}], None),
        ([{"message_id": "1"}], None),
        (["m"], None),
        ({}, None),
    ],
)
async def test_answer_about_other_messages_is_unclear(messages: Any, known: bool | None) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"messages": messages})

    app = web.Application()
    app.add_routes([web.get("/v1/messages", answer)])
    async with TestServer(app) as server, ClientSession() as session:
        url = str(server.make_url("/v1/messages"))
        provider = Provider("p", url, session, key="k", honours_reference=False, timeout=20)
        if known is None:
            with pytest.raises(UnclearSendError):
                await provider.knows("m")
        else:
            assert await provider.knows("m") is known
