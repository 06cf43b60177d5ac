"""Read the cases of the alerts, and turn each into a unit test of promtool.

A case names its alert, series in promtool's notation, the moment at which they are evaluated, and
the labels of the alerts that fire then; none means that the alert must keep silent.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ConfigDict

from tools.observability.files import DIRECTORY

RULES = DIRECTORY / "prometheus" / "rules"
CASES = Path(__file__).parent / "cases"


class Case(BaseModel):
    """One case of a file in `cases`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alert: str
    name: str
    series: dict[str, str]
    at: str
    interval: str = "1m"
    fires: list[dict[str, str]] = []


@cache
def cases() -> list[Case]:
    """Return the cases of all files."""
    return [
        Case.model_validate(each)
        for file in sorted(CASES.glob("*.yaml"))
        for each in yaml.safe_load(file.read_text(encoding="utf-8"))
    ]


@cache
def alert_rules() -> list[dict[str, Any]]:
    """Return every alerting rule of the committed files."""
    return [
        rule
        for file in sorted(RULES.glob("*.yaml"))
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]


def promtool_tests(cases: list[Case]) -> dict[str, Any]:
    """Return cases of one alert and one interval as one file of promtool.

    Rules are evaluated once an interval: every 30 s of four days would take minutes.
    """
    (interval,) = {case.interval for case in cases}
    (alert,) = {case.alert for case in cases}
    return {
        "rule_files": [
            str(f) for f in RULES.glob("*.yaml") if f"alert: {alert}\n" in f.read_text()
        ],
        "evaluation_interval": interval,
        "tests": [_promtool_test(case) for case in cases],
    }


def _promtool_test(case: Case) -> dict[str, Any]:
    own = [rule for rule in alert_rules() if rule["alert"] == case.alert]
    expected = []
    for labels in case.fires:
        rule = next(rule for rule in own if labels.get("window") == rule["labels"].get("window"))
        expected.append(
            {
                "exp_labels": {**labels, **cast(dict[str, str], rule["labels"])},
                "exp_annotations": rule["annotations"],
            }
        )
    return {
        "interval": case.interval,
        "input_series": [
            {"series": series, "values": values} for series, values in case.series.items()
        ],
        "alert_rule_test": [
            {"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}
        ],
    }
