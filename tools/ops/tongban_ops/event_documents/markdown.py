"""Make the Markdown of generated pages."""

from __future__ import annotations

import re
from collections.abc import Iterable


def table(heads: list[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    lines.extend("| " + " | ".join(row) + " |" for row in cells)
    return "\n".join(lines) + "\n"


def ticked(names: Iterable[str]) -> str:
    """Return names as code, separated by commas."""
    return ", ".join(f"`{name}`" for name in names)


def anchor(heading: str) -> str:
    """Return the anchor that the site gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def one_line(text: str | None) -> str:
    """Return a text without line breaks."""
    return " ".join((text or "").split())
