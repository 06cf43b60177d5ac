"""Hold texts for residents, in Chinese and English, and name the states of requests and print
orders as residents read them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from tongban_common.domain.status import PrintStatus, Status

Language = Literal["zh", "en"]
DEFAULT_LANGUAGE: Language = "zh"


class Text(NamedTuple):
    """Holds one text in both languages."""

    zh: str
    en: str

    def in_(self, language: Language) -> str:
        return self.en if language == "en" else self.zh


def preferred(accept_language: str | None) -> Language:
    """Return the language for an Accept-Language header (RFC 9110, 12.5.4): English if the client
    prefers it to Chinese, else Chinese."""
    best: tuple[float, Language] = (0.0, DEFAULT_LANGUAGE)
    for part in (accept_language or "").split(","):
        tag, _, parameter = part.strip().partition(";")
        primary = tag.partition("-")[0].strip().lower()
        language: Language | None
        language = "en" if primary == "en" else "zh" if primary in ("zh", "*") else None
        if language is not None and (weight := _weight(parameter)) > best[0]:
            best = (weight, language)
    return best[1]


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


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
