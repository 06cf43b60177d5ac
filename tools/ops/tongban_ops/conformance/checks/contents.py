"""Check the content of messages: characters, sizes, results and documents."""

from __future__ import annotations

import hashlib

from tongban_common.catalogue.models import ItemKind
from tongban_connectors.documents.inspector import Inspector, NotAPdfError
from tongban_connectors.documents.keeper import whole
from tongban_ops.conformance.kit import Kit
from tongban_ops.conformance.messages import OWN_LIMIT
from tongban_ops.conformance.verdicts import CheckFailedError, CheckSkippedError
from tongban_provinces.models import GatewayAnswer, GatewayState, OfferedDocument

INSPECTION_S = 60.0
"""Seconds to start a PDF reader and read one document; the product's own limit is lower."""
NAME = "𠮷㛃·麦麦提"
"""Contains a letter beyond the first plane, one of extension A, and the dot of transcribed names.
"""


async def unicode_names(kit: Kit) -> str:
    """Names are kept as written, in all of Unicode: 𠮷 and 㛃 occur in people's names."""
    request_id = kit.fresh()
    application = kit.application(request_id, kit.options.examples[-1])
    application["applicant"] = {**application["applicant"], "name": NAME}
    await kit.gateway.submit(application, act_before=kit.soon())
    known = await kit.known(request_id)
    facts = known.result.facts if known.result else []
    names = [fact.value for fact in facts if fact.label in ("姓名", "名称", "申请人")]
    if any(name != NAME for name in names):
        raise CheckFailedError(f"{NAME} came back as {', '.join(names)}")
    if names:
        return f"{NAME} came back as it was sent"
    return f"taken in; see in your books that {request_id} is of {NAME}"


async def large_form(kit: Kit) -> str:
    """The gateway accepts the largest form of a kiosk (256 KiB), and fields unknown to it."""
    request_id = kit.fresh()
    message = kit.submission(request_id, padding=OWN_LIMIT)
    reply = await kit.ask(message, "submission")
    if reply.code != "ok":
        raise CheckFailedError(f"{len(message.body)} bytes were refused: {reply.code}")
    await kit.known(request_id)
    return f"{len(message.body)} bytes were taken"


async def result(kit: Kit) -> str:
    """A completed application has a result: everything printed or shown is made from it."""
    known = await kit.one(lambda answer: answer.state is GatewayState.COMPLETED)
    if known is None:
        raise CheckSkippedError("no test application was completed while the kit ran")
    if known.result is None:
        raise CheckFailedError(f"{known.request_id} is completed and has no result")
    if not (known.result.number and known.result.issuer and known.result.issued_on):
        raise CheckFailedError(f"the result of {known.request_id} lacks its number, issuer or date")
    return f"{known.request_id} has one, with {len(known.result.facts)} facts"


async def document(kit: Kit) -> str:
    """A document of the province matches its announcement and can be printed."""
    known = await kit.known_one(_with_document)
    if known is None:
        prints = [each for each in kit.options.examples if each.kind == ItemKind.PRINT.value]
        known = await kit.fresh_one(_with_document, prints)
    if known is None:
        raise CheckSkippedError(
            "nothing that was completed came with a document: we make it ourselves"
        )
    offered = known.documents[0]

    async def fetch(document: OfferedDocument, start: int) -> bytes:
        return await kit.gateway.fetch(known.request_id, document, start)

    pdf = await whole(offered, fetch)
    if hashlib.sha256(pdf).hexdigest() != offered.sha256:
        raise CheckFailedError(f"{offered.name} of {known.request_id} is not what was announced")
    try:
        async with Inspector(1, timeout_s=INSPECTION_S) as inspector:
            pages = await inspector.pages(pdf)
    except NotAPdfError as error:
        raise CheckFailedError(f"{offered.name} of {known.request_id}: {error}") from error
    return f"{offered.name} of {known.request_id}: {len(pdf)} bytes, pages {pages}"


def _with_document(answer: GatewayAnswer) -> bool:
    return answer.state is GatewayState.COMPLETED and bool(answer.documents)
