"""Words of provinces and of SMS providers: masked to the applicant, and in no log and no report."""

from __future__ import annotations

from typing import Any, cast

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from tests.unit.common.test_private_texts import KEYS, OWN, WORDS
from tests.unit.intake.readmodel.test_projection import status
from tests.unit.notify.kit import OptOutRegister
from tests.unit.notify.test_provider import MESSAGE
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import Status
from tongban_common.envelope import Sealed
from tongban_common.events.models import RequestStatus
from tongban_common.private_texts import seal
from tongban_notify.domain.messages import TextMessage
from tongban_notify.domain.texts import MessageTexts
from tongban_notify.handler import NotifyHandler, _content_of
from tongban_notify.sms.provider import NotSentError, Provider

APPLICANT = {"type": "person", "name": "张三", "phone": "13800138000"}


def message_of(*, words: str | None) -> TextMessage:
    sealed = KEYS.seal("r-1", {"applicant": APPLICANT})
    if words is not None:
        said = cast(Sealed, seal(KEYS, "r-1", sealed, reason=words))
        sealed = sealed.model_copy(update={"parts": {**sealed.parts, **said.parts}})
    body: RequestStatus = status(3, Status.REJECTED)
    body = body.model_copy(update={"sealed": sealed, "reason": OWN})
    unused: Any = None
    handler = NotifyHandler(
        keys=KEYS, delivery=unused, guards=unused, publisher=unused, secret="s",
        clock=BusinessClock.real(), texts=MessageTexts.load(),
            optouts=OptOutRegister(), restored=unused,
    )  # fmt: skip
    content = _content_of(body, unused, repeat=False)
    assert content is not None
    return handler._message(content)


def test_sealed_reason_is_sent_masked() -> None:
    text = message_of(words=WORDS).text
    assert "与公安库不一致" in text
    assert "张三" not in text
    assert "110101199003078690" not in text


def test_listed_reason_is_sent_where_there_is_no_private_text() -> None:
    assert OWN in message_of(words=None).text


@pytest.mark.parametrize("status_code", [400, 401, 403, 404, 422])
@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("13800138000 张三 号码无效", None),
        ("13800138000", None),
        (13800138000, None),
        ({"text": "张三"}, None),
        ("E.1024", "E.1024"),
        (1024, "1024"),
    ],
)
async def test_provider_code_is_logged_only_if_well_formed(
    status_code: int, code: Any, told: str | None
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"code": code}, status=status_code)

    app = web.Application()
    app.add_routes([web.post("/v1/messages", refuse)])
    async with TestServer(app) as server, ClientSession() as session:
        url = str(server.make_url("/v1/messages"))
        provider = Provider("p", url, session, key="k", honours_reference=False, timeout=20)
        with capture_logs() as lines, pytest.raises(NotSentError) as refused:
            await provider.send(MESSAGE)
    assert refused.value.code == (told or f"http_{status_code}")
    assert "张三" not in str(lines)
    assert "13800138000" not in str(lines)
