"""How the gateway says no to messages that are wrong."""

from __future__ import annotations

from tongban_ops.conformance.kit import Kit, NoAnswerError
from tongban_ops.conformance.messages import GATEWAY_LIMIT
from tongban_ops.conformance.verdicts import CheckFailedError


async def bad_request(kit: Kit) -> str:
    """A submission that lacks a field is a clear no that names the field for who has to mend it."""
    request_id = kit.fresh()
    message = kit.dialect.incomplete(kit.application(request_id), act_before=kit.soon())
    said = await kit.ask(message, "submission")
    await kit.without_effect(request_id, "a submission without its item's code")
    if said.code == "ok":
        raise CheckFailedError("a submission without its item's code was answered as taken in")
    if said.code != "bad_request":
        raise CheckFailedError(f"answered {said.status} {said.code}; 400 `bad_request` is agreed")
    if "item" not in said.message:
        raise CheckFailedError(f"the message does not point to the field: {said.message!r}")
    return f"`bad_request`: {said.message}"


async def too_large(kit: Kit) -> str:
    """A message beyond 1 MiB is refused: whoever takes anything in is filled up one day."""
    request_id = kit.fresh()
    message = kit.dialect.submission(
        kit.application(request_id), act_before=kit.soon(), padding=GATEWAY_LIMIT
    )
    try:
        reply = await kit.send(message)
    except NoAnswerError as error:
        await kit.without_effect(request_id, f"a submission of {len(message.body)} bytes")
        raise CheckFailedError(f"{len(message.body)} bytes: {error}; 413 is agreed") from error
    await kit.without_effect(request_id, f"a submission of {len(message.body)} bytes")
    if reply.status != 413:
        raise CheckFailedError(
            f"{len(message.body)} bytes were answered {reply.status}; 413 is agreed"
        )
    return f"{len(message.body)} bytes are refused with 413"


async def no_such_route(kit: Kit) -> str:
    """A call that does not exist is a signed no of its own, and no `unknown`: see `unknown`."""
    said = await kit.ask(kit.dialect.elsewhere(), "unknown call")
    if said.code == "ok":
        raise CheckFailedError(f"a call that does not exist was answered {said.status}")
    if said.code == "unknown":
        raise CheckFailedError("a call that does not exist says `unknown`, as a look-up would")
    return f"{said.status} `{said.code}`"
