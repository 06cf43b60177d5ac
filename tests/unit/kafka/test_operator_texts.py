"""Tests the names of settings in the texts that operators read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tongban_common.settings import KAFKA_VARIABLES
from tongban_kafka import KafkaSecurity, KafkaSecurityError, operator_texts


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    names, hint = dict(operator_texts._names), operator_texts._hole_hint
    yield
    operator_texts._names.clear()
    operator_texts._names.update(names)
    operator_texts._hole_hint = hint


def test_setting_without_a_name_of_the_application_keeps_kafkas() -> None:
    operator_texts.use_operator_texts(setting_names={"sasl.password": "BROKER_PASSWORD"})
    with pytest.raises(KafkaSecurityError) as refused:
        KafkaSecurity(protocol="SASL_SSL").arguments()
    assert refused.value.lines == (
        "sasl.username: not set, and security.protocol=SASL_SSL needs it",
        "BROKER_PASSWORD: neither it nor sasl.password.file is set, and "
        "security.protocol=SASL_SSL needs one",
    )


def test_hole_is_described_with_the_hint_of_the_application() -> None:
    operator_texts.use_operator_texts(setting_names={})
    assert operator_texts.describe_hole("t", "offset 3") == "t cannot be read at offset 3"
    operator_texts.use_operator_texts(setting_names={}, hole_hint="run `mend {topic}`")
    assert (
        operator_texts.describe_hole("t", "offset 3")
        == "t cannot be read at offset 3: run `mend t`"
    )


def test_unknown_property_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sasl\.user"):
        operator_texts.use_operator_texts(setting_names={"sasl.user": "X"})


def test_settings_name_every_setting() -> None:
    assert set(KAFKA_VARIABLES) == {setting.value for setting in operator_texts.Setting}
