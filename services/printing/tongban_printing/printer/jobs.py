"""Interpret a printer's answers for an order. Pure; attributes are those of RFC 8011."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any


class JobState(IntEnum):
    """The values of job-state (RFC 8011 section 5.3.7)."""

    PENDING = 3
    PENDING_HELD = 4
    PROCESSING = 5
    PROCESSING_STOPPED = 6
    CANCELED = 7
    ABORTED = 8
    COMPLETED = 9


class Finding(Enum):
    """The result of querying a job."""

    UNKNOWN = "the printer does not know the job: sheets of it may be out, or none"
    WITHOUT_DOCUMENT = "open, and its document has not arrived; it may be on its way"
    UNDER_WAY = "will be printed or is being printed"
    STOPPED = "will be printed once the printer's trouble is over"
    PRINTED = "all sheets are out"
    ENDED = "completed, and the printer does not report whether the document had arrived"
    NOTHING_PRINTED = "ended, and no sheet of it is out or will be"
    PARTLY_PRINTED = "ended early, and sheets of it are or may be out"


@dataclass(frozen=True, slots=True)
class JobView:
    """The state of a job, as its printer reports it."""

    finding: Finding
    sheets: int = 0
    """Impressions that are completed, as far as the printer counts them."""


UNKNOWN_JOB = JobView(Finding.UNKNOWN)


def view_of(attributes: Mapping[str, Any]) -> JobView:
    """Read the attributes of Get-Job-Attributes.

    A printer need not count impressions. If it does not, a job that had its document and ended
    early counts as partly printed: a person decides, and no second copy is printed automatically.
    The same holds for a job that was aborted after it had begun, with no whole sheet counted: the
    first sheet may be printed, unless the document could not be read. A printer need not count
    documents either; if it counts neither, a completed job may have been closed without its
    document.

    Raises:
        ValueError: the job-state is missing or not one of RFC 8011.
    """
    state = JobState(_number(attributes.get("job-state")) or 0)
    reasons = frozenset(_keywords(attributes.get("job-state-reasons")))
    documents = _number(attributes.get("number-of-documents"))
    counted = _number(attributes.get("job-impressions-completed"))
    sheets = counted or 0
    awaits_data = bool(reasons & _AWAITS_DATA)
    has_document = documents != 0 if documents is not None else not awaits_data
    if state is JobState.COMPLETED:
        return JobView(_completed(documents, sheets), sheets)
    if state in (JobState.CANCELED, JobState.ABORTED):
        untouched = documents == 0 or counted == 0
        if state is JobState.ABORTED and documents != 0 and not reasons & _UNREADABLE:
            # Absent or no-value if the job never began (section 5.3.14.2).
            untouched = counted == 0 and _number(attributes.get("time-at-processing")) is None
        untouched = untouched and not sheets
        return JobView(Finding.NOTHING_PRINTED if untouched else Finding.PARTLY_PRINTED, sheets)
    if not has_document or awaits_data:
        return JobView(Finding.WITHOUT_DOCUMENT)
    if state is JobState.PROCESSING_STOPPED or "printer-stopped" in reasons:
        return JobView(Finding.STOPPED, sheets)
    return JobView(Finding.UNDER_WAY, sheets)


_AWAITS_DATA = frozenset({"job-incoming", "job-data-insufficient"})
"""job-state-reasons of jobs that were created and whose document has not arrived as a whole
(section 5.3.8). Printers choose either: CUPS's `ippeveprinter` reports `job-data-insufficient`."""
_UNREADABLE = frozenset(
    {
        "compression-error",
        "document-access-error",
        "document-format-error",
        "unsupported-compression",
        "unsupported-document-format",
    }
)
"""job-state-reasons of jobs that were aborted before a sheet was marked (section 5.3.8)."""


def _completed(documents: int | None, sheets: int) -> Finding:
    """Return the finding for a completed job, which may have been closed without its document."""
    if documents == 0 and not sheets:
        return Finding.NOTHING_PRINTED
    return Finding.PRINTED if documents or sheets else Finding.ENDED


OFFLINE = "打印机离线"
REFUSES = "打印机拒绝了打印任务"
UNTRUSTED = "打印机证书无法验证，请联系设备维护人员"
_TROUBLES = {
    "media-empty": "纸张用尽",
    "media-needed": "纸张用尽",
    "input-tray-missing": "纸盒未装好",
    "media-jam": "卡纸",
    "cover-open": "打印机盖板未关",
    "door-open": "打印机盖板未关",
    "toner-empty": "墨粉用尽",
    "marker-supply-empty": "墨粉用尽",
    "output-area-full": "出纸口已满",
    "shutdown": OFFLINE,
    "timed-out": OFFLINE,
    "paused": "打印机已暂停",
}
_UNNAMED_TROUBLE = "打印机需要处理"
_CODES = {
    OFFLINE: "offline",
    REFUSES: "refuses",
    "纸张用尽": "paper",
    "纸盒未装好": "paper",
    "卡纸": "jam",
    "打印机盖板未关": "cover",
    "墨粉用尽": "toner",
    "出纸口已满": "output",
    "打印机已暂停": "paused",
}
"""Codes of the troubles, for metrics."""
TROUBLE_CODES = (*dict.fromkeys(_CODES.values()), "attention")


def trouble(printer_state_reasons: Any) -> str:
    """Return why a printer has stopped, in Chinese for the person in front of it."""
    for keyword in _keywords(printer_state_reasons):
        for suffix in ("-error", "-warning", "-report"):
            keyword = keyword.removesuffix(suffix)  # noqa: PLW2901 - RFC 8011 section 5.4.12
        if keyword in _TROUBLES:
            return _TROUBLES[keyword]
    return _UNNAMED_TROUBLE


def trouble_while_printing(printer_state_reasons: Any, *, warnings: bool) -> str | None:
    """Return what keeps a printer from going on with a job that it reports as being printed, in
    Chinese; None if it reports nothing of the kind.

    Args:
        warnings: count warnings as well (RFC 8011 section 5.4.12). A warning may be about a tray
            that the job does not need.
    """
    for keyword in _keywords(printer_state_reasons):
        named = keyword.removesuffix("-error")
        if warnings:
            named = named.removesuffix("-warning")
        if named in _TROUBLES:
            return _TROUBLES[named]
    return None


def code_of(reason: str) -> str:
    """Return the code of a text of `trouble`, `attention` for every other text."""
    return _CODES.get(reason, "attention")


def _number(value: Any) -> int | None:
    """Return an integer or enum; None if the printer has no-value or unknown."""
    return int(value) if isinstance(value, int) else None


def _keywords(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, (list, tuple)) else ()
