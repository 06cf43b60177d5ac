"""Check receipts and callbacks (protocol `rest_callback`)."""

from __future__ import annotations

from tongban_ops.conformance.kit import FINAL, TRIES, Kit
from tongban_ops.conformance.listener import Heard
from tongban_ops.conformance.verdicts import CheckFailedError, CheckSkippedError


async def receipt(kit: Kit) -> str:
    """A submission is answered with 202 and a receipt number, which applicants use in inquiries."""
    request_id = kit.fresh()
    answer = await kit.ask(kit.submission(request_id), "submission")
    if answer.status != 202 or not answer.receipt:
        raise CheckFailedError(
            f"answered {answer.status} with receipt {answer.receipt}; 202 is agreed"
        )
    known = await kit.known(request_id)
    if known.receipt != answer.receipt:
        raise CheckFailedError(
            f"the look-up tells receipt {known.receipt}, the answer {answer.receipt}"
        )
    return f"202, {answer.receipt}, and the look-up tells the same"


async def callback(kit: Kit) -> str:
    """A callback names the request and is signed; it only saves the connector some polling."""
    request_id, heard = await _heard(kit, 1, failing=False)
    known = await kit.known(request_id)
    if heard[0].receipt is not None and heard[0].receipt != known.receipt:
        raise CheckFailedError(f"it names receipt {heard[0].receipt}, the look-up {known.receipt}")
    return f"{request_id} was called back, and the look-up says {known.state}"


async def callback_repeated(kit: Kit) -> str:
    """A callback that is not answered with a signed 200 is repeated: we may have been down."""
    _, heard = await _heard(kit, 2, failing=True)
    if len(heard) < 2:
        raise CheckFailedError(
            f"answered with 500, it did not come again within {kit.options.wait_s:g} s"
            + _strange(kit)
        )
    first, second = heard[:2]
    if first.notice_id != second.notice_id:
        raise CheckFailedError(
            f"it came again as another notice: {first.notice_id}, {second.notice_id}"
        )
    return f"answered with 500, it came again, signed anew, as notice {second.notice_id}"


async def _heard(kit: Kit, count: int, *, failing: bool) -> tuple[str, list[Heard]]:
    """Return the id of an application with news, and one to `count` callbacks about it.

    The listener answers the first callback with 500 if `failing`.
    """
    request_id = await _with_news(kit, failing=failing)
    heard = await kit.listener.wait_for(request_id, count, kit.options.wait_s)
    if not heard:
        raise await _silence(kit, request_id)
    return request_id, heard


async def _with_news(kit: Kit, *, failing: bool) -> str:
    """Submit an application that has, or will have, news to call back about; return its id."""
    if kit.listener.url is None:
        raise CheckSkippedError(
            "the gateway has no way to this machine: --callback-url tells it one"
        )
    request_id = ""
    for example in reversed(kit.options.examples):
        for _ in range(TRIES):
            request_id = kit.fresh()
            if failing:
                kit.listener.fail_once(request_id)
            application = kit.application(request_id, example)
            await kit.gateway.submit(application, act_before=kit.soon())
            if (await kit.known(request_id)).state in FINAL:
                return request_id
    return request_id


async def _silence(kit: Kit, request_id: str) -> CheckFailedError | CheckSkippedError:
    """Return the verdict for a missing callback."""
    if (await kit.known(request_id)).state not in FINAL:
        return CheckSkippedError(f"nothing was decided within {kit.options.wait_s:g} s (--wait)")
    return CheckFailedError(
        f"{request_id} is decided, and no callback came within {kit.options.wait_s:g} s"
        + _strange(kit)
    )


def _strange(kit: Kit) -> str:
    if not kit.listener.strange:
        return ""
    return f"; {len(kit.listener.strange)} came that are not believed: {kit.listener.strange[-1]}"
