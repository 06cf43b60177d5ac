"""The generated files are fresh, and name only metrics, commands and pages that exist."""

from __future__ import annotations

import re
from typing import Any

import promql_parser
import pytest
import typer.main
import yaml

from tongban_ops.cli.group import LazyCommand
from tongban_ops.cli.main import application
from tools.observability.alerts import all_alerts
from tools.observability.boards import DASHBOARDS
from tools.observability.files import DIRECTORY, generated
from tools.reference.metrics import metrics_page

RUNBOOKS = DIRECTORY.parents[1] / "docs" / "runbooks"
QUERIES = sorted({q.expr for board in DASHBOARDS for p in board.panels() for q in p.queries})
RULES = [
    rule
    for path, text in generated().items()
    if path.suffix == ".yaml"
    for group in yaml.safe_load(text)["groups"]
    for rule in group["rules"]
]


def _plain(expr: str) -> str:
    return expr.replace("$__rate_interval", "1m")


def test_generated_files_are_fresh() -> None:
    stale = [path.name for path, text in generated().items() if path.read_text() != text]
    assert stale == [], "run `make dashboards`"


def test_every_expression_is_promql() -> None:
    expressions = [*map(_plain, QUERIES), *(rule["expr"] for rule in RULES)]
    assert len(expressions) > 80
    for expr in expressions:
        assert promql_parser.parse(expr) is not None


def test_every_metric_of_an_expression_is_defined() -> None:
    known = set(re.findall(r"^\| `(tongban_\w+)`", metrics_page(), re.MULTILINE))
    named = {
        name
        for expr in [*QUERIES, *(rule["expr"] for rule in RULES)]
        for name in re.findall(r"\btongban_\w+", expr)
    }
    assert len(named) > 50
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in named} - known == set()


def test_each_panel_has_a_description_and_a_title_of_its_own() -> None:
    for board in DASHBOARDS:
        titles = [panel.title for panel in board.panels()]
        assert len(titles) == len(set(titles))
        assert all(len(panel.description) > 20 for panel in board.panels())


@pytest.mark.parametrize("name", sorted({alert.name for alert in all_alerts()}))
def test_alert_has_a_runbook_with_its_four_sections(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert re.findall("^## (.*)$", text, re.MULTILINE) == [
        "Meaning", "Impact", "Diagnosis", "Mitigation",
    ]  # fmt: skip
    (uid,) = re.findall(r"\(`(tongban-\w+)`\)", text)
    assert uid in {board.uid for board in DASHBOARDS}
    assert re.search("^    tongban ", text, re.MULTILINE), "no command to begin with"


def test_each_runbook_belongs_to_an_alert() -> None:
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {alert.name for alert in all_alerts()}


def test_commands_of_runbooks_exist_with_their_options() -> None:
    root = typer.main.get_command(application())
    lines = {
        line.strip().removeprefix("tongban ")
        for page in RUNBOOKS.glob("*.md")
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("    tongban ")
    }
    assert len(lines) > 10
    for line in sorted(lines):
        command: Any = root
        words = line.split()
        while words and hasattr(command, "commands"):
            name = words.pop(0)
            assert name in command.commands, line
            command = command.commands[name]
            if isinstance(command, LazyCommand):
                command = command.resolved()
        options = {name for param in command.params for name in param.opts}
        assert {word for word in words if word.startswith("--")} <= options, line
