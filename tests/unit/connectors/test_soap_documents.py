"""Documents over SOAP: announced in a signed answer, fetched in signed pieces."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from lxml import etree

from tests.unit.connectors.soap_kit import KNOWN, TOKEN, Silent, said
from tongban_common.store.documents import MAX_BYTES
from tongban_connectors.documents.keeper import whole
from tongban_connectors.domain.gateway import BrokenAnswerError
from tongban_connectors.gateways.soap import MAX_ANSWER, PIECE
from tongban_devstack.gateways.soap_answers import SoapAnswer as Envelope
from tongban_devstack.gateways.soap_answers import answered, fault, handed_out, knows
from tongban_provinces.models import GatewayAnswer, OfferedDocument
from tongban_provinces.soap_envelope import PROVINCE, read, schema

PDF = random.Random(1).randbytes(2 * PIECE + 1000)
OFFERED: dict[str, Any] = {
    "name": "certificate",
    "title": "社保缴费证明",
    "sha256": hashlib.sha256(PDF).hexdigest(),
    "size": len(PDF),
}
DOCUMENT = OfferedDocument(**OFFERED)


def offering(*documents: dict[str, Any]) -> Envelope:
    return answered("LookUp", knows({**KNOWN, "documents": documents}))


async def test_announced_document_is_read_and_valid_by_the_schema() -> None:
    content = etree.fromstring(offering(OFFERED, OFFERED).raw)[0][0]
    assert schema().validate(content)
    answer = await said(lambda: offering(OFFERED)).look_up("r-1")
    assert isinstance(answer, GatewayAnswer)
    assert answer.documents == [DOCUMENT]


@pytest.mark.parametrize(
    "documents",
    [
        [OFFERED] * 6,
        [{**OFFERED, "size": MAX_BYTES + 1}],
        [{**OFFERED, "size": 0}],
        [{**OFFERED, "name": "../another"}],
        [{**OFFERED, "sha256": "0" * 63}],
        [{**OFFERED, "title": ""}],
    ],
)
async def test_an_announcement_of_another_shape_is_not_believed(
    documents: list[dict[str, Any]],
) -> None:
    with pytest.raises(BrokenAnswerError, match="another shape"):
        await said(lambda: offering(*documents)).look_up("r-1")


async def test_a_document_is_fetched_in_pieces_of_one_size() -> None:
    asked: list[int] = []

    def hand_out(sent: Any) -> bytes:
        content = read(sent.raw).content
        assert schema().validate(content)
        assert content.findtext(f"{{{PROVINCE}}}name") == "certificate"
        start = int(content.findtext(f"{{{PROVINCE}}}offset"))
        asked.append(start)
        made = handed_out("application/pdf", PDF[start : start + PIECE])
        made.signed(TOKEN, relates_to=sent.message_id, confirms=sent.signature)
        assert len(made.raw) < MAX_ANSWER
        return made.raw

    gateway = Silent(hand_out)
    fetched = await whole(DOCUMENT, lambda each, start: gateway.fetch("r-1", each, start))
    assert hashlib.sha256(fetched).hexdigest() == DOCUMENT.sha256
    assert asked == [0, PIECE, 2 * PIECE]


WRONG: dict[str, tuple[Callable[[], Envelope], str]] = {
    "another type": (lambda: handed_out("text/html", PDF[:PIECE]), "another type"),
    "shorter": (lambda: handed_out("application/pdf", PDF[: PIECE - 1]), "another size"),
    "longer": (lambda: handed_out("application/pdf", PDF[: PIECE + 1]), "another shape"),
    "empty": (lambda: handed_out("application/pdf", b""), "another shape"),
    "not there": (lambda: fault("unknown", ""), "refused: unknown"),
    "an application": (lambda: answered("LookUp", knows(KNOWN)), "another shape"),
    "a repeat": (lambda: fault("duplicate", "", application=KNOWN), "another shape"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_piece_other_than_the_requested_one_is_refused(wrong: str) -> None:
    make, why = WRONG[wrong]
    with pytest.raises(BrokenAnswerError, match=why):
        await said(make).fetch("r-1", DOCUMENT, 0)


async def test_a_piece_is_covered_by_the_signature() -> None:
    def changed(sent: Any) -> bytes:
        made = handed_out("application/pdf", b"A" * 30)
        made.signed(TOKEN, relates_to=sent.message_id, confirms=sent.signature)
        assert made.raw.count(b"QUFB") == 10
        return made.raw.replace(b"QUFB", b"QUFC", 1)

    small = DOCUMENT.model_copy(update={"size": 30})
    with pytest.raises(BrokenAnswerError, match="Body was changed"):
        await Silent(changed).fetch("r-1", small, 0)


async def test_last_piece_has_the_remaining_bytes() -> None:
    start = 2 * PIECE
    gateway = said(lambda: handed_out("application/pdf", PDF[start:]))
    assert await gateway.fetch("r-1", DOCUMENT, start) == PDF[start:]
    with pytest.raises(BrokenAnswerError, match="another size"):
        await said(lambda: handed_out("application/pdf", PDF[:PIECE])).fetch("r-1", DOCUMENT, start)
