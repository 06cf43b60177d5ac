"""Signed values of the kiosk's pages: unaltered, of one purpose and secret, and young enough."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer

from tongban_intake.access import tokens
from tongban_intake.access.signed_values import SignedValues
from tongban_intake.access.tokens import Kiosk

SECRET = "s" * 32
NOW = 1_772_413_200.0
SECONDS = 180
VALUE = ["k-1", "v-1", ["r-1"]]


def values(secret: str = SECRET, purpose: str = "visit", *, now: float = NOW) -> SignedValues:
    return SignedValues(secret, purpose, seconds=SECONDS, now=lambda: now)


TEXT = values().write(VALUE)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=10,
)


@given(value=json_values)
def test_value_is_read_as_it_was_written(value: Any) -> None:
    assert values().read(values().write(value)) == value


@given(age=st.floats(-29, SECONDS - 0.001))
def test_value_is_read_while_young_by_the_given_clock(age: float) -> None:
    assert values(now=NOW + age).read(TEXT) == VALUE


@given(age=st.floats(SECONDS, 1e9) | st.floats(-1e9, -31))
def test_value_too_old_or_of_the_future_is_refused(age: float) -> None:
    assert values(now=NOW + age).read(TEXT) is None


@given(place=st.integers(0, len(TEXT) - 1), character=st.characters())
def test_value_with_one_character_replaced_is_refused(place: int, character: str) -> None:
    altered = TEXT[:place] + character + TEXT[place + 1 :]
    assert (values().read(altered) == VALUE) == (altered == TEXT)


@given(text=st.text(max_size=100))
def test_any_other_text_is_refused(text: str) -> None:
    assert values().read(text) is None
    assert values().read(TEXT + "." + text) is None


@given(secret=st.text(min_size=1), purpose=st.text(min_size=1))
def test_value_of_another_secret_or_purpose_is_refused(secret: str, purpose: str) -> None:
    for other in (values(secret=secret), values(purpose=purpose)):
        same = (other.write(VALUE)) == TEXT
        assert (values().read(other.write(VALUE)) == VALUE) == same


def test_token_and_value_without_a_time_are_refused() -> None:
    token = tokens.seal(SECRET, Kiosk("k-1", "b-1", "local", int(NOW) + 60))
    timeless = URLSafeSerializer(
        SECRET,
        salt="tongban visit",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
    for text in (token, timeless.dumps(VALUE), "x" * 5000, TEXT * 20):
        assert values().read(text) is None


def test_value_is_read_by_itsdangerous_itself() -> None:
    outside = URLSafeTimedSerializer(
        SECRET,
        salt="tongban visit",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
    value, signed_at = outside.loads(TEXT, return_timestamp=True)
    assert (value, signed_at.timestamp()) == (VALUE, NOW)


@pytest.mark.parametrize("setting", [{"key_derivation": "none"}, {"digest_method": hashlib.sha1}])
def test_value_signed_by_another_construction_is_refused(setting: dict[str, Any]) -> None:
    kwargs = {"key_derivation": "hmac", "digest_method": hashlib.sha256, **setting}
    other = URLSafeTimedSerializer(SECRET, salt="tongban visit", signer_kwargs=kwargs)
    assert values(now=0).read(other.dumps(VALUE)) is None
