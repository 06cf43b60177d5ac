"""Name the states of requests and print orders as residents read them."""

from __future__ import annotations

from tongban_common.domain.status import PrintStatus, Status
from tongban_intake.text import Text

STATUS: dict[Status, Text] = {
    Status.SUBMITTED: Text("已提交", "submitted"),
    Status.ROUTED: Text("已送往办理省份", "on its way to the province"),
    Status.WAITING_FOR_PROVINCE: Text("等待省级平台受理", "waiting for the province"),
    Status.ACCEPTED: Text("省级平台已受理", "accepted by the province"),
    Status.NEEDS_SUPPLEMENT: Text("需要补充材料", "a supplement is needed"),
    Status.HELD: Text("工作人员正在核查", "being looked at by staff"),
    Status.COMPLETED: Text("办结", "completed"),
    Status.REJECTED: Text("不予办理", "rejected"),
    Status.WITHDRAWN: Text("已撤回", "withdrawn"),
    Status.EXPIRED: Text("已超过办理时限", "expired"),
    Status.FAILED: Text("办理失败", "failed"),
}
PRINT: dict[PrintStatus, Text] = {
    PrintStatus.QUEUED: Text("正在打印", "printing"),
    PrintStatus.WAITING_FOR_PRINTER: Text("打印机暂不可用，恢复后自动打印", "printer not ready"),
    PrintStatus.NEEDS_CONFIRMATION: Text("请大堂经理确认是否已打印", "to be confirmed by staff"),
    PrintStatus.PRINTED: Text("已打印，请取走", "printed"),
    PrintStatus.CANCELLED: Text("打印已取消", "cancelled"),
    PrintStatus.EXPIRED: Text("打印已过期", "expired"),
}
