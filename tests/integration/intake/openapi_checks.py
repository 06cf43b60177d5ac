"""What every error of intake has, beyond what its OpenAPI document can say. Loaded by schemathesis
(`SCHEMATHESIS_HOOKS`), and run on every answer that it gets."""

from __future__ import annotations

import json

import schemathesis
from schemathesis import Case, CheckContext, Response


@schemathesis.check
def problem_document(_ctx: CheckContext, response: Response, _case: Case) -> None:
    """RFC 9457, in the language that was asked for, with a pointer to each field that is wrong."""
    if response.status_code < 400:
        return
    assert response.headers["content-type"] == ["application/problem+json"]
    body = json.loads(response.content)
    assert body["status"] == response.status_code
    assert body["type"].startswith("urn:tongban:problem:")
    assert body["title"]
    asked = response.request.headers.get("Accept-Language", "zh")
    told = response.headers["content-language"]
    assert told == ["en" if asked.startswith("en") else "zh"], (asked, told)
    if response.status_code == 422 and not body["type"].endswith("idempotency-key-reused"):
        assert body["errors"]
        for error in body["errors"]:
            # "" would be the whole body: a client could not show it beside a field.
            assert error["pointer"].startswith("/"), error
            assert error["message"]
    if response.status_code == 401:
        assert response.headers["www-authenticate"][0].startswith("Bearer")
    if response.status_code in (429, 503):
        assert int(response.headers["retry-after"][0]) >= 1
