"""The platforms' signature: what it covers, and that nothing else passes."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongban_provinces.signing import (
    WINDOW_SECONDS,
    SignatureError,
    province_token,
    sign_request,
    sign_response,
    verify_request,
    verify_response,
)

NOW = 1_767_225_600
NONCE = "0123456789abcdef"
TOKEN = province_token("secret", "340000")
REQUEST: dict[str, Any] = {"method": "POST", "target": "/p/340000/x?a=1", "body": b'{"a": 1}'}


def signed(**changes: Any) -> dict[str, str]:
    return sign_request(TOKEN, **{**REQUEST, "timestamp": NOW, "nonce": NONCE, **changes})


def test_the_signatures_are_those_of_the_interface_document() -> None:
    """Written out here once more, so that a change of the code is a change of the interface."""
    token = hmac.new(b"secret", b"340000", hashlib.sha256).hexdigest()
    platform = hashlib.sha256(f"{NOW}{token}{NONCE}{NOW}".encode()).hexdigest().upper()
    digest = hashlib.sha256(b'{"a": 1}').hexdigest()
    text = f"{NOW}\n{NONCE}\nPOST\n/p/340000/x?a=1\n{digest}"
    assert signed() == {
        "x-tif-paasid": "tongban",
        "x-tif-timestamp": str(NOW),
        "x-tif-nonce": NONCE,
        "x-tif-signature": platform,
        "x-tif-body-signature": hmac.new(token.encode(), text.encode(), "sha256").hexdigest(),
    }
    answer = hashlib.sha256(b"{}").hexdigest()
    text = f"{NOW}\n{NONCE}\n200\n{answer}"
    assert sign_response(TOKEN, status=200, body=b"{}", timestamp=NOW, nonce=NONCE) == {
        "x-tif-timestamp": str(NOW),
        "x-tif-nonce": NONCE,
        "x-tif-body-signature": hmac.new(token.encode(), text.encode(), "sha256").hexdigest(),
    }


def test_signed_request_is_verified_within_the_time_window() -> None:
    for shift in (-WINDOW_SECONDS, 0, WINDOW_SECONDS):
        stamp = verify_request(TOKEN, signed(), **REQUEST, now=NOW + shift)
        assert (stamp.timestamp, stamp.nonce) == (NOW, NONCE)
    for shift in (-WINDOW_SECONDS - 1, WINDOW_SECONDS + 1):
        with pytest.raises(SignatureError) as caught:
            verify_request(TOKEN, signed(), **REQUEST, now=NOW + shift)
        assert caught.value.code == "stale"


@pytest.mark.parametrize(
    "change",
    [{"method": "GET"}, {"target": "/p/340000/x?a=2"}, {"body": b'{"a": 2}'}],
    ids=lambda change: next(iter(change)),
)
def test_method_target_and_body_are_covered(change: dict[str, Any]) -> None:
    with pytest.raises(SignatureError) as caught:
        verify_request(TOKEN, signed(), **{**REQUEST, **change}, now=NOW)
    assert caught.value.code == "bad_signature"


@given(
    name=st.sampled_from(sorted(signed())),
    at=st.integers(0, 63),
    letter=st.characters(codec="utf-8"),
)
def test_a_header_with_one_other_character_is_not_believed(name: str, at: int, letter: str) -> None:
    headers = signed()
    value = headers[name]
    at %= len(value)
    changed = value[:at] + letter + value[at + 1 :]
    if changed == value:
        return
    with pytest.raises(SignatureError):
        verify_request(TOKEN, {**headers, name: changed}, **REQUEST, now=NOW)


@pytest.mark.parametrize("name", sorted(signed()))
def test_every_header_is_needed(name: str) -> None:
    headers = signed()
    del headers[name]
    with pytest.raises(SignatureError) as caught:
        verify_request(TOKEN, headers, **REQUEST, now=NOW)
    assert caught.value.code == "missing_header"


@pytest.mark.parametrize(
    "timestamp",
    ["", "-1", "+1767225600", "01767225600", "1767225600.0", "１７６７２２５６００", "9" * 40],
)
def test_a_timestamp_is_written_in_one_way(timestamp: str) -> None:
    with pytest.raises(SignatureError):
        verify_request(TOKEN, {**signed(), "x-tif-timestamp": timestamp}, **REQUEST, now=NOW)


@pytest.mark.parametrize("nonce", ["short", "x" * 65, "with a space", "换行符不允许出现"])
def test_a_nonce_has_bounds(nonce: str) -> None:
    with pytest.raises(SignatureError) as caught:
        verify_request(TOKEN, signed(nonce=nonce), **REQUEST, now=NOW)
    assert caught.value.code == "missing_header"


def test_bytes_that_are_no_text_are_no_signature() -> None:
    with pytest.raises(SignatureError):
        verify_request(TOKEN, {**signed(), "x-tif-signature": "\udcff"}, **REQUEST, now=NOW)


@given(st.binary(max_size=200), st.integers(100, 599))
def test_unchanged_answer_is_verified(body: bytes, status: int) -> None:
    headers = sign_response(TOKEN, status=status, body=body, timestamp=NOW, nonce=NONCE)
    verify_response(TOKEN, headers, status=status, body=body, nonce=NONCE, now=NOW)
    for changed in ({"status": status + 1}, {"body": body + b" "}):
        with pytest.raises(SignatureError) as caught:
            given_ = {"status": status, "body": body, **changed}
            verify_response(TOKEN, headers, **given_, nonce=NONCE, now=NOW)
        assert caught.value.code == "bad_signature"
    with pytest.raises(SignatureError) as caught:
        verify_response(TOKEN, headers, status=status, body=body, nonce=NONCE[::-1], now=NOW)
    assert caught.value.code == "wrong_nonce"


def test_provinces_have_different_tokens() -> None:
    tokens = {province_token("secret", code) for code in ("110000", "120000", "130000")}
    assert len(tokens | {province_token("other", "110000")}) == 4
