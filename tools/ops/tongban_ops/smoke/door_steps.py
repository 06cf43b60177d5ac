"""Check intake itself: version, readiness, sign-in, catalogue."""

from __future__ import annotations

from typing import Any

import aiohttp

from tongban_intake.access.token_client import TokenRefusedError, request_token
from tongban_ops.smoke.intake_client import IntakeClient, no_answer
from tongban_ops.smoke.options import SmokeOptions
from tongban_ops.smoke.results import StepFailedError, StepSkippedError

_LOOKS = 5
"""Calls that ask for the version, each on a connection of its own: replicas may differ."""


class DoorSteps:
    """Runs the steps that change nothing; what they find is kept for the probe request."""

    def __init__(self, client: IntakeClient, options: SmokeOptions) -> None:
        self._client = client
        self._options = options
        self.environment = "production"
        """Return the environment that intake reports; production, the careful one, if not known."""

    async def version(self) -> str:
        """Ask repeatedly which version answers; replicas of two versions are a roll-out that is
        not over."""
        seen: set[tuple[str, str]] = set()
        for _ in range(_LOOKS):
            reply = await self._client.get("/v1/about")
            if reply.status == 404:
                raise StepSkippedError("an older version, which does not tell")
            about = reply.object_of("/v1/about")
            seen.add((str(about.get("version")), str(about.get("environment"))))
        versions = sorted({version for version, _ in seen})
        environments = sorted({environment for _, environment in seen})
        if len(seen) > 1:
            raise StepFailedError(
                f"replicas differ: versions {', '.join(versions)}, environments "
                f"{', '.join(environments)}; is the roll-out over?"
            )
        self.environment = environments[0]
        if self._options.expected_version not in (None, versions[0]):
            raise StepFailedError(f"{versions[0]}, not {self._options.expected_version}")
        return f"{versions[0]}, {self.environment}"

    async def ready(self) -> str:
        """Read the readiness probe where it is served on the public port."""
        reply = await self._client.get("/readyz")
        if reply.status == 404:
            raise StepSkippedError("the probes are served on a port of their own")
        if reply.status == 503 and isinstance(reply.body, dict):
            problems = reply.body.get("problems", {})
            raise StepFailedError("; ".join(f"{name}: {why}" for name, why in problems.items()))
        reply.object_of("/readyz")
        return "all checks of the replica that answered"

    async def sign_in(self) -> str:
        """Get a token as a kiosk does, or take the given one."""
        options, client = self._options, self._client
        if options.token:
            client.token = options.token
            how = "the given token"
        elif options.kiosk_id and options.key:
            try:
                grant = await request_token(
                    client.session, client.url, kiosk_id=options.kiosk_id, key=options.key
                )
            except TokenRefusedError as error:
                raise StepFailedError(
                    f"{error} (is {options.kiosk_id} enrolled: `tongban kiosk list`? is this URL "
                    "in intake's TONGBAN_TOKEN_ENDPOINT?)"
                ) from error
            except (aiohttp.ClientError, TimeoutError) as error:
                raise StepFailedError(no_answer(error)) from error
            client.token = grant.token
            how = f"a token for {grant.expires_in} s"
        else:
            raise StepSkippedError("neither --token nor --kiosk with --key")
        reply = await client.get("/v1/catalogue/summary")
        if reply.status != 200:
            client.token = None
            raise StepFailedError(f"{how} is refused: {reply.reason}")
        return f"{how} is accepted"

    async def catalogue(self) -> str:
        """Read the totals, a page of items, and one item with its form."""
        summary = (await self._client.get("/v1/catalogue/summary")).object_of("summary")
        total = sum(int(zone.get("items", 0)) for zone in summary.values())
        if not total:
            raise StepFailedError("no items: `tongban catalogue publish`")
        page = (await self._client.get("/v1/catalogue/items?page_size=1")).object_of("items")
        code = page["items"][0]["code"]
        item = (await self._client.get(f"/v1/catalogue/items/{code}")).object_of(code)
        if not isinstance(item.get("form"), dict):
            raise StepFailedError(f"{code} has no form")
        provinces = max(int(zone.get("provinces", 0)) for zone in summary.values())
        return f"{total} items of up to {provinces} provinces"

    async def probe_body(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the probe's item and the body to submit.

        Raises:
            StepSkippedError: no request may be made here.
            StepFailedError: the item does not suit.
        """
        options = self._options
        given = options.request or {}
        if options.request is None and self.environment != "development":
            raise StepSkippedError(
                "no --request: outside development the examples are not submitted, because their "
                "message would go to a number of somebody"
            )
        code = options.item or given.get("item_code") or await self._any_item()
        item = (await self._client.get(f"/v1/catalogue/items/{code}")).object_of(f"item {code}")
        if item["kind"] == "handle" and not options.may_change:
            raise StepFailedError(
                f"{code} {item['name']} changes something at its province (kind handle): name one "
                "of kind query or print, or give --may-change"
            )
        body = {
            "item_code": code,
            "channel": "self_service",
            "applicant": given.get("applicant", item["example_applicant"]),
            "form": given.get("form", item["example_form"]),
        }
        if item["printable"]:
            wanted = options.prints
            body["print"] = self.environment == "development" if wanted is None else wanted
        return item, body

    async def _any_item(self) -> str:
        page = await self._client.get("/v1/catalogue/items?kind=print&page_size=1")
        items = page.object_of("items of kind print")["items"]
        if not items:
            raise StepSkippedError("no item of kind print is on offer: give --item")
        code: str = items[0]["code"]
        return code
