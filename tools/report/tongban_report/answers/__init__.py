"""Define the questions that the report answers: a query, a chart, a sentence and a table each."""

from __future__ import annotations

from tongban_report.answers import demand, flow, overview, people, printing, provinces, waiting

SECTIONS = (
    overview.SECTION,
    provinces.SECTION,
    demand.SECTION,
    flow.SECTION,
    printing.SECTION,
    *people.SECTIONS,
    waiting.SECTION,
)
"""The sections of the report in their order."""
