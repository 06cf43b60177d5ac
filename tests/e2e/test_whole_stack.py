"""The whole stack, from the kiosk's HTTP to the provinces' ledger, the paper and the phone."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e import facts_ledgers
from tests.e2e import published_checking as checking
from tests.e2e import whole_stack_reading as reading
from tests.e2e.disguises import leaks_in
from tests.e2e.lobby_kit import CATALOGUE, KIOSK, Lobby, lobby_in
from tests.e2e.people import PERSON
from tests.e2e.plain_reading import all_records, topic_settings
from tests.e2e.private_matters import PrivateMatters
from tongban_devstack.stack import SERVICES

SICHUAN, SHANDONG = "510000", "370000"
PUBLISHED = [
    # The cases that have been in the papers: name, province, whether paper comes out, who helps.
    ("社保缴费证明", "340000", True, None),  # an Anhui worker, 5 minutes
    ("社保关系转移", "130000", False, "lm-007"),  # Hebei to Shanghai, with the lobby manager
    ("医保账户查询", "320000", False, None),
    ("医保账户打印", "320000", True, None),
    ("社保卡激活", SICHUAN, False, None),
    ("社保卡激活", SHANDONG, False, None),
    ("社保卡临时挂失", SICHUAN, False, None),
    ("社保卡临时挂失", SHANDONG, False, None),
    ("无犯罪记录证明", "460000", True, None),  # Hainan
    ("无犯罪记录证明", "140000", True, None),  # Shanxi
]


@pytest.fixture(scope="module")
async def lobby(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lobby]:
    with pytest.MonkeyPatch.context() as patch:
        whole = tmp_path_factory.mktemp("whole")
        patch.setenv("TONGBAN_LOG_LEVEL", "DEBUG")
        patch.setenv("TMPDIR", str(reading.temporary_directory(whole / "data")))
        async with lobby_in(whole, replicas={"intake": 2}) as running:
            yield running


async def test_published_cases_complete_print_and_notify_once(lobby: Lobby) -> None:
    async def one(number: int) -> None:
        name, province, prints, assistant = PUBLISHED[number]
        item = lobby.item(name, province)
        how = {"channel": "assisted", "assistant": assistant} if assistant else {}
        request_id = await lobby.submit(item, lobby.key(item, "complete", number), **how)
        done = await lobby.when(request_id, "completed")
        assert done["channel"] == ("assisted" if assistant else "self_service")
        assert bool(done["documents"]) is prints
        assert [order["status"] for order in done["print_orders"]] == ["printed"] * prints
        assert await lobby.ledger(request_id) == {(request_id, "submit"): 1}
        sheets = await lobby.outside(f"{lobby.stack.devices}/printed")
        mine = [sheet for sheet in sheets if sheet["request_id"] == request_id]
        assert [(sheet["count"], sheet["kiosk_id"]) for sheet in mine] == [(1, KIOSK)] * prints
        await _told_once(lobby, request_id, "completed", str(item.example_applicant["phone"]))

    async with asyncio.TaskGroup() as tasks:
        for number in range(len(PUBLISHED)):
            tasks.create_task(one(number))


async def _told_once(lobby: Lobby, request_id: str, template: str, phone: str) -> None:
    deadline = time.monotonic() + 30
    mine: list[tuple[object, ...]] = []
    while not mine and time.monotonic() < deadline:
        messages = await lobby.outside(f"{lobby.stack.devices}/messages")
        mine = [
            (message["template"], message["to"], message["count"])
            for message in messages
            if message["request_id"] == request_id
        ]
        await asyncio.sleep(0.2)
    assert (template, phone, 1) in mine
    assert all(count == 1 for *_, count in mine)


async def test_a_printed_document_is_verified_to_the_last_byte(
    lobby: Lobby, tmp_path: Path
) -> None:
    item = lobby.item("社保缴费证明", "340000")
    request_id = await lobby.submit(item, lobby.key(item, "complete", 500))
    (document,) = (await lobby.when(request_id, "completed"))["documents"]
    path = f"/v1/requests/{request_id}/documents/{document['document_id']}"
    status, pdf = await lobby.call("GET", path)
    assert status == 200
    file = tmp_path / "certificate.pdf"

    async def verify(content: bytes) -> tuple[int | None, dict[str, object]]:
        file.write_bytes(content)
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("tongban"), "documents", "verify", file, "--json",
            env={"TONGBAN_INTAKE": lobby.intakes[0]}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode, json.loads(said)

    code, told = await verify(pdf)
    assert (code, told["genuine"], told["title"]) == (0, True, document["title"])
    assert (told["province"], told["sha256"]) == ("340000", document["sha256"])
    changed = bytearray(pdf)
    changed[len(pdf) // 2] ^= 1
    code, told = await verify(bytes(changed))
    assert (code, told["genuine"], set(told)) == (1, False, {"genuine", "sha256"})


async def test_a_changed_item_is_live_everywhere_at_once(lobby: Lobby, tmp_path: Path) -> None:
    """Published by the operators' command, while a request under the old version is open."""
    item = lobby.item("社保卡激活", SHANDONG)
    before = await lobby.submit(item, lobby.key(item, "linger"))
    await lobby.when(before, "accepted", "waiting_for_province")
    path = f"/v1/catalogue/items/{item.code}"
    status, old = await lobby.call("GET", path)
    assert status == 200

    edited = shutil.copytree(CATALOGUE, tmp_path / "catalogue")
    file = edited / "zones" / "cross_province" / "social_security.yaml"
    text, count = re.subn(
        r"(name: 社保卡激活\n.*?fields: \[insured_city, social_card_number)\]",
        r"\1, address]",
        file.read_text(),
        flags=re.DOTALL,
    )
    assert count == 1
    file.write_text(text)
    tongban = Path(sys.executable).with_name("tongban")
    process = await asyncio.create_subprocess_exec(
        tongban, "catalogue", "publish", file, env={"TONGBAN_KAFKA": lobby.stack.kafka}
    )
    assert await process.wait() == 0
    began = time.monotonic()
    for replica in range(len(lobby.intakes)):
        new = old
        while new["version"] == old["version"]:
            assert time.monotonic() - began < 2.0, f"intake-{replica} still serves the old version"
            _, new = await lobby.call("GET", path, replica=replica)
        assert new["version"] == old["version"] + 1
        # What was valid is no longer, on this replica too.
        body = {
            "item_code": item.code,
            "channel": "self_service",
            "applicant": item.example_applicant,
            "form": item.example_form,
        }
        key = f"old-form-{replica}"
        status, said = await lobby.call("POST", "/v1/requests", key=key, replica=replica, json=body)
        assert (status, said["errors"][0]["pointer"]) == (422, "/form/address")
    assert len(lobby.intakes) == 2

    fresh = await lobby.submit(item, lobby.key(item, "complete", 77), form=new["example_form"])
    assert (await lobby.when(fresh, "completed"))["item_version"] == new["version"]
    ended = await lobby.when(before, "completed")
    assert ended["item_version"] == old["version"]
    assert await lobby.ledger(before) == {(before, "submit"): 1}


@pytest.fixture(scope="module")
async def matters(lobby: Lobby) -> PrivateMatters:
    """Requests that end in every way, and some that go wrong."""
    made = PrivateMatters(lobby)
    await made.all()
    return made


async def test_whole_stack_leaves_personal_data_nowhere_in_clear(
    lobby: Lobby, matters: PrivateMatters
) -> None:
    """All that was written anywhere is searched for what was sent, however it may be spelt."""
    # The outside was told: the values did go through the chain.
    told = str(await lobby.outside(f"{lobby.stack.devices}/messages"))
    assert str(PERSON["phone"]) in told

    written = await reading.everything(lobby.stack)
    somewhere = {name for name, text in written.items() if text}
    assert somewhere >= {
        "requests.submitted", "requests.commands", "requests.outcomes", "requests.status",
        "requests.completed", "print.orders", "documents.printed", "notifications.sent",
        "feedback.rated", "province.130000.requests", "connectors-130000.dlt",
    }  # fmt: skip
    assert KIOSK.encode() in written["requests.submitted"]
    assert somewhere >= {"tongban.requests", "tongban.documents", "tongban.print_orders"}
    assert somewhere >= {f"logs/{name}-0.log" for name in SERVICES}
    assert any(b"r-" in text for name, text in written.items() if name.endswith(" as a table"))
    assert not leaks_in(written | matters.shown)


@pytest.mark.usefixtures("matters")
async def test_every_record_of_the_run_is_as_the_published_document_says(lobby: Lobby) -> None:
    """A plain client reads all topics, and the document alone says what has to be there."""
    run = checking.checked(await all_records(lobby.stack.kafka))
    assert not run.faults, run.faults[:10]
    assert run.types_missing <= checking.NOT_EXERCISED.keys()
    # What the tests wrote past the services is refused: the check does not accept everything.
    assert run.foreign["garbage"] >= 4
    assert run.foreign["forged"] == 1
    assert run.seen["ConnectorState"] > 0
    assert run.seen["DeadLetter"] >= run.foreign["garbage"]


async def test_every_topic_of_the_broker_is_as_the_published_document_says(lobby: Lobby) -> None:
    assert checking.topic_faults(await topic_settings(lobby.stack.kafka)) == []


@pytest.mark.usefixtures("matters")
async def test_facts_count_what_the_outside_has_seen(lobby: Lobby, tmp_path: Path) -> None:
    """States, sheets, messages, ratings and calls with effect, counted on both sides."""
    before = await facts_ledgers.outside(lobby)
    deadline = time.monotonic() + 60
    while True:
        found = await facts_ledgers.exported(lobby, tmp_path / "facts")
        after = await facts_ledgers.outside(lobby)
        # What went on meanwhile is counted again.
        if before == after or time.monotonic() > deadline:
            break
        before = after
    assert found == after
    assert set(after.finals) >= {"completed", "rejected", "withdrawn"}
    assert after.sheets >= 4
    assert after.ratings[5] >= 2
    assert after.withdrawn >= 1
