"""The conformance kit's words: options, reports, and the page that explains the checks."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from stdnum.cn import ric
from typer.testing import CliRunner

from tongban_common.catalogue.catalogue import Catalogue
from tongban_ops.cli.main import application
from tongban_ops.conformance import render
from tongban_ops.conformance.checks import CHECKS, selected
from tongban_ops.conformance.options import NOBODY, TEST_ITEM, examples
from tongban_ops.conformance.verdicts import CheckVerdict, CleanUp, ConformanceReport, Outcome
from tongban_provinces.signing import (
    H_BODY_SIGNATURE,
    H_SIGNATURE,
    sign_request,
    sign_response,
)

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"
URL = "http://127.0.0.1:1/p/340000"


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        (f"{URL} --protocol smtp", "rest"),
        (f"{URL} --protocol rest --check manners", "answers-signed"),
        ("ftp://there/p/340000 --protocol rest", "http or https"),
        ("http://there/gateway --protocol rest", "which province"),
        (f"{URL} --protocol rest --province 999", "340000"),
        (URL, "--protocol"),
    ],
)
def test_wrong_option_is_answered_with_the_valid_ones(arguments: str, right: str) -> None:
    argv = ["conformance", *arguments.split()]
    answer = CliRunner(env={"COLUMNS": "300"}).invoke(application(), argv)
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert right in re.sub(r"\s+", " ", answer.stderr)


def test_unreachable_gateway_ends_with_exit_code_69(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TONGBAN_CATALOGUE", str(tmp_path))
    answer = CliRunner().invoke(application(), ["conformance", URL, "--protocol", "rest"])
    assert answer.exit_code == 69
    assert answer.stdout == ""
    assert f"{URL} does not answer" in answer.stderr


def test_a_test_applicant_has_a_valid_number_that_is_no_ones() -> None:
    assert ric.is_valid(NOBODY["id_number"])
    assert NOBODY["id_number"][14:17] == "000"


def test_items_that_the_catalogue_does_not_have_are_made_up() -> None:
    (made,) = examples(Catalogue(), "340000", [])
    assert made.code == TEST_ITEM
    (named,) = examples(Catalogue(), "340000", ["their-own"])
    assert (named.code, named.applicant) == ("their-own", NOBODY)


def test_every_check_has_a_promise_and_needs_only_what_comes_before() -> None:
    seen: set[str] = set()
    for check in CHECKS:
        assert re.fullmatch(r"[A-Z`].*\.", check.promise), check.name
        assert set(check.needs) <= seen, check.name
        seen.add(check.name)
    assert [check.name for check in selected("rest", ["look-up"])] == [
        "answers-signed",
        "submit",
        "look-up",
    ]


def test_the_page_explains_every_check_and_no_other() -> None:
    explained = re.findall(r"^### `([a-z-]+)`", PAGE.read_text(), re.MULTILINE)
    assert explained == [check.name for check in CHECKS]


def test_the_page_signs_its_example_rightly() -> None:
    token, nonce, at = "0123456789abcdef" * 4, "conformance-1", 1767225600
    target = "/p/340000/api/v1/applications/conformance-1"
    asked = sign_request(token, method="GET", target=target, body=b"", timestamp=at, nonce=nonce)
    body = b'{"code":"unknown"}'
    said = sign_response(token, status=404, body=body, timestamp=at, nonce=nonce)
    page = PAGE.read_text()
    for signature in (asked[H_SIGNATURE], asked[H_BODY_SIGNATURE], said[H_BODY_SIGNATURE]):
        assert signature in page


def test_any_text_of_a_gateway_leaves_the_report_well_formed() -> None:
    note = "[bold]\x1b[31m\x00" + "\ud800" + "很长" * 1000
    verdicts = (
        CheckVerdict("submit", Outcome.FAILS, note, "A promise.", 0.1),
        CheckVerdict("look-up", Outcome.SKIPPED, note, "A promise.", 0.0),
    )
    report = ConformanceReport(URL, "rest", "340000", "conformance-1", verdicts, CleanUp(), 1.0)
    suite = ET.fromstring(render.junit(report))[0]  # noqa: S314 - our own
    assert [case[0].tag for case in suite.iter("testcase")] == ["failure", "skipped"]
    told = render.as_json(report)
    assert not told["ok"]
    assert len(told["checks"][0]["note"]) < 500
