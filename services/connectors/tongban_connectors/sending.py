"""Choose the gateway's method for a call, and its arguments."""

from __future__ import annotations

from typing import Any

from tongban_common.domain.status import CallKind
from tongban_common.events.models import ProvinceCall
from tongban_connectors.gateway import Gateway
from tongban_provinces.models import GatewayAnswer


async def take_effect(
    gateway: Gateway, call: ProvinceCall, applicant: Any, form: Any, *, act_before: float
) -> GatewayAnswer:
    """Submit, supplement or withdraw, as the call demands.

    Args:
        applicant: as it was sealed; None for a withdrawal.
        form: as it was sealed; None for a withdrawal.
        act_before: Unix seconds.

    Raises:
        GatewayError: as `Gateway`.
    """
    match call.call:
        case CallKind.SUPPLEMENT:
            return await gateway.supplement(
                call.request_id, call.call_id, form, act_before=act_before
            )
        case CallKind.WITHDRAW:
            return await gateway.withdraw(call.request_id, act_before=act_before)
        case _:
            application = {
                "request_id": call.request_id,
                "item_code": call.item.code,
                "item_name": call.item.name,
                "kind": call.item.kind,
                "applicant": applicant,
                "form": form,
            }
            return await gateway.submit(application, act_before=act_before)
