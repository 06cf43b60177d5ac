"""What the environment says, and what is said when it is wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tongban_common.clock import BusinessClock
from tongban_common.exit_codes import EX_CONFIG
from tongban_common.settings import CommonSettings, load


def test_the_clock_is_read_as_the_contract_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given = BusinessClock.parse("2026-03-02T09:00:00+08:00@60")
    monkeypatch.setenv("TONGBAN_CLOCK", given.describe())
    assert load(CommonSettings).clock == given
    monkeypatch.setenv("TONGBAN_CLOCK", "2026-03-02T09:00:00+08:00@60")
    assert load(CommonSettings).clock.real_seconds(timedelta(minutes=1)) == 1


def test_a_wrong_variable_is_named_with_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TONGBAN_CLOCK", "tomorrow")
    monkeypatch.setenv("TONGBAN_PROFILE", "wild")
    monkeypatch.setenv("TONGBAN_STORE", "127.0.0.1:27017")
    with pytest.raises(SystemExit) as ended:
        load(CommonSettings)
    assert ended.value.code == EX_CONFIG
    said = capsys.readouterr().err
    assert "TONGBAN_CLOCK: " in said
    assert "2026-03-02T09:00:00+08:00@60" in said
    assert "TONGBAN_PROFILE: " in said
    assert "mongodb" in said.partition("TONGBAN_STORE: ")[2]
