"""Build the attribute groups of printers and jobs (RFC 8011)."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass

from tongban_devstack.devices.faults import Condition
from tongban_devstack.devices.ipp.codec import Group, IppMessage, Value
from tongban_devstack.devices.ipp.vocabulary import (
    GroupTag,
    IppJobState,
    Operation,
    PrinterState,
    ValueTag,
)
from tongban_devstack.devices.job_store import Job, Stage

_STARTED = time.time()
_REASONS = {
    Condition.OK: "none",
    Condition.PAPER_OUT: "media-empty",
    Condition.JAM: "media-jam",
    Condition.OFFLINE: "shutdown",
}
_RESOLUTION = struct.pack(">iib", 600, 600, 3)
"""600 dpi in both directions (RFC 8010, section 3.9: cross-feed, feed, unit)."""
_NO_FINISHING, _PORTRAIT, _NORMAL_QUALITY = 3, 3, 4
"""Enums of RFC 8011, sections 5.2.6, 5.2.10 and 5.2.13."""
_SINGLE: tuple[tuple[str, ValueTag, Value], ...] = (
    ("finishings", ValueTag.ENUM, _NO_FINISHING),
    ("media", ValueTag.KEYWORD, "iso_a4_210x297mm"),
    ("orientation-requested", ValueTag.ENUM, _PORTRAIT),
    ("output-bin", ValueTag.KEYWORD, "face-down"),
    ("print-quality", ValueTag.ENUM, _NORMAL_QUALITY),
    ("printer-resolution", ValueTag.RESOLUTION, _RESOLUTION),
    ("sides", ValueTag.KEYWORD, "one-sided"),
)
"""Job template attributes with one supported value each."""
_TEMPLATE = frozenset(
    {"copies", "copies-default", "copies-supported"}
    | {f"{name}-{kind}" for name, _, _ in _SINGLE for kind in ("default", "supported")}
)
"""Attributes of the group job-template (RFC 8011, section 5.2)."""
_DESCRIPTIONS = frozenset({"job-description", "printer-description"})


@dataclass(frozen=True, slots=True)
class PrinterAddress:
    """The addressed printer, and the HOST:PORT at which the client reached it."""

    kiosk_id: str
    host: str

    @property
    def uri(self) -> str:
        """Return the printer's URI."""
        return f"ipp://{self.host}/ipp/print/{self.kiosk_id}"


def job_state(
    job: Job, condition: Condition, is_current: bool
) -> tuple[IppJobState, tuple[str, ...]]:
    """Return job-state and job-state-reasons (RFC 8011, sections 5.3.7 and 5.3.8)."""
    match job.stage:
        case Stage.COMPLETED:
            return IppJobState.COMPLETED, ("job-completed-successfully",)
        case Stage.CANCELED:
            return IppJobState.CANCELED, ("job-canceled-by-user",)
        case Stage.INCOMING:
            return IppJobState.PENDING, ("job-incoming",)
        case Stage.QUEUED if condition is not Condition.OK:
            stopped = IppJobState.PROCESSING_STOPPED if is_current else IppJobState.PENDING
            return stopped, ("printer-stopped",)
        case Stage.QUEUED:
            if is_current:
                return IppJobState.PROCESSING, ("job-printing",)
            return IppJobState.PENDING, ("job-queued",)


def job_group(
    origin: PrinterAddress, job: Job, *, condition: Condition, is_current: bool, impressions: int
) -> Group:
    """Return a job's attributes."""
    state, reasons = job_state(job, condition, is_current)
    done = job.pages * job.copies if job.stage is Stage.COMPLETED else impressions
    group = Group(GroupTag.JOB)
    group.add("job-uri", ValueTag.URI, f"{origin.uri}/{job.key.job_id}")
    group.add("job-id", ValueTag.INTEGER, job.key.job_id)
    group.add("job-state", ValueTag.ENUM, int(state))
    group.add("job-state-reasons", ValueTag.KEYWORD, *reasons)
    group.add("job-printer-state-reasons", ValueTag.KEYWORD, _REASONS[condition])
    group.add("job-name", ValueTag.NAME, job.name)
    group.add("job-originating-user-name", ValueTag.NAME, job.user)
    group.add("job-printer-uri", ValueTag.URI, origin.uri)
    group.add("job-printer-up-time", ValueTag.INTEGER, _up_time(time.time()))
    group.add("number-of-documents", ValueTag.INTEGER, job.documents)
    group.add("copies", ValueTag.INTEGER, job.copies)
    group.add("job-k-octets", ValueTag.INTEGER, -(-job.octets // 1024))
    group.add("job-impressions", ValueTag.INTEGER, job.pages * job.copies)
    group.add("job-impressions-completed", ValueTag.INTEGER, done)
    group.add("job-media-sheets-completed", ValueTag.INTEGER, done)
    group.add("time-at-creation", ValueTag.INTEGER, _up_time(job.created_at))
    if is_current or job.stage is Stage.COMPLETED:
        # Use the creation time: the start of a job's first page is not recorded, and the two are
        # close.
        group.add("time-at-processing", ValueTag.INTEGER, _up_time(job.created_at))
    else:
        group.add("time-at-processing", ValueTag.NO_VALUE, b"")
    if job.ended_at is None:
        group.add("time-at-completed", ValueTag.NO_VALUE, b"")
    else:
        group.add("time-at-completed", ValueTag.INTEGER, _up_time(job.ended_at))
    return group


def printer_group(
    origin: PrinterAddress,
    *,
    condition: Condition,
    printing: bool,
    queued: int,
    pages_per_minute: int,
) -> Group:
    """Return a printer's attributes: those that IPP/1.1 (RFC 8011) and IPP/2.0 (PWG 5100.12)
    require, and its condition."""
    state = PrinterState.PROCESSING if printing else PrinterState.IDLE
    if condition is not Condition.OK:
        state = PrinterState.STOPPED
    group = Group(GroupTag.PRINTER)
    group.add("printer-uri-supported", ValueTag.URI, origin.uri)
    group.add("uri-authentication-supported", ValueTag.KEYWORD, "none")
    group.add("uri-security-supported", ValueTag.KEYWORD, "none")
    group.add("printer-name", ValueTag.NAME, origin.kiosk_id)
    group.add("printer-info", ValueTag.TEXT, f"一体机 {origin.kiosk_id} 打印机（模拟）")
    group.add("printer-location", ValueTag.TEXT, origin.kiosk_id)
    group.add("printer-make-and-model", ValueTag.TEXT, "Tongban Simulated Kiosk Printer")
    group.add("printer-state", ValueTag.ENUM, int(state))
    group.add("printer-state-reasons", ValueTag.KEYWORD, _REASONS[condition])
    group.add("printer-is-accepting-jobs", ValueTag.BOOLEAN, True)
    group.add("queued-job-count", ValueTag.INTEGER, queued)
    group.add("printer-up-time", ValueTag.INTEGER, _up_time(time.time()))
    group.add("ipp-versions-supported", ValueTag.KEYWORD, "1.1", "2.0")
    group.add("operations-supported", ValueTag.ENUM, *map(int, Operation))
    group.add("multiple-document-jobs-supported", ValueTag.BOOLEAN, True)
    group.add("charset-configured", ValueTag.CHARSET, "utf-8")
    group.add("charset-supported", ValueTag.CHARSET, "utf-8")
    group.add("natural-language-configured", ValueTag.LANGUAGE, "zh-cn")
    group.add("generated-natural-language-supported", ValueTag.LANGUAGE, "zh-cn")
    group.add("document-format-default", ValueTag.MIME_TYPE, "application/pdf")
    group.add(
        "document-format-supported",
        ValueTag.MIME_TYPE,
        "application/pdf",
        "application/octet-stream",
    )
    group.add("pdl-override-supported", ValueTag.KEYWORD, "not-attempted")
    group.add("compression-supported", ValueTag.KEYWORD, "none")
    group.add("color-supported", ValueTag.BOOLEAN, False)
    group.add("pages-per-minute", ValueTag.INTEGER, pages_per_minute)
    group.add("printer-more-info", ValueTag.URI, f"http://{origin.host}/printed")
    _add_job_template(group)
    return group


def _add_job_template(group: Group) -> None:
    """Add the defaults and the supported values of the job template (PWG 5100.12, section 6.2)."""
    group.add("copies-default", ValueTag.INTEGER, 1)
    group.add("copies-supported", ValueTag.RANGE, (1, 99))
    for name, tag, value in _SINGLE:
        group.add(f"{name}-default", tag, value)
        group.add(f"{name}-supported", tag, value)


def requested(group: Group, request: IppMessage, default: tuple[str, ...] = ("all",)) -> Group:
    """Reduce the group to requested-attributes, or to `default` if none were requested."""
    asked = request.group(GroupTag.OPERATION).attributes.get("requested-attributes")
    names = frozenset(map(str, asked.values if asked else default))
    if "all" in names:
        return group
    template = {name for name in group.attributes if name in _TEMPLATE}
    wanted = set(names)
    if "job-template" in names:
        wanted |= template
    if names & _DESCRIPTIONS:
        wanted |= group.attributes.keys() - template
    kept = {name: each for name, each in group.attributes.items() if name in wanted}
    return Group(group.tag, kept)


def _up_time(moment: float) -> int:
    """Return seconds since the printer was switched on; at least 1 (RFC 8011, section 5.4.29)."""
    return max(1, int(moment - _STARTED))
