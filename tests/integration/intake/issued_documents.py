"""A request that was completed with a document, as the read model knows it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from tests.integration.intake.conftest import Replica, Stack, until
from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.domain.verification import sheet_code
from tongban_common.envelope import KeyRing
from tongban_common.events.models import DocumentRef
from tongban_common.settings import CommonSettings

RESULT = {
    "number": "34000020260302000017",
    "issuer": "示例局",
    "issued_on": "2026-03-02",
    "facts": [{"label": "账户余额", "value": "12,345.67元"}],
}


@dataclass(frozen=True)
class Issued:
    """A document that was issued."""

    code: str
    sha256: str
    pdf: bytes


async def issue(intake: Replica, stack: Stack, key: str) -> Issued:
    """Complete a request with a document, and wait until its code is known."""
    event = await stack.accepted(intake, key)
    await stack.tell(event, Status.SUBMITTED, Status.ROUTED)
    ring = KeyRing.parse(CommonSettings().keyring.get_secret_value())
    sealed = ring.add(event.request_id, event.sealed, {"result": RESULT})
    await stack.tell(event, Status.COMPLETED, seq=3, sealed=sealed)
    pdf = b"%PDF-1.7 " + event.request_id.encode()
    document_id = derived_id("document", event.request_id, 0)
    ref = DocumentRef(
        document_id=document_id, title="社保缴费证明", pages=2,
        sha256=hashlib.sha256(pdf).hexdigest(),
    )  # fmt: skip
    await stack.report_print(event, ref, PrintStatus.QUEUED, seq=1)
    found = Issued(sheet_code(document_id), ref.sha256, pdf)

    async def known() -> bool:
        answer = await intake.session.get(f"{intake.url}/v1/verify/{found.code}")
        return answer.status == 200 and "number" in await answer.json()

    await until(known, what=f"{found.code} is known")
    return found
