"""Write docs/reference, or with `--check` say which of its pages differ from the code."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.reference.code import ROOT
from tools.reference.events import events_page
from tools.reference.messages import messages_page
from tools.reference.metrics import metrics_page
from tools.reference.variables import settings_page


def pages() -> dict[str, str]:
    """Return the text of each generated page, by its file name."""
    return {
        "settings.md": settings_page(),
        "metrics.md": metrics_page(),
        "log-events.md": events_page(),
        "messages.md": messages_page(),
    }


def main() -> None:
    """Write the pages into `--to`; with `--check` exit with 1 if one of them is not up to date."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference", description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "reference")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    stale = []
    for name, text in pages().items():
        file: Path = options.to / name
        if not options.check:
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        sys.exit(f"run `make docs` and commit what it writes: {', '.join(stale)}")


if __name__ == "__main__":
    main()
