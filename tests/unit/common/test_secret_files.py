"""Secrets come from files as well as from variables, in every settings class of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from tongban_common.exit_codes import EX_CONFIG
from tongban_common.secret_files import is_secret, secret_fields
from tongban_common.settings import (
    DEVELOPMENT_SECRET,
    CommonSettings,
    load,
    variable_of,
    without_secret_files,
)
from tongban_intake.settings import IntakeSettings
from tongban_notify.settings import NotifySettings
from tools.reference.variables import MODELS

VALUE = "correct-horse-battery-staple-0123456789"
WITH_SECRETS = [each for each in MODELS.values() if each.SECRETS]


@pytest.fixture(autouse=True)
def no_secret_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("TONGBAN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TONGBAN_ENVIRONMENT", "development")


def refused(model: type[CommonSettings], capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        load(model)
    assert ended.value.code == EX_CONFIG
    said = capsys.readouterr().err
    assert VALUE not in said
    return said.splitlines()


def every_secret() -> list[tuple[type[CommonSettings], str]]:
    return [
        (model, field) for model in dict.fromkeys(MODELS.values()) for field in secret_fields(model)
    ]


@pytest.mark.parametrize(("model", "field"), every_secret())
def test_secret_is_read_from_a_file_without_its_line_end(
    model: type[CommonSettings], field: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(f" {VALUE}\r\n\n")
    monkeypatch.setenv(f"{variable_of(field)}_FILE", str(file))
    if field == "store_password":
        monkeypatch.setenv("TONGBAN_STORE_USERNAME", "intake")
    value: SecretStr = getattr(load(model), field)
    # The key ring's file is followed, so the setting stays a reference to it.
    assert value.get_secret_value() == (f"@{file}" if field == "keyring" else f" {VALUE}")


def test_every_secret_of_every_model_has_a_file() -> None:
    for model in MODELS.values():
        fields = model.model_fields
        for field in (name for name, info in fields.items() if is_secret(info.annotation)):
            assert field in secret_fields(model) or f"{field}_file" in fields


def test_variable_and_file_together_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(VALUE)
    monkeypatch.setenv("TONGBAN_SMS_KEY", VALUE)
    monkeypatch.setenv("TONGBAN_SMS_KEY_FILE", str(file))
    assert refused(NotifySettings, capsys) == [
        "TONGBAN_SMS_KEY_FILE: TONGBAN_SMS_KEY is set too; unset one of the two"
    ]


def test_files_that_cannot_be_used_are_refused_with_one_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("TONGBAN_ID_SECRET_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("TONGBAN_TOKEN_SECRET_FILE", str(tmp_path / "empty"))
    monkeypatch.setenv("TONGBAN_PSEUDONYM_SECRET_FILE", str(tmp_path / "bytes"))
    monkeypatch.setenv("TONGBAN_KEYRING_FILE", str(tmp_path))
    assert sorted(refused(IntakeSettings, capsys)) == [
        "TONGBAN_ID_SECRET_FILE: the file cannot be read: No such file or directory",
        "TONGBAN_KEYRING_FILE: the file cannot be read: Is a directory",
        "TONGBAN_PSEUDONYM_SECRET_FILE: the file is not UTF-8 text",
        "TONGBAN_TOKEN_SECRET_FILE: the file is empty",
    ]


@pytest.mark.parametrize("model", WITH_SECRETS)
@pytest.mark.parametrize("from_file", [False, True])
def test_public_secret_is_refused_outside_development_for_every_secret_of_every_model(
    model: type[CommonSettings],
    from_file: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("TONGBAN_ENVIRONMENT", "production")
    for field in model.SECRETS if from_file else ():
        file = tmp_path / field
        file.write_text(f"{DEVELOPMENT_SECRET}\n")
        if field != "keyring":  # judged by `Ring.refuse_public_keys` when its file is read
            monkeypatch.setenv(f"{variable_of(field)}_FILE", str(file))
    named = {line.partition(":")[0] for line in refused(model, capsys)}
    assert named == {variable_of(field) for field in model.SECRETS}


def test_every_public_default_of_a_service_is_among_its_secrets_or_unused() -> None:
    """A secret with a public default that no process lists would start a production process."""
    listed = {field for model in MODELS.values() for field in model.SECRETS}
    for model in MODELS.values():
        for field, info in model.model_fields.items():
            if isinstance(info.default, SecretStr):
                assert field in listed


def test_second_accepted_secret_is_as_strong_as_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TONGBAN_ENVIRONMENT", "production")
    monkeypatch.setenv("TONGBAN_KEYRING", "@/run/secrets/ring")
    for name in ("ID", "TOKEN", "PSEUDONYM"):
        monkeypatch.setenv(f"TONGBAN_{name}_SECRET", name * 32)
    monkeypatch.setenv("TONGBAN_TOKEN_SECRET_ACCEPTED", "short")
    assert refused(IntakeSettings, capsys) == [
        "TONGBAN_TOKEN_SECRET_ACCEPTED: shorter than 32 bytes"
    ]
    monkeypatch.setenv("TONGBAN_TOKEN_SECRET_ACCEPTED", "N" * 32)
    assert load(IntakeSettings).token_secrets == ("TOKEN" * 32, "N" * 32)


def test_secret_that_begins_like_a_reference_is_no_exception_from_its_length(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TONGBAN_ENVIRONMENT", "production")
    monkeypatch.setenv("TONGBAN_ID_SECRET", "@short")
    assert "TONGBAN_ID_SECRET: shorter than 32 bytes" in refused(IntakeSettings, capsys)


def test_child_process_reads_no_secret_of_its_parents_files() -> None:
    assert without_secret_files()["TONGBAN_TOKEN_SECRET_FILE"] == ""
