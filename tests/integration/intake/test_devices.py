"""Kiosks that are let in by their keys and kept out, and lobby managers who sign in on top."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from tests.integration.intake.conftest import Replica, Stack, until
from tests.integration.intake.test_events import Watcher
from tests.integration.intake.test_submit import pointers, problem
from tongban_common.catalogue.models import Audience
from tongban_common.domain import ids
from tongban_common.domain.status import Status
from tongban_common.settings import DEVELOPMENT_SECRET
from tongban_intake.access.enrolled import Enrolled
from tongban_intake.access.enrolment.assertion import GRANT_TYPE, sign
from tongban_intake.access.enrolment.keyfiles import read_private
from tongban_intake.access.token_client import TokenRefusedError, request_token
from tongban_intake.access.tokens import Kiosk
from tongban_intake.problems import Kind, ProblemError
from tongban_ops.cli.main import application

OUT_WITHIN_S = 5.0


class Operator:
    """The command line, against this stack's broker."""

    def __init__(self, stack: Stack) -> None:
        self._env = {"TONGBAN_KAFKA": stack.kafka, "TONGBAN_TOKEN_SECRET": DEVELOPMENT_SECRET}

    async def __call__(self, *arguments: str, typed: str = "", code: int = 0) -> Any:
        """What a command says with --json."""
        runner = CliRunner(env=self._env)
        answer = await asyncio.to_thread(
            runner.invoke, application(), [*arguments, "--json"], input=typed
        )
        assert answer.exit_code == code, (answer.stdout, answer.stderr)
        return json.loads(answer.stdout) if code == 0 else answer.stderr


class Device:
    """A kiosk that knows how to get its tokens."""

    def __init__(self, kiosk_id: str, key: Path) -> None:
        self.kiosk_id = kiosk_id
        self.key = read_private(key.read_text())

    async def token(self, intake: Replica) -> str:
        """As soon as this replica has heard of the kiosk and its key."""

        async def given() -> str:
            try:
                grant = await request_token(
                    intake.session, intake.url, kiosk_id=self.kiosk_id, key=self.key
                )
            except TokenRefusedError as refused:
                assert refused.status == 400, refused
                return ""
            return grant.token

        found: str = await until(given, what="a token")
        return found

    def assertion(self, intake: Replica) -> dict[str, str]:
        url = f"{intake.url}/v1/token"
        signed = sign(self.key, kiosk_id=self.kiosk_id, audience=url)
        return {"grant_type": GRANT_TYPE, "assertion": signed}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def status(intake: Replica, token: str) -> int:
    return (await intake.call("GET", "/v1/catalogue/summary", headers=bearer(token))).status


async def out(intake: Replica, token: str) -> None:
    """401, in the time that is promised."""

    async def refused() -> bool:
        return await status(intake, token) == 401

    await until(refused, seconds=OUT_WITHIN_S, what="being out")


@pytest.fixture
def operator(stack: Stack) -> Operator:
    return Operator(stack)


async def test_a_kiosk_is_in_by_its_key_and_out_everywhere_when_revoked(
    intake: Replica, stack: Stack, operator: Operator, tmp_path: Path
) -> None:
    key = tmp_path / "k-7.pem"
    made = await operator(
        "kiosk", "enrol", "k-7", "--branch", "b-7", "--generate", "--out", str(key)
    )
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert made["private_key"] == str(key)
    device = Device("k-7", key)
    # Two replicas behind one address, which is the first's.
    async with stack.replica(TONGBAN_TOKEN_ENDPOINT=f"{intake.url}/v1/token") as other:
        first = await device.token(intake)

        async def told_by_other() -> str:
            form = device.assertion(intake)
            given = await other.session.post(f"{other.url}/v1/token", data=form)
            return str((await given.json())["access_token"]) if given.status == 200 else ""

        second: str = await until(told_by_other, what="a token of the other replica")
        form = device.assertion(intake)
        answers = await asyncio.gather(
            *(other.session.post(f"{each.url}/v1/token", data=form) for each in (intake, other))
        )
        assert sorted(each.status for each in answers) == [200, 400]
        answer = await intake.submit(stack.body(), "device-0001", headers=bearer(first))
        assert answer.status == 202
        event = await stack.submitted((await answer.json())["request_id"])
        assert (event.origin.kiosk_id, event.origin.branch_id) == ("k-7", "b-7")
        await stack.tell(event, Status.SUBMITTED)
        url = f"{other.url}/v1/requests/{event.request_id}/events"
        async with other.session.get(url, headers=bearer(first)) as stream:
            assert stream.status == 200
            watcher = Watcher(stream)
            await watcher.take("status", 1)
            await operator("kiosk", "revoke", "k-7", "--reason", "stolen")
            revoked_at = time.monotonic()
            for replica in (intake, other):
                for token in (first, second):
                    await out(replica, token)
            assert await watcher.rest() == []
            assert time.monotonic() - revoked_at < OUT_WITHIN_S
        refused = await intake.session.post(f"{intake.url}/v1/token", data=device.assertion(intake))
        assert (await problem(refused, 400))["error"] == "invalid_grant"
        # Let in again, it starts anew: what it held before stays void.
        await operator("kiosk", "enrol", "k-7", "--generate", "--out", str(tmp_path / "new.pem"))
        again = await Device("k-7", tmp_path / "new.pem").token(intake)
        assert await status(intake, again) == 200
        assert await status(intake, first) == 401
    listed = {each["kiosk_id"]: each for each in await operator("kiosk", "list")}
    assert listed["k-7"]["revoked_at"] is None
    assert len(listed["k-7"]["keys"]) == 1


async def test_key_change_leaves_one_valid_key_at_every_moment(
    intake: Replica, operator: Operator, tmp_path: Path
) -> None:
    old, new = tmp_path / "old.pem", tmp_path / "new.pem"
    await operator("kiosk", "enrol", "k-8", "--branch", "b-8", "--generate", "--out", str(old))
    by_old = await Device("k-8", old).token(intake)
    both = await operator("kiosk", "enrol", "k-8", "--generate", "--out", str(new))
    assert len(both["keys"]) == 2
    by_new = await Device("k-8", new).token(intake)
    assert await status(intake, by_old) == await status(intake, by_new) == 200
    assert await status(intake, await Device("k-8", old).token(intake)) == 200
    kid = next(each["kid"] for each in both["keys"] if each["kid"] != both["kid"])
    await operator("kiosk", "revoke", "k-8", "--key", kid)
    await out(intake, by_old)
    refused = await intake.session.post(
        f"{intake.url}/v1/token", data=Device("k-8", old).assertion(intake)
    )
    assert "no key of this kiosk" in (await problem(refused, 400))["error_description"]
    assert await status(intake, await Device("k-8", new).token(intake)) == 200
    assert "overwritten" in await operator(
        "kiosk", "enrol", "k-8", "--generate", "--out", str(new), code=1
    )


async def test_the_token_endpoint_takes_an_assertion_once_and_nothing_else(
    intake: Replica, operator: Operator, tmp_path: Path
) -> None:
    key = tmp_path / "k.pem"
    await operator("kiosk", "enrol", "k-9", "--branch", "b-9", "--generate", "--out", str(key))
    device = Device("k-9", key)
    await device.token(intake)
    url, form = f"{intake.url}/v1/token", device.assertion(intake)
    given = await intake.session.post(url, data=form)
    body = await given.json()
    assert (given.status, body["token_type"]) == (200, "Bearer")
    assert 0 < body["expires_in"] <= 900
    assert given.headers["Cache-Control"] == "no-store"
    again = await problem(await intake.session.post(url, data=form), 400)
    assert (again["error"], again["error_description"]) == (
        "invalid_grant",
        "used before; sign another",
    )
    elsewhere = sign(device.key, kiosk_id="k-9", audience="https://another.example/v1/token")
    for wrong, error in (
        ({}, "unsupported_grant_type"),
        ({**form, "grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": GRANT_TYPE}, "invalid_request"),
        ({**form, "assertion": "x" * 5000}, "invalid_request"),
        ({**form, "assertion": "a.b.c"}, "invalid_grant"),
        ({**form, "assertion": elsewhere}, "invalid_grant"),
        (
            {**form, "assertion": sign(device.key, kiosk_id="k-0", audience=url)},
            "invalid_grant",
        ),
    ):
        assert (await problem(await intake.session.post(url, data=wrong), 400))["error"] == error
    await problem(await intake.session.post(url, json=form), 415)
    await problem(await intake.session.post(url, data={"x": "x" * 20_000}), 413)


async def test_a_lobby_manager_signs_in_and_goes_on_record(
    intake: Replica, stack: Stack, operator: Operator, tmp_path: Path
) -> None:
    key = tmp_path / "k.pem"
    await operator("kiosk", "enrol", "k-10", "--branch", "b-10", "--generate", "--out", str(key))
    kiosk = await Device("k-10", key).token(intake)
    for who, branch in (("lm-10", "b-10"), ("lm-11", "b-11")):
        told = await operator("assistant", "enrol", who, "--branch", branch, typed="730518\n")
        assert "pin" not in told

    async def sign_in(who: str, pin: str) -> aiohttp.ClientResponse:
        body = {"assistant_id": who, "pin": pin}
        return await intake.call("POST", "/v1/assistants/session", json=body, headers=bearer(kiosk))

    async def signed_in() -> str:
        answer = await sign_in("lm-10", "730518")
        # Refused before this replica has heard of the assistant, and too often while it waits.
        assert answer.status in (201, 403, 429)
        return str((await answer.json())["access_token"]) if answer.status == 201 else ""

    session: str = await until(signed_in, what="signing in")
    for who, pin in (("lm-10", "730519"), ("lm-10", "x"), ("lm-11", "730518"), ("lm-0", "730518")):

        async def refused(who: str = who, pin: str = pin) -> bool:
            answer = await sign_in(who, pin)
            assert answer.status in (403, 429)
            return answer.status == 403

        await until(refused, what="a refusal that is not for too many tries")
    await problem(await intake.call("POST", "/v1/assistants/session", json={"pin": 7}), 422)

    async def submit(key: str, token: str, **more: Any) -> aiohttp.ClientResponse:
        body = stack.body(channel="assisted", **more)
        return await intake.submit(body, key, headers=bearer(token))

    proved = await submit("assist-0001", session)
    assert proved.status == 202, await proved.text()
    origin = (await stack.submitted((await proved.json())["request_id"])).origin
    assert (origin.assistant, origin.assistant_proved) == ("lm-10", True)
    other = await problem(await submit("assist-0002", session, assistant="lm-99"), 422)
    assert pointers(other) == {"/assistant"}
    claimed = await submit("assist-0003", kiosk, assistant="lm-99")
    origin = (await stack.submitted((await claimed.json())["request_id"])).origin
    assert (origin.assistant, origin.assistant_proved) == ("lm-99", False)

    strictly = {"TONGBAN_ASSISTED_SIGN_IN": "true", "TONGBAN_PSEUDONYM_SECRET": "for analysts"}
    async with stack.replica(**strictly) as strict:
        body = stack.body(channel="assisted", assistant="lm-10")
        await problem(await strict.submit(body, "strict-0001", headers=bearer(kiosk)), 403)
        body = stack.body(channel="assisted")
        answer = await strict.submit(body, "strict-0002", headers=bearer(session))
        assert answer.status == 202, await answer.text()
        await pseudonyms_have_a_key_of_their_own(stack, strict, "for analysts")

    await operator("assistant", "revoke", "lm-10")
    await out(intake, session)
    assert await status(intake, kiosk) == 200


async def pseudonyms_have_a_key_of_their_own(stack: Stack, intake: Replica, key: str) -> None:
    company = next(item for item in stack.catalogue if item.audience is Audience.COMPANY)
    person = (await stack.accepted(intake, "pseudonym-1")).applicant
    firm = (await stack.accepted(intake, "pseudonym-2", item=company)).applicant
    known, firm_known = stack.printable.example_applicant, company.example_applicant
    assert person.pseudonym == ids.pseudonym(key, kind=known["id_type"], number=known["id_number"])
    assert (person.type, person.region) == ("person", known["id_number"][:2])
    assert person.age_band
    assert firm.pseudonym == ids.pseudonym(key, kind="uscc", number=firm_known["uscc"])
    assert (firm.type, firm.region, firm.age_band) == ("company", firm_known["uscc"][2:4], None)


async def test_replica_without_enrolments_refuses_all_and_is_not_ready() -> None:
    enrolled = Enrolled("127.0.0.1:1", on_void=lambda _: None)
    assert enrolled.readiness() == "control.kiosks has not been read yet"
    with pytest.raises(ProblemError) as starting:
        enrolled.must_be_valid(Kiosk("k-1", "b-1", "local", 2**31))
    assert (starting.value.kind, starting.value.retry_after) == (Kind.UNAVAILABLE, 1)
