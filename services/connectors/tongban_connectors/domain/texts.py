"""Texts that connectors write into the timeline of a request, for applicants."""

from __future__ import annotations

from tongban_common.control.provinces import PAUSE_REASONS

HELD = "与省级平台交互出现异常，已转人工处理"
DESTROYED = "个人信息已按期销毁，未向省级平台提交"
ITEM_NOT_OFFERED = "省级平台未开通此事项，未予受理"
WAITING = {
    "closed": "省级平台当前不在服务时间，开放后自动继续",
    "throttled": "省级平台繁忙，稍后自动继续",
    "down": "省级平台暂时无法连接，恢复后自动继续",
    "paused": "省级平台暂停办理，恢复后自动继续",
    "store": "已收到省级平台出具的证明，暂时无法保存，恢复后自动继续",
}
"""By cause; a cause that is missing here has the text of `down`."""
OWN = frozenset({HELD, DESTROYED, ITEM_NOT_OFFERED, *WAITING.values()})
"""All fixed texts. Any other text is a province's or an operator's, and travels sealed."""


def paused(reason: str) -> str:
    """Return the text for a province that an operator has paused, with the operator's reason."""
    return f"省级平台暂停办理（{reason}），恢复后自动继续" if reason else WAITING["paused"]


def is_own(text: str) -> bool:
    """Return True if the text is one of our own, which may travel unsealed."""
    return text in OWN or text in {paused(reason) for reason in PAUSE_REASONS}
