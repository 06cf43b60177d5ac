"""Decide in which state a request accepts which command.

Pure functions. The router decides again, on the state that it has by then. Each rule raises
ProblemError 409, whose detail is a sentence for the person at the kiosk.
"""

from __future__ import annotations

from tongban_common.domain.status import PrintStatus, Status
from tongban_intake.commands.models import Print
from tongban_intake.problems import Kind, ProblemError, invalid
from tongban_intake.readmodel.record import OrderRecord, RequestRecord
from tongban_intake.text import STATUS, Text


def may_supplement(record: RequestRecord) -> None:
    """Return if the province waits for a supplement."""
    if record.status is not Status.NEEDS_SUPPLEMENT:
        raise _conflict(record, "目前不需要补充材料", "no supplement is asked for")


def may_withdraw(record: RequestRecord) -> None:
    """Return if the request has not ended. The province may still refuse the withdrawal."""
    if record.status.final:
        raise _conflict(record, "事项已结束，不能撤回", "it is over and cannot be withdrawn")


def may_rate(record: RequestRecord) -> None:
    """Return if the request has ended and has not been rated."""
    if not record.status.final:
        raise _conflict(record, "请在办结后评价", "it can be rated once it is over")
    if record.rating is not None:
        raise _conflict(record, "您已评价过，谢谢", "it has been rated")


def order_in_question(record: RequestRecord, order_id: str) -> OrderRecord:
    """Return the print order, whose newest report must be `needs_confirmation`.

    Raises:
        ProblemError: 404, no such order; 409, it needs no confirmation, or has got one.
    """
    order = next((each for each in record.orders if each.order_id == order_id), None)
    if order is None:
        raise ProblemError(
            Kind.NOT_FOUND, Text("没有这个打印任务", "The request has no such print order")
        )
    if order.status is not PrintStatus.NEEDS_CONFIRMATION:
        raise _conflict(record, "这次打印不需要确认", "this print order asks nothing")
    if record.confirmation(order_id, order.seq) is not None:
        raise _conflict(record, "这次打印已经确认过", "this print order has been answered")
    return order


def document_to_print(
    record: RequestRecord, wanted: Print, *, kiosk_id: str, lobby_manager: bool = False
) -> str:
    """Return the id of the document to print.

    While an order for it is open at this kiosk, no second one is accepted here. At another kiosk it
    is: this one may be out of paper. A signed-in lobby manager, who sees the printer, may order it
    again while the open order waits for a confirmation.

    Raises:
        ProblemError: 409, there is nothing to print, or it is being printed; 422, the document does
            not exist, or several do and none is named.
    """
    known = record.documents
    if not known:
        raise _conflict(record, "还没有可打印的材料", "there is nothing to print yet")
    if wanted.document_id is not None and wanted.document_id not in known:
        raise invalid("/document_id", "该办件没有这份材料", "The request has no such document")
    if wanted.document_id is None and len(known) > 1:
        raise invalid("/document_id", "有多份材料，请选择一份", "There are several: name one")
    document_id = wanted.document_id or next(iter(known))
    for order in record.orders:
        line = order.line
        if (
            line["document_id"] in (document_id, None)
            and line["kiosk_id"] == kiosk_id
            and not order.status.final
            and not (lobby_manager and order.status is PrintStatus.NEEDS_CONFIRMATION)
        ):
            raise _conflict(record, "这份材料正在打印，请稍候", "it is just being printed here")
    return document_id


def _conflict(record: RequestRecord, zh: str, en: str) -> ProblemError:
    status = STATUS[record.status]
    return ProblemError(
        Kind.CONFLICT,
        Text(f"当前状态为“{status.zh}”，{zh}", f"The request is {status.en}: {en}"),
    )
