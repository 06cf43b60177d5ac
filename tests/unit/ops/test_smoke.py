"""The steps of `tongban smoke` against answers that no stack of ours gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tongban_ops.smoke.options import SmokeOptions
from tongban_ops.smoke.results import NotIntakeError
from tongban_ops.smoke.runner import SmokeOutcome, run_smoke

ITEM = {
    "code": "11000000000001", "name": "查询", "province": "110000", "kind": "query",
    "printable": False, "form": {}, "example_form": {"a": 1}, "example_applicant": {"phone": "1"},
}  # fmt: skip


class ScriptedIntake:
    """Answers as intake does where a test does not say otherwise."""

    def __init__(self) -> None:
        self.versions = ["1.2.3"]
        self.environment = "production"
        self.ready: tuple[int, dict[str, Any]] = (200, {"ok": True, "problems": {}})
        self.title = "tongban intake"
        self.item = dict(ITEM)
        self.submitted: list[dict[str, Any]] = []
        self.status = "completed"
        self.streamed = ["submitted", "completed"]
        self.withdrawn = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one call by its path."""
        path = request.path
        fixed: dict[str, Callable[[], web.Response]] = {
            "/openapi.json": lambda: web.json_response(
                {"info": {"title": self.title, "version": "1.0.0"}}
            ),
            "/v1/about": self._about,
            "/readyz": lambda: web.json_response(self.ready[1], status=self.ready[0]),
            "/v1/catalogue/summary": lambda: web.json_response({"local": {"items": 1}}),
            "/v1/catalogue/items": lambda: web.json_response({"items": [self.item]}),
            f"/v1/catalogue/items/{ITEM['code']}": lambda: web.json_response(self.item),
            "/v1/requests/R/withdrawal": self._withdraw,
            "/v1/requests/R": lambda: web.json_response(
                {
                    "status": self.status, "timeline": [{}], "print_orders": [],
                    "messages": [{"template": "completed", "channel": "sms", "status": "sent"}],
                }
            ),
        }  # fmt: skip
        if path == "/v1/requests":
            self.submitted.append(await request.json())
            return web.json_response({"request_id": "R"}, status=202)
        if path == "/v1/requests/R/events":
            frames = "".join(
                f'event: status\ndata: {{"status": "{status}"}}\n\n' for status in self.streamed
            )
            return web.Response(text=frames, content_type="text/event-stream")
        return fixed[path]() if path in fixed else web.Response(status=404)

    def _about(self) -> web.Response:
        if not self.versions:
            return web.json_response({"title": "Not Found"}, status=404)
        self.versions.append(self.versions.pop(0))
        return web.json_response({"version": self.versions[-1], "environment": self.environment})

    def _withdraw(self) -> web.Response:
        self.withdrawn += 1
        return web.json_response({}, status=202)


@pytest.fixture
async def intake() -> AsyncIterator[tuple[ScriptedIntake, str]]:
    script = ScriptedIntake()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.answer)
    async with TestServer(app) as server:
        yield script, str(server.make_url(""))


async def run(url: str, **options: Any) -> SmokeOutcome:
    return await run_smoke(SmokeOptions(intake=url, token="t", patience_s=0.3, **options))


def detail(outcome: SmokeOutcome, step: str) -> tuple[str, str]:
    """Verdict and detail of a step."""
    (found,) = [each for each in outcome.steps if each.step == step]
    return found.verdict.value, found.detail


async def test_smoke_in_production_submits_nothing_without_a_test_person(
    intake: tuple[ScriptedIntake, str],
) -> None:
    script, url = intake
    verdict, why = detail(await run(url), "submitted")
    assert (verdict, script.submitted) == ("skipped", [])
    assert "no --request" in why

    person = {"applicant": {"phone": "own"}, "form": {"b": 2}, "item_code": ITEM["code"]}
    outcome = await run(url, request=person)
    assert detail(outcome, "message")[0] == "passed"
    assert script.submitted[0]["applicant"] == {"phone": "own"}
    assert script.submitted[0]["form"] == {"b": 2}
    assert script.submitted[0] == script.submitted[1], "repeated"


async def test_smoke_with_an_item_that_changes_something_refuses_unless_allowed(
    intake: tuple[ScriptedIntake, str],
) -> None:
    script, url = intake
    script.environment = "development"
    script.item["kind"] = "handle"
    verdict, why = detail(await run(url, item=ITEM["code"]), "submitted")
    assert (verdict, script.submitted) == ("failed", [])
    assert "--may-change" in why
    assert detail(await run(url, item=ITEM["code"], may_change=True), "submitted")[0] == "passed"


async def test_smoke_during_a_roll_out_reports_both_versions(
    intake: tuple[ScriptedIntake, str],
) -> None:
    script, url = intake
    script.versions = ["1.2.3", "1.2.4"]
    verdict, why = detail(await run(url), "version")
    assert verdict == "failed"
    assert "1.2.3, 1.2.4" in why
    script.versions = []
    assert detail(await run(url), "version")[0] == "skipped", "rolled back to an older one"


async def test_smoke_names_the_failed_check_of_a_replica_that_is_not_ready(
    intake: tuple[ScriptedIntake, str],
) -> None:
    script, url = intake
    script.ready = (503, {"ok": False, "problems": {"enrolled": "not read yet"}})
    assert detail(await run(url), "ready") == ("failed", "enrolled: not read yet")


async def test_smoke_withdraws_a_request_that_does_not_end(
    intake: tuple[ScriptedIntake, str],
) -> None:
    script, url = intake
    script.environment = "development"
    script.status = "waiting_for_province"
    outcome = await run(url)
    verdict, why = detail(outcome, "completed")
    assert (verdict, script.withdrawn) == ("failed", 1)
    assert "tongban province list" in why
    assert detail(outcome, "message") == ("skipped", "needs: completed")


async def test_smoke_with_a_stream_that_ends_early_fails_that_step_alone(
    intake: tuple[ScriptedIntake, str],
) -> None:
    script, url = intake
    script.environment = "development"
    script.streamed = ["submitted"]
    outcome = await run(url)
    assert detail(outcome, "event stream") == ("failed", "the stream ended after submitted")
    assert detail(outcome, "message")[0] == "passed"


async def test_smoke_at_another_programs_url_raises(intake: tuple[ScriptedIntake, str]) -> None:
    script, url = intake
    script.title = "a shop"
    with pytest.raises(NotIntakeError, match="not as intake does"):
        await run(url)
