"""Intake against its own OpenAPI document: schemathesis, on a real process and a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.intake.conftest import Replica, Stack, token
from tests.integration.intake.test_openness import CONTRACT
from tests.integration.intake.test_reading import keyring, shown
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.domain.verification import file_code
from tongban_common.events.models import DocumentRef, RequestSubmitted
from tongban_common.store import DocumentStore, Store

pytestmark = pytest.mark.long

HOOKS = Path(__file__).with_name("openapi_checks.py")


def config(done: str, waiting: str, document: DocumentRef, item: str) -> str:
    """Where real resources are."""
    requests = "/v1/requests/{request_id}"
    return f"""
request-timeout = 10
continue-on-failure = true
warnings = false

[parameters]
"path.request_id" = "{done}"
"path.document_id" = "{document.document_id}"

[[operations]]
include-path = ["{requests}/supplements", "{requests}/withdrawal"]
parameters = {{ "path.request_id" = "{waiting}" }}

[[operations]]
include-path = "/v1/catalogue/items/{{code}}"
parameters = {{ "path.code" = "{item}" }}

[[operations]]
include-path = "/v1/verify/{{code}}"
parameters = {{ "path.code" = "{file_code(document.sha256)}" }}

[[operations]]
include-path = "{requests}/events"
# The stream of a request that was just made stays open.
phases.stateful.enabled = false
"""


async def completed(intake: Replica, stack: Stack, key: str) -> tuple[str, DocumentRef]:
    """A request that ended with a document which can be fetched."""
    event = await stack.accepted(intake, key)
    document = DocumentRef(document_id=f"d-{key}", title="证明", pages=1, sha256="ef" * 32)
    await _keep(stack, event, document)
    await stack.tell(event, Status.SUBMITTED, Status.COMPLETED)
    await stack.report_print(event, document, PrintStatus.PRINTED)
    await shown(intake, event.request_id, Status.COMPLETED)
    return event.request_id, document


async def _keep(stack: Stack, event: RequestSubmitted, document: DocumentRef) -> None:
    store = Store(stack.store, "tongban")
    try:
        await DocumentStore(store, keyring()).put(
            event.request_id, document, b"%PDF-1.7 ...", event.sealed, at=event.submitted_at
        )
    finally:
        store.close()


async def schemathesis(intake: Replica, directory: Path, settings: str, *more: str) -> Any:
    """Run it; its report. Fails with all that it found."""
    (directory / "schemathesis.toml").write_text(settings)
    argv = [
        str(Path(sys.executable).with_name("schemathesis")),
        "--config-file", "schemathesis.toml",
        "run", f"{intake.url}/openapi.json",
        "-H", f"Authorization: Bearer {token()}",
        # A body can fit the schema and be refused all the same: for its item's form, a check digit,
        # a key that was used. `problem_document` looks that each refusal says why.
        "--exclude-checks", "positive_data_acceptance",
        "--no-color", "--generation-database", "none",
        "--report", "json", "--report-json-path", "report.json",
        *more,
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=directory,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return json.loads((directory / "report.json").read_text())


@pytest.mark.parametrize(
    "depth",
    [
        pytest.param(
            ["-n", "10", "--seed", "1", "-H", "Accept-Language: en-GB, zh;q=0.5"], id="short"
        ),
        pytest.param(["-n", "60"], id="long", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
async def test_intake_conforms_to_its_openapi_document(
    stack: Stack, tmp_path: Path, depth: list[str]
) -> None:
    # No stream stays open: schemathesis reads answers to their end.
    async with stack.replica(TONGBAN_STREAM_GRACE="0") as intake:
        key = f"openapi-{depth[1]}"
        done, document = await completed(intake, stack, f"{key}-done")
        waiting = await stack.accepted(intake, f"{key}-waiting", print=False)
        await stack.tell(waiting, Status.SUBMITTED, Status.NEEDS_SUPPLEMENT)
        await shown(intake, waiting.request_id, Status.NEEDS_SUPPLEMENT)
        settings = config(done, waiting.request_id, document, stack.printable.code)
        report = await schemathesis(intake, tmp_path, settings, *depth)
        assert report["complete"]
        assert report["operations"]["tested"] == report["operations"]["total"] == len(CONTRACT)
        assert report["test_cases"]["generated"] > 300
        assert intake.process.returncode is None
