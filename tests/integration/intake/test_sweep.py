"""`tongban store sweep` on a real store."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import datetime, timedelta
from typing import Any

from typer.testing import CliRunner

from tongban_common.clock import CHINA
from tongban_common.store import Store
from tongban_intake.readmodel.record import RequestRecord
from tongban_ops.cli.main import application

NOW = datetime.now(CHINA)


def line(seq: int, status: str, days_ago: float) -> dict[str, Any]:
    at = (NOW - timedelta(days=days_ago)).isoformat()
    return {"seq": seq, "at": at, "status": status, "by": "router", "reason": "张三的材料"}


def request(name: str, *entries: tuple[str, float], **more: Any) -> dict[str, Any]:
    lines = [line(seq, *entry) for seq, entry in enumerate(entries, start=1)]
    return {
        "_id": name,
        "sealed": {"kid": "k1", "key": "x", "parts": {"applicant": "sealed"}},
        "applicant": {"type": "person", "pseudonym": "p"},
        "body_digest": "digest",
        "codes": ["code"],
        "documents": {"d-1": {"title": "t", "pages": 1, "sha256": "s"}},
        "messages": {"m": {}},
        "timeline": {f"{each['seq']:06d}": each for each in lines},
        **more,
    }


async def tongban(store: str, name: str, *arguments: str) -> Any:
    env = {"TONGBAN_STORE": store, "TONGBAN_STORE_NAME": name}
    answer = await asyncio.to_thread(
        CliRunner(env=env).invoke, application(), ["store", "sweep", *arguments, "--json"]
    )
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


async def test_swept_request_keeps_its_skeleton_alone(store: str) -> None:
    name = f"test_{uuid.uuid4().hex[:10]}"
    database = Store(store, name)
    requests, documents = database.collection("requests"), database.collection("documents")
    waits = {"o-1": {"000001": {"status": "needs_confirmation", "at": NOW.isoformat()}}}
    kept = [
        request("r-young", ("routed", 200), ("completed", 100)),
        request("r-open", ("routed", 400)),
        request("r-sheet", ("completed", 400), orders=waits),
    ]
    await requests.insert_many([request("r-old", ("routed", 400), ("completed", 181)), *kept])
    await documents.insert_many(
        [{"_id": f"d-{each}", "request_id": each} for each in ("r-old", "r-young", "r-open")]
    )
    counted = {"looked_at": 4, "requests": 1, "documents": 1}
    assert await tongban(store, name, "--dry-run") == {**counted, "dry_run": True}
    assert await documents.count_documents({}) == 3
    assert await tongban(store, name) == {**counted, "dry_run": False}

    found = {each["_id"]: each async for each in requests.find({})}
    assert [found[each["_id"]] for each in kept] == kept
    assert {each["request_id"] async for each in documents.find({})} == {"r-young", "r-open"}
    old = RequestRecord(found["r-old"])
    assert old.swept
    assert old.status == "completed"
    assert found["r-old"]["body_digest"] == "digest", "its key is still recognised"
    assert found["r-old"]["codes"] == ["code"], "its sheets are still recognised"
    text = json.dumps(found["r-old"], ensure_ascii=False, default=str)
    assert not any(each in text for each in ("张三", "sealed_applicant", '"p"', "messages"))
    assert found["r-old"]["sealed"]["parts"] == {}

    again = await tongban(store, name)
    assert again == {"looked_at": 3, "requests": 0, "documents": 0, "dry_run": False}
    database.close()


async def test_sweep_of_what_may_still_be_projected_is_refused(store: str) -> None:
    answer = await asyncio.to_thread(
        CliRunner(env={"TONGBAN_STORE": store}).invoke,
        application(),
        ["store", "sweep", "--after", "10d"],
    )
    assert answer.exit_code == 2
    assert "60d at least" in answer.output
