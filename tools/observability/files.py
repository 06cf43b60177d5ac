"""Return every generated file of deploy/observability."""

from __future__ import annotations

from pathlib import Path

from tools.observability.boards import DASHBOARDS
from tools.observability.grafana import as_json
from tools.observability.rules import rule_files

DIRECTORY = Path(__file__).resolve().parents[2] / "deploy" / "observability"


def generated() -> dict[Path, str]:
    """Return the text of each file by its path."""
    dashboards = DIRECTORY / "grafana" / "dashboards"
    rules = DIRECTORY / "prometheus" / "rules"
    return {
        **{dashboards / f"{each.uid}.json": as_json(each) for each in DASHBOARDS},
        **{rules / name: text for name, text in rule_files().items()},
    }
