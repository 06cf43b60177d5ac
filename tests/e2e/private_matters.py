"""What people do whom nobody may name: requests that end in every way, and some that go wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.lobby_kit import BRANCH, KIOSK, Lobby
from tests.e2e.people import COMPANY, PERSON, TALK, VALUES, form_about
from tongban_common import topics
from tongban_common.catalogue import Item
from tongban_common.domain import ids
from tongban_common.domain.verification import file_code
from tongban_common.envelope import KeyRing
from tongban_common.events.models import ApplicantFacts, Origin, RequestSubmitted
from tongban_common.events.publisher import EventPublisher
from tongban_devstack.secrets_file import stack_secrets
from tongban_intake.submission.accept import snapshot
from tongban_kafka import EventProducer

_MAKE_PAPERS = ("320000", "370000", "420000")
"""Provinces that make documents themselves, one of each protocol."""
_TALKATIVE = ("130000", "340000", *_MAKE_PAPERS)


class PrivateMatters:
    """One lobby's, all at the same time, with a province and a message provider that fail."""

    def __init__(self, lobby: Lobby) -> None:
        self._lobby = lobby
        self._certificate = lobby.item("社保缴费证明", "340000")
        self._transfer = lobby.item("社保关系转移", "130000")
        self.shown: dict[str, bytes] = {}
        """Keeps what commands, headers and public pages said, by what was asked."""

    async def all(self) -> None:
        """Until each has ended as it should."""
        stack = self._lobby.stack
        # On a busy machine a connection may be closed under a call; keys make it one request.
        self._lobby.persistent = True
        await stack.token(KIOSK, BRANCH)
        for province in _TALKATIVE:
            error_rate = 0.3 if province == "340000" else 0.0
            await self._lobby.faults(
                f"{stack.gateways}/faults/{province}", error_rate=error_rate, talkative=TALK
            )
        await self._lobby.faults(
            f"{stack.devices}/faults/sms/aurora", error_rate=0.3, talkative=TALK
        )
        async with asyncio.TaskGroup() as tasks:
            for work in (
                self._supplemented(),
                self._rejected(),
                self._withdrawn(),
                self._printed(PERSON, 4),
                self._printed(COMPANY, 5),
                *(self._papers_of(province) for province in _MAKE_PAPERS),
                self._operated(),
                self._varied(),
                self._refused(),
                self._dead_lettered(),
            ):
                tasks.create_task(work)

    async def _send(self, item: Item, fate: str, number: int, who: Any = PERSON) -> str:
        # In a thread: the search for a key would keep the loop from its connections.
        key = await asyncio.to_thread(self._lobby.key, item, fate, number)
        return await self._lobby.submit(item, key, applicant=who, form=form_about(item))

    async def _post(self, request_id: str, what: str, body: Any) -> None:
        status, said = await self._lobby.call(
            "POST", f"/v1/requests/{request_id}/{what}", key=f"key-of-{what}", json=body
        )
        assert status == 202, said

    async def _supplemented(self) -> None:
        request_id = await self._send(self._transfer, "supplement", 1)
        asked = await self._lobby.when(request_id, "needs_supplement")
        # The kiosk that made it reads what the province wrote.
        assert asked["reason"].endswith(TALK)
        await self._post(request_id, "supplements", {"form": form_about(self._transfer)})
        await self._lobby.when(request_id, "completed")

    async def _rejected(self) -> None:
        request_id = await self._send(self._transfer, "reject", 2)
        ended = await self._lobby.when(request_id, "rejected")
        assert ended["reason"].endswith(TALK)
        assert ended["timeline"][-1]["reason"] == ended["reason"]

    async def _withdrawn(self) -> None:
        # Where processes are killed meanwhile, the province may decide before it hears of it.
        for number in range(30, 35):
            request_id = await self._send(self._transfer, "linger", number)
            await self._lobby.when(request_id, "accepted", "completed")
            path = f"/v1/requests/{request_id}/withdrawal"
            status, said = await self._lobby.call("POST", path, key="key-of-withdrawal", json={})
            assert status in (202, 409), said
            ended = await self._lobby.when(request_id, "withdrawn", "completed")
            if ended["status"] == "withdrawn":
                return
        pytest.fail("the province was quicker than five withdrawals")

    async def _printed(self, who: Any, number: int) -> None:
        """Read, fetched, printed twice and rated."""
        request_id = await self._send(self._certificate, "complete", number, who)
        done = await self._lobby.when(request_id, "completed")
        # Its own branch reads the result and the sheet in clear.
        assert who["name"] in str(done["outcome"])
        document_id = done["documents"][0]["document_id"]
        path = f"/v1/requests/{request_id}/documents/{document_id}"
        _, pdf = await self._lobby.call("GET", path)
        assert pdf.startswith(b"%PDF")
        words = "；".join([*map(str, _particulars(who)), TALK])
        await self._post(request_id, "rating", {"grade": 5, "words": words})
        await self._post(request_id, "prints", {})
        deadline = asyncio.get_running_loop().time() + 60
        states: list[str] = []
        while states != ["printed", "printed"]:
            assert asyncio.get_running_loop().time() < deadline, states
            orders = (await self._lobby.read(request_id))["print_orders"]
            states = [order["status"] for order in orders]
            await asyncio.sleep(0.2)

    async def _papers_of(self, province: str) -> None:
        """Choose an item of a province that makes its own documents and gives them titles."""
        item = self._lobby.item("社保参保证明", province)
        request_id = await self._send(item, "complete", 6)
        done = await self._lobby.when(request_id, "completed")
        (document,) = done["documents"]
        assert document["title"] == "社保参保证明"
        path = f"/v1/requests/{request_id}/documents/{document['document_id']}"
        token = await self._lobby.stack.token(KIOSK, BRANCH)
        async with self._lobby.http.get(
            self._lobby.intakes[0] + path, headers={"Authorization": f"Bearer {token}"}
        ) as reply:
            assert (await reply.read()).startswith(b"%PDF")
            self.shown[f"headers of a document of {province}"] = str(reply.raw_headers).encode()
        status, said = await self._lobby.call("GET", f"/v1/verify/{file_code(document['sha256'])}")
        assert status == 200
        self.shown[f"what anyone is told of a document of {province}"] = str(said).encode()

    async def _operated(self) -> None:
        """A province is paused, and what waits for it is held, let go on, held again and ended:
        each with words of an operator."""
        item = self._lobby.item("社保关系转移", "510000")
        await self._command("province", "pause", "510000", "--reason", TALK)
        mine, other = [await self._send(item, "complete", number) for number in (7, 8)]
        said = await self._lobby.when(mine, "waiting_for_province")
        assert TALK in said["reason"]
        await self._lobby.when(other, "waiting_for_province")
        await self._command("province", "list", "--json")
        for request_id in (mine, other):
            await self._garbage(request_id)
            await self._lobby.when(request_id, "held")
        await self._command("request", "resume", mine, "--reason", TALK)
        await self._lobby.when(mine, "routed", "waiting_for_province")
        # Without the key ring the words stay at the operator's desk.
        said = await self._command("request", "resume", other, "--reason", TALK, ring=False)
        assert "were not published" in said
        await self._garbage(mine)
        await self._lobby.when(mine, "held")
        await self._command("request", "fail", mine, "--reason", TALK)
        await self._command("province", "resume", "510000")
        ended = await self._lobby.when(mine, "failed")
        assert ended["reason"] == TALK
        told = [line.get("reason") for line in ended["timeline"] if line["by"] == "operator"]
        assert told.count(TALK) == 2
        ended = await self._lobby.when(other, "completed")
        assert TALK not in [line.get("reason") for line in ended["timeline"]]
        await self._command("trace", mine)
        await self._command("trace", mine, "--json")
        await self._discarded()

    async def _discarded(self) -> None:
        """A dead letter that an operator puts away, with words."""
        await self._garbage("nobody")
        letters: list[Any] = []
        while not letters:
            letters = json.loads(await self._command("dlt", "list", "--json"))
        chosen = [letter["id"] for letter in letters]
        await self._command("dlt", "discard", *chosen, "--reason", TALK)
        await self._command("dlt", "show", chosen[0])
        await self._command("dlt", "list", "--all")

    async def _garbage(self, key: str) -> None:
        """A record that no service of ours would write, about that request."""
        async with EventProducer(self._lobby.stack.kafka, delivery_timeout=20) as producer:
            await producer.send(
                topics.REQUESTS_COMMANDS, key=key.encode(), value=b"\xff", headers=[]
            )

    async def _command(self, *arguments: str, ring: bool = True) -> Any:
        """Return what an operator's command says, on both of its outputs; it is searched later."""
        secrets = stack_secrets(self._lobby.stack.data)
        env = {"TONGBAN_KAFKA": self._lobby.stack.kafka, "TONGBAN_OPERATOR": "li"}
        if (clock := self._lobby.stack._options.clock) is not None:
            env["TONGBAN_CLOCK"] = clock.describe()
        if ring:
            env["TONGBAN_KEYRING"] = secrets["TONGBAN_KEYRING"]
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("tongban"), *arguments,
            env={**os.environ, **env}, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, (arguments[:3], out.decode(), err.decode())
        self.shown[f"tongban {' '.join(arguments[:3])}"] = out + err
        return (out if arguments[-1] == "--json" else out + err).decode()

    async def _varied(self) -> None:
        """Many forms, so that every kind of field has been there."""

        async def one(item: Item, number: int) -> None:
            who = COMPANY if item.audience == "company" else PERSON
            request_id = await self._send(item, "complete", 100 + number, who)
            await self._lobby.when(request_id, "completed")

        async with asyncio.TaskGroup() as tasks:
            for number, item in enumerate(self._with_other_fields()):
                tasks.create_task(one(item, number))

    def _with_other_fields(self) -> list[Item]:
        """Items whose forms have, together, every field that can hold something personal."""
        chosen: list[Item] = []
        seen: set[str] = set()
        values = set(VALUES.values())
        for item in sorted(self._lobby.catalogue, key=lambda item: -len(form_about(item))):
            told = {value for value in form_about(item).values() if value in values}
            if told - seen:
                seen |= told
                chosen.append(item)
        assert len(chosen) > 10
        return chosen

    async def _refused(self) -> None:
        """Faults that a form can have, each in its own request; and names where none belong."""
        body = {"item_code": self._certificate.code, "channel": "self_service", "form": VALUES}
        for number, wrong in enumerate(
            (
                {**body, "applicant": {**PERSON, "phone": PERSON["phone"] + "9"}},
                {**body, "applicant": {**PERSON, "type": PERSON["name"]}},
                {**body, "applicant": PERSON},
                {**body, "applicant": list(PERSON.values())},
            )
        ):
            status, _ = await self._lobby.call(
                "POST", "/v1/requests", key=f"refused-{number}", json=wrong
            )
            assert status == 422
        await self._lobby.call("GET", "/v1/catalogue/items", params={"q": PERSON["name"]})
        await self._lobby.call("GET", f"/v1/requests/{PERSON['id_number']}")
        await self._lobby.call("GET", f"/v1/verify/{PERSON['name']}")

    async def _dead_lettered(self) -> None:
        """An envelope that cannot be opened: it was sealed for another request."""
        secrets = stack_secrets(self._lobby.stack.data)
        keys = KeyRing.parse(secrets["TONGBAN_KEYRING"])
        request_id = ids.request_id(
            secrets["TONGBAN_ID_SECRET"], kiosk_id=KIOSK, branch_id=BRANCH, key="dead-letter"
        )
        now = datetime.now(UTC)
        event = RequestSubmitted(
            request_id=request_id,
            item=snapshot(self._transfer),
            origin=Origin(kiosk_id=KIOSK, branch_id=BRANCH, channel="self_service"),
            applicant=ApplicantFacts(type="person", pseudonym="p"),
            print=False,
            submitted_at=now,
            deadline=now + timedelta(days=300),
            body_digest="digest",
            sealed=keys.seal("another", {"applicant": PERSON, "form": VALUES}),
        )
        async with EventProducer(self._lobby.stack.kafka, delivery_timeout=20) as producer:
            await EventPublisher(producer, "test").publish(
                topics.REQUESTS_SUBMITTED, event, event_id="dead-letter", at=now
            )
        await self._lobby.when(request_id, "held")


def _particulars(who: Any) -> list[str]:
    """What an applicant might mention in free words."""
    person = who.get("agent", who)
    return [who["name"], person["name"], person["phone"], person["email"], person["id_number"]]
