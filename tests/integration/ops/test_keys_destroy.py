"""`tongban keys destroy` against what the read model has."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tongban_common.keyring import Ring
from tongban_common.store import Store
from tongban_ops.cli.main import application
from tongban_ops.operators.keyring_file import write

KEYS = {"active": "k1", "keys": {"k1": "A" * 43}}


def line(seq: int, status: str) -> dict[str, Any]:
    return {"seq": seq, "at": "2026-03-02T09:00:00+08:00", "status": status, "by": "router"}


async def destroy(ring: Path, store: str, name: str, *more: str) -> tuple[int, str]:
    env = {"TONGBAN_STORE": store, "TONGBAN_STORE_NAME": name, "TONGBAN_KEYRING": f"@{ring}"}
    answer = await asyncio.to_thread(
        CliRunner(env=env).invoke, application(), ["keys", "destroy", "k1", *more]
    )
    return answer.exit_code, answer.stderr


async def test_key_with_a_request_that_may_be_open_is_not_destroyed(
    store: str, tmp_path: Path
) -> None:
    name, ring = f"test_{uuid.uuid4().hex[:10]}", tmp_path / "ring.json"
    before = datetime.now(UTC) - timedelta(days=1)
    write(ring, Ring.parse(json.dumps(KEYS)).rotated(now=before, after=timedelta(0)))
    database = Store(store, name)
    requests = database.collection("requests")
    sealed = {"kid": "k1", "key": "x", "parts": {}}
    # An order that was silent for a month keeps no key.
    printing = {"status": "waiting_for_printer", "at": datetime.now(UTC).isoformat()}
    await requests.insert_many(
        [
            {"_id": "r-done", "sealed": sealed, "timeline": {"000001": line(1, "rejected")}},
            {"_id": "r-open", "sealed": sealed, "timeline": {"000001": line(1, "accepted")}},
            {
                "_id": "r-sheet",
                "sealed": sealed,
                "timeline": {"000001": line(1, "completed")},
                "orders": {"o-1": {"000001": printing}},
            },
            {
                "_id": "r-new",
                "sealed": {**sealed, "kid": "k2"},
                "timeline": {"000001": line(1, "accepted")},
            },
        ]
    )
    code, said = await destroy(ring, store, name)
    assert code == 1
    assert "2 requests under k1 are still open" in said
    assert {"r-open", "r-sheet"} == {word.strip(",") for word in said.split() if word[:2] == "r-"}
    # A withdrawal's remark after the end does not open it again.
    await requests.update_one(
        {"_id": "r-open"},
        {"$set": {"timeline.000002": line(2, "completed"),
                  "timeline.000003": {**line(3, "completed"), "note": True}}},
    )  # fmt: skip
    await requests.update_one(
        {"_id": "r-sheet"}, {"$set": {"orders.o-1.000002": {**printing, "status": "printed"}}}
    )
    code, said = await destroy(ring, "mongodb://127.0.0.1:1", name)
    assert code == 69
    assert "cannot be told" in said
    assert "k1" in Ring.parse(ring.read_text()).keys
    assert await destroy(ring, store, name) == (0, "")
    assert set(Ring.parse(ring.read_text()).destroyed) == {"k1"}
    database.close()
