"""Render a report as a table, as JSON, and as JUnit XML for CI."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tongban_ops.conformance.verdicts import CheckVerdict, ConformanceReport, Outcome

LONGEST_NOTE = 400
"""Characters of a note; a gateway's text may be anything and is shown within bounds."""
_STYLES = {Outcome.HOLDS: "green", Outcome.FAILS: "bold red", Outcome.SKIPPED: "yellow"}
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def show(report: ConformanceReport, console: Console) -> None:
    """Print the table, then the state of the test applications."""
    table = Table("check", "", "seen", title=f"{report.protocol} at {report.url}")
    for verdict in report.verdicts:
        seen = Text(_bounded(verdict.note))
        if verdict.outcome is Outcome.FAILS:
            seen.append(f"\n{verdict.promise}", style="dim")
        outcome = Text(verdict.outcome.value, style=_STYLES[verdict.outcome])
        table.add_row(Text(verdict.name), outcome, seen)
    console.print(table)
    console.print(Text(_sentence(report)))
    if report.clean_up.left:
        left = ", ".join(report.clean_up.left)
        console.print(Text(f"Left open, to be cleared away by hand: {left}", style="yellow"))


def as_json(report: ConformanceReport) -> dict[str, Any]:
    """Return `{ok, url, protocol, province, run, seconds, checks: [...], clean_up}`."""
    return {
        "ok": report.ok,
        "url": report.url,
        "protocol": report.protocol,
        "province": report.province,
        "run": report.run,
        "seconds": round(report.seconds, 3),
        "checks": [_verdict_json(verdict) for verdict in report.verdicts],
        "clean_up": asdict(report.clean_up),
    }


def junit(report: ConformanceReport) -> bytes:
    """Return JUnit XML with one test case for each check."""
    suite = ET.Element(
        "testsuite",
        name=f"tongban conformance {report.protocol}",
        tests=str(len(report.verdicts)),
        failures=str(len(report.of(Outcome.FAILS))),
        errors="0",
        skipped=str(len(report.of(Outcome.SKIPPED))),
        time=f"{report.seconds:.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for name in ("url", "protocol", "province", "run"):
        ET.SubElement(properties, "property", name=name, value=_xml(getattr(report, name)))
    for verdict in report.verdicts:
        _case(suite, verdict, report)
    whole = ET.Element("testsuites")
    whole.append(suite)
    written: bytes = ET.tostring(whole, encoding="utf-8", xml_declaration=True)
    return written


def _case(suite: ET.Element, verdict: CheckVerdict, report: ConformanceReport) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=f"conformance.{report.protocol}.{report.province}",
        name=verdict.name,
        time=f"{verdict.seconds:.3f}",
    )
    note = _xml(_bounded(verdict.note))
    match verdict.outcome:
        case Outcome.FAILS:
            ET.SubElement(case, "failure", message=note).text = _xml(verdict.promise)
        case Outcome.SKIPPED:
            ET.SubElement(case, "skipped", message=note)
        case Outcome.HOLDS:
            ET.SubElement(case, "system-out").text = note


def _verdict_json(verdict: CheckVerdict) -> dict[str, Any]:
    return {
        "name": verdict.name,
        "outcome": verdict.outcome.name.lower(),
        "note": _bounded(verdict.note),
        "promise": verdict.promise,
        "seconds": round(verdict.seconds, 3),
    }


def _sentence(report: ConformanceReport) -> str:
    counts = ", ".join(f"{len(report.of(outcome))} {outcome.value}" for outcome in Outcome)
    done = report.clean_up
    return (
        f"{counts}; {report.seconds:.0f} s. Test applications {report.run}-…: "
        f"{len(done.finished)} decided, {len(done.withdrawn)} withdrawn, {len(done.left)} left."
    )


def _bounded(note: str) -> str:
    return note if len(note) <= LONGEST_NOTE else f"{note[:LONGEST_NOTE]} …"


def _xml(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)
