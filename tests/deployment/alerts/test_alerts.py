"""Every alert fires where it must, and keeps silent where it must: by promtool's own evaluation."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deployment.alerts.alert_cases import RULES, alert_rules, cases, promtool_tests

pytestmark = pytest.mark.long

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian: apt-get install prometheus)"
)


@needs_promtool
def test_rule_files_are_accepted_by_promtool() -> None:
    files = sorted(map(str, RULES.glob("*.yaml")))
    checked = subprocess.run(
        [str(PROMTOOL), "check", "rules", *files], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert len(re.findall("SUCCESS", checked.stdout)) == len(files) == 5


@needs_promtool
@pytest.mark.parametrize(
    ("alert", "interval"), sorted({(case.alert, case.interval) for case in cases()})
)
def test_alert_fires_and_keeps_silent_as_its_cases_say(
    alert: str, interval: str, tmp_path: Path
) -> None:
    own = [case for case in cases() if (case.alert, case.interval) == (alert, interval)]
    file = tmp_path / "cases.yaml"
    file.write_text(yaml.safe_dump(promtool_tests(own), allow_unicode=True))
    ran = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, (own, ran.stdout + ran.stderr)
    assert "SUCCESS" in ran.stdout


def test_each_alert_has_cases_for_firing_and_for_silence() -> None:
    known = {rule["alert"] for rule in alert_rules()}
    assert {case.alert for case in cases()} == known
    assert {case.alert for case in cases() if case.fires} == known
    assert {case.alert for case in cases() if not case.fires} == known


def test_each_window_of_a_burn_rate_has_a_firing_case() -> None:
    windows = {
        (rule["alert"], rule["labels"]["window"])
        for rule in alert_rules()
        if "window" in rule["labels"]
    }
    fired = {
        (c.alert, labels["window"]) for c in cases() for labels in c.fires if "window" in labels
    }
    assert fired == windows


def test_names_of_cases_are_unique() -> None:
    names = [(case.alert, case.name) for case in cases()]
    assert len(names) == len(set(names))
