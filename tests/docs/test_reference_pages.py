"""The generated pages of docs/reference say what the code says."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.docs.references_kit import ROOT
from tongban_common.settings import CommonSettings, secret_fields, variable_of
from tools.reference.__main__ import pages
from tools.reference.code import PACKAGES
from tools.reference.events import logged, texts
from tools.reference.metrics import defined, of_producers, of_workers
from tools.reference.variables import MODELS, OTHERS, variables_of

_VARIABLE = re.compile(r"\bTONGBAN_[A-Z][A-Z_]*")


@pytest.mark.parametrize("name", ["settings.md", "metrics.md", "log-events.md"])
def test_reference_page_is_what_the_code_says(name: str) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == pages()[name], "run `make docs` and commit docs/reference"


def test_setting_every_one_has_a_description() -> None:
    models = (CommonSettings, *MODELS.values())
    silent = {
        f"{model.__name__}.{field}"
        for model in models
        for field, info in variables_of(model)
        if not info.description
    }
    assert not silent


def _secrets() -> set[str]:
    return {field for model in (CommonSettings, *MODELS.values()) for field in secret_fields(model)}


def test_variable_every_one_that_is_named_anywhere_is_on_the_page() -> None:
    listed = subprocess.run(
        ["git", "grep", "-hoEI", "TONGBAN_[A-Z][A-Z_]*", "--", ":!docs/reference"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    )  # fmt: skip
    named = {name for name in listed.stdout.split() if not name.endswith("_")}  # `TONGBAN_KAFKA_*`
    page = set(_VARIABLE.findall(pages()["settings.md"]))
    files = {f"{variable_of(field)}_FILE" for field in _secrets()}
    assert named - page - files == set()
    assert {name for name, *_ in OTHERS} <= named


def test_metric_every_one_that_the_code_names_is_on_the_page() -> None:
    found = {each.name for package in PACKAGES for each in defined(package)}
    page = pages()["metrics.md"]
    assert len(found) > 30
    assert all(f"`{each}`" in page for each in found)
    assert all(f"`{each.name}`" in page for each in (*of_workers(), *of_producers()))


def test_log_event_every_alarming_one_says_what_to_do() -> None:
    known = texts()
    events = [event for package in PACKAGES for event in logged(package)]
    assert len(events) > 90
    silent = {event.name for event in events if not known.get(event.name, {}).get("means")}
    assert not silent, "tools/reference/events.yaml says what each event means"
    helpless = {event.name for event in events if event.is_alarming} - {
        name for name, text in known.items() if text.get("do")
    }
    assert not helpless, "and what an operator does about each warning and error"
    assert set(known) == {event.name for event in events}
