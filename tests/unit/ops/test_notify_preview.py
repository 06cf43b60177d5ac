"""`tongban notify preview` shows every text, and refuses a file that notify would refuse."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from tongban_notify.domain.texts import Audience, TextEvent
from tongban_ops.cli.notify import notify


def test_preview_shows_each_text_with_its_length() -> None:
    result = CliRunner().invoke(notify, ["preview", "--reason", "缺少本人签名", "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert {(each["event"], each["audience"]) for each in found} == {
        (event, to) for event in TextEvent for to in Audience
    }
    rejected = next(each for each in found if each["event"] == "rejected")
    assert rejected["text"] == (
        "【政务通办】张**您好，您申请的“社会保险缴费证明打印”未获通过：缺少本人签名。"
        "如有疑问请咨询网点大堂经理。"
    )
    assert (rejected["units"], rejected["parts"]) == (len(rejected["text"]), 1)


def test_preview_of_a_long_item_and_reason_takes_two_messages() -> None:
    asked = ["preview", "--item", "长" * 80, "--reason", "因" * 300, "--json"]
    found = json.loads(CliRunner().invoke(notify, asked).stdout)
    assert {each["parts"] for each in found} <= {1, 2}
    assert next(each for each in found if each["event"] == "failed")["parts"] == 2


def test_preview_of_a_file_that_cannot_be_used_names_the_problem(tmp_path: Path) -> None:
    file = tmp_path / "texts.toml"
    file.write_text("[completed]")
    result = CliRunner().invoke(notify, ["preview", "--texts", str(file)])
    assert result.exit_code == 1
    assert "[completed] is no event" in result.stderr
