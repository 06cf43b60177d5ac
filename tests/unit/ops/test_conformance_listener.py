"""Where the kit is called back: it vouches for nothing that it did not recognise."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest

from tongban_ops.conformance.listener import Heard, listening
from tongban_ops.conformance.options import Options
from tongban_provinces.signing import (
    H_BODY_SIGNATURE,
    province_token,
    sign_request,
    verify_response,
)

SECRET, PROVINCE, NONCE = "secret", "340000", "a-nonce-of-a-test"
OPTIONS = Options("http://127.0.0.1:1/p/340000", "rest_callback", PROVINCE, SECRET, ())
CALLBACK = {"notice_id": "n-1", "request_id": "conformance-1", "receipt": "R-1"}


async def called(*, secret: str = SECRET, times: int = 1) -> tuple[list[int], bool, list[Heard]]:
    """Call back with one message: the statuses, whether the last was signed, what is heard."""
    token = province_token(secret, PROVINCE)
    content = orjson.dumps(CALLBACK)
    statuses, signed = [], False
    async with listening(OPTIONS) as listener, aiohttp.ClientSession() as http:
        assert listener.url is not None
        headers = sign_request(
            token, method="POST", target=urlsplit(listener.url).path, body=content,
            timestamp=int(time.time()), nonce=NONCE, paasid=PROVINCE,
        )  # fmt: skip
        for _ in range(times):
            async with http.post(listener.url, data=content, headers=headers) as reply:
                raw = await reply.read()
                statuses.append(reply.status)
                signed = H_BODY_SIGNATURE in reply.headers
                if signed:
                    verify_response(
                        token, reply.headers, status=reply.status, body=raw, nonce=NONCE,
                        now=time.time(),
                    )  # fmt: skip
        return statuses, signed, await listener.wait_for("conformance-1", 1, 0)


async def test_a_callback_to_believe_is_heard_and_answered_with_a_signature() -> None:
    assert await called() == ([200], True, [Heard("n-1", "conformance-1", "R-1", 200)])


@pytest.mark.parametrize(("secret", "times"), [("another", 1), (SECRET, 2)])
async def test_one_that_is_not_believed_is_answered_without(secret: str, times: int) -> None:
    statuses, signed, heard = await called(secret=secret, times=times)
    assert (statuses[-1], signed) == (401, False)
    assert len(heard) == times - 1
