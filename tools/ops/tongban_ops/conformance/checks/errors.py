"""Check how the gateway refuses malformed messages."""

from __future__ import annotations

from tongban_ops.conformance.kit import Kit, NoAnswerError
from tongban_ops.conformance.messages import GATEWAY_LIMIT
from tongban_ops.conformance.verdicts import CheckFailedError


async def bad_request(kit: Kit) -> str:
    """A submission without a required field is refused, and the answer names the field."""
    request_id = kit.fresh()
    answer = await kit.ask(kit.incomplete(request_id), "submission")
    await kit.without_effect(request_id, "a submission without its item's code")
    if answer.code == "ok":
        raise CheckFailedError("a submission without its item's code was answered as taken in")
    if answer.code != "bad_request":
        raise CheckFailedError(
            f"answered {answer.status} {answer.code}; 400 `bad_request` is agreed"
        )
    if "item" not in answer.message:
        raise CheckFailedError(f"the message does not point to the field: {answer.message!r}")
    return f"`bad_request`: {answer.message}"


async def too_large(kit: Kit) -> str:
    """A message over 1 MiB is refused: a gateway without a limit can be exhausted."""
    request_id = kit.fresh()
    message = kit.submission(request_id, padding=GATEWAY_LIMIT)
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
    """An undefined call gets a signed error of its own, never `unknown`, which means more."""
    answer = await kit.ask(kit.dialect.elsewhere(), "unknown call")
    if answer.code == "ok":
        raise CheckFailedError(f"a call that does not exist was answered {answer.status}")
    if answer.code == "unknown":
        raise CheckFailedError("a call that does not exist says `unknown`, as a look-up would")
    return f"{answer.status} `{answer.code}`"
