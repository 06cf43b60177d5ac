"""What the environment says, and what is said when it is wrong."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tongban_common.clock import BusinessClock
from tongban_common.exit_codes import EX_CONFIG
from tongban_common.keyring.follow import key_ring
from tongban_common.settings import DEVELOPMENT_SECRET, KAFKA, CommonSettings, load, variable_of
from tongban_connectors.settings import ConnectorSettings
from tongban_intake.settings import IntakeSettings
from tongban_notify.settings import NotifySettings
from tongban_printing.settings import PrintingSettings
from tongban_router.settings import RouterSettings


def test_clock_setting_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = BusinessClock.parse("2026-03-02T09:00:00+08:00@60")
    monkeypatch.setenv("TONGBAN_CLOCK", given.describe())
    assert load(CommonSettings).clock == given
    monkeypatch.setenv("TONGBAN_CLOCK", "2026-03-02T09:00:00+08:00@60")
    assert load(CommonSettings).clock.real_seconds(timedelta(minutes=1)) == 1


def test_empty_address_of_kafka_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONGBAN_KAFKA", "")
    assert load(CommonSettings).kafka == KAFKA


def test_malformed_setting_is_named_with_the_valid_form(
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


SECRETS = {
    "TONGBAN_KEYRING": json.dumps(
        {"active": "k", "keys": {"k": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY"}}
    ),
    "TONGBAN_ID_SECRET": "i" * 32,
    "TONGBAN_TOKEN_SECRET": "t" * 32,
    "TONGBAN_PSEUDONYM_SECRET": "p" * 32,
    "TONGBAN_GATEWAY_SECRET": "g" * 32,
    "TONGBAN_SMS_KEY": "s" * 32,
}


def _production(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    monkeypatch.delenv("TONGBAN_ENVIRONMENT", raising=False)
    for name, value in {**SECRETS, **changes}.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name, raising=False)


SERVICES = [IntakeSettings, RouterSettings, ConnectorSettings, PrintingSettings, NotifySettings]


@pytest.mark.parametrize("service", SERVICES)
def test_service_with_secrets_of_its_own_starts_in_production(
    service: type[CommonSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    _production(monkeypatch)
    assert load(service).environment == "production"


@pytest.mark.parametrize(
    ("service", "field"), [(each, field) for each in SERVICES for field in sorted(each.SECRETS)]
)
@pytest.mark.parametrize("value", ["", DEVELOPMENT_SECRET, "short"])
def test_service_without_a_needed_secret_ends_with_a_line_that_names_it(
    service: type[CommonSettings],
    field: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _production(monkeypatch, **{variable_of(field): value})
    with pytest.raises(SystemExit) as ended:
        load(service)
    assert ended.value.code == EX_CONFIG
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == [variable_of(field)]


def test_two_equal_secrets_are_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _production(monkeypatch, TONGBAN_TOKEN_SECRET="i" * 32)
    with pytest.raises(SystemExit):
        load(IntakeSettings)
    said = capsys.readouterr().err
    assert "TONGBAN_ID_SECRET: the same as TONGBAN_TOKEN_SECRET" in said
    assert "iiii" not in said


def test_public_default_secrets_start_a_development_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TONGBAN_ENVIRONMENT", "development")
    assert load(IntakeSettings).token_secret.get_secret_value() == DEVELOPMENT_SECRET


def test_key_of_zero_bytes_is_refused_in_production(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ring = tmp_path / "ring.json"
    ring.write_text(json.dumps({"active": "z", "keys": {"z": "A" * 43}}))
    _production(monkeypatch, TONGBAN_KEYRING=f"@{ring}")
    with pytest.raises(SystemExit) as ended:
        key_ring(load(PrintingSettings))
    assert ended.value.code == EX_CONFIG
    assert "one byte repeated" in capsys.readouterr().err
