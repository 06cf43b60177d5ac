"""A SOAP gateway whose messages are kept and answered by a test, and a message of another stack."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tongban_connectors.domain.gateway import UnclearAnswerError
from tongban_connectors.gateways.soap import SoapGateway
from tongban_devstack.gateways.soap_answers import SoapAnswer
from tongban_provinces.signing import province_token
from tongban_provinces.soap_envelope import Envelope, read

NOW = 1_772_413_200.0
TOKEN = province_token("secret", "220000")
BY_XMLSEC = (Path(__file__).parent / "samples/answer_signed_by_xmlsec.xml").read_bytes()
"""Signed by the xmlsec library (libxmlsec1), with the layout and the prefixes of another stack."""
MESSAGE_ID = "urn:uuid:00000000-0000-4000-8000-000000000001"
CONFIRMED = "c2lnbmF0dXJlIG9mIHRoZSByZXF1ZXN0"
KNOWN: dict[str, Any] = {
    "request_id": "r-1",
    "state": "completed",
    "receipt": "22202603020000000000001",
    "supplements": 0,
    "withdrawn": False,
    "result": {
        "number": "1",
        "issuer": "吉林省人力资源和社会保障厅",
        "issued_on": "2026-03-02",
        "facts": [{"label": "姓名", "value": "张三"}],
        "table": {"columns": ["年月", "基数"], "rows": [["2025-01", ""], []]},
    },
}
APPLICATION: dict[str, Any] = {
    "request_id": "r-1",
    "item_code": "22000020140002001",
    "item_name": "社保缴费证明",
    "kind": "print",
    "applicant": {"type": "person", "name": "张三", "id_type": "resident_id", "id_number": "22010"},
    "form": {"insured_city": "长春市", "years": 3},
}


class Silent(SoapGateway):
    """Writes messages as SoapGateway does, keeps them, and is answered by the test."""

    def __init__(self, answer: Callable[[Any], bytes] = lambda _: b"") -> None:
        super().__init__(
            None,  # type: ignore[arg-type]
            "http://province.invalid/p/220000/soap",
            province="220000",
            secret="secret",
            connect_timeout_s=1,
            timeout_s=1,
        )
        self.sent: list[Any] = []
        self._answer = answer

    async def _post(self, sent: Any) -> tuple[int, bytes]:
        self.sent.append(sent)
        return 200, self._answer(sent)


async def message() -> Envelope:
    """A message of the connector, as its reader sees it."""
    silent = Silent()
    with pytest.raises(UnclearAnswerError):
        await silent.submit(APPLICATION, act_before=time.time())
    return read(silent.sent[0].raw)


def find(envelope: Envelope, namespace: str, name: str) -> Any:
    return next(envelope.root.iter(f"{{{namespace}}}{name}"))


def said(make: Callable[[], SoapAnswer]) -> Silent:
    """A gateway that is answered so, with a signature for the very message."""
    return Silent(
        lambda sent: make().signed(TOKEN, relates_to=sent.message_id, confirms=sent.signature).raw
    )
