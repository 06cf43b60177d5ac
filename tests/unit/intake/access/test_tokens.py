"""Bearer tokens: only those that intake signed, for itself, are accepted until they expire."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tongban_common.base64url import encode
from tongban_intake.access import tokens
from tongban_intake.access.signed_values import SignedValues
from tongban_intake.access.tokens import InvalidTokenError, Kiosk

SECRET, OTHER = "s" * 32, "t" * 32
NOW = 1_772_413_200
KIOSK = Kiosk("k-1", "b-1", "local", NOW + 900, 3, "lm-1", 2)
TOKEN = tokens.seal(SECRET, KIOSK)
# Derived here by hand, as another program with the secret would.
KEY = hmac.digest(SECRET.encode(), b"tongban access token", hashlib.sha256)
CLAIMS: dict[str, Any] = {
    "iss": "tongban-intake",
    "aud": "tongban-intake",
    "sub": "k-1",
    "exp": NOW + 900,
    "branch_id": "b-1",
    "zone": "local",
}


def verify(token: str, *, secret: str = SECRET, now: float = NOW) -> Kiosk:
    return tokens.verify(secret, token, now=lambda: now)


def signed(
    key: Any = KEY, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **changes: Any
) -> str:
    claims = {k: v for k, v in {**CLAIMS, **changes}.items() if v is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


identifier = st.text(alphabet="ABCXYZabcxyz0189._-", min_size=1, max_size=64)
kiosks = st.builds(
    Kiosk,
    kiosk_id=identifier,
    branch_id=identifier,
    zone=st.sampled_from(["cross_province", "yangtze_delta", "local"]),
    expires=st.integers(NOW, 1 << 40),
    epoch=st.integers(0, 1 << 31),
    assistant=st.none() | identifier,
    assistant_epoch=st.integers(0, 1 << 31),
)


@given(kiosk=kiosks)
def test_token_names_its_kiosk(kiosk: Kiosk) -> None:
    assert verify(tokens.seal(SECRET, kiosk)) == kiosk


def test_token_made_with_another_library_call_is_accepted() -> None:
    assert verify(signed()) == Kiosk("k-1", "b-1", "local", NOW + 900)


def test_token_is_read_by_pyjwt_with_issuer_and_audience() -> None:
    claims = jwt.decode(
        TOKEN, KEY, algorithms=["HS256"], issuer="tongban-intake", audience="tongban-intake",
        options={"verify_exp": False},
    )  # fmt: skip
    assert (claims["sub"], claims["exp"], claims["epoch"]) == ("k-1", NOW + 900, 3)


@given(kiosk=kiosks, late=st.floats(0.001, 1e9))
def test_token_is_refused_once_expired_although_it_was_accepted_before(
    kiosk: Kiosk, late: float
) -> None:
    token = tokens.seal(SECRET, kiosk)
    assert verify(token, now=kiosk.expires) == kiosk
    with pytest.raises(InvalidTokenError, match="out of date"):
        verify(token, now=kiosk.expires + late)


@given(place=st.integers(0, len(TOKEN) - 1), character=st.characters(codec="utf-8"))
def test_token_with_one_character_replaced_is_refused(place: int, character: str) -> None:
    altered = TOKEN[:place] + character + TOKEN[place + 1 :]
    if altered == TOKEN:
        assert verify(altered) == KIOSK
        return
    with pytest.raises(InvalidTokenError):
        verify(altered)


@given(cut=st.integers(0, len(TOKEN) - 1), more=st.text(min_size=1, max_size=8))
def test_token_that_is_cut_or_extended_is_refused(cut: int, more: str) -> None:
    for altered in (TOKEN[:cut], TOKEN + more, more + TOKEN, TOKEN + "=", TOKEN + "."):
        with pytest.raises(InvalidTokenError):
            verify(altered)


@given(text=st.text(max_size=200))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidTokenError):
        verify(text)


@given(secret=st.text(min_size=1, max_size=40).filter(lambda each: each != SECRET))
def test_token_of_another_secret_is_refused(secret: str) -> None:
    with pytest.raises(InvalidTokenError):
        verify(tokens.seal(secret, KIOSK))


def _by_hand(alg: str, digest: Any = None) -> str:
    head, body = (json.dumps(each).encode() for each in ({"alg": alg, "typ": "JWT"}, CLAIMS))
    signing_input = f"{encode(head)}.{encode(body)}"
    signature = hmac.digest(KEY, signing_input.encode(), digest) if digest else b""
    return f"{signing_input}.{encode(signature)}"


def test_token_made_without_a_library_is_accepted() -> None:
    assert verify(_by_hand("HS256", hashlib.sha256)).kiosk_id == "k-1"


def _old_format() -> str:
    """A token of the format before JWT: claims and HMAC-SHA256 under the secret itself."""
    claims = encode(json.dumps({"kiosk_id": "k-1", "branch_id": "b-1", "zone": "local",
                                "expires": NOW + 900}).encode())  # fmt: skip
    return f"{claims}.{encode(hmac.digest(SECRET.encode(), claims.encode(), hashlib.sha256))}"


HOSTILE = {
    "no signature": _by_hand("none"),
    "no signature, other spelling": _by_hand("nOnE"),
    "signature left out": _by_hand("HS256"),
    "the secret itself as the key": signed(SECRET.encode()),
    "another HMAC": _by_hand("HS512", hashlib.sha512),
    "a kiosk's key": signed(Ed25519PrivateKey.generate(), "EdDSA"),
    "an unknown critical extension": signed(headers={"crit": ["x"], "x": 1}),
    "an empty list of critical extensions": signed(headers={"crit": []}),
    "another issuer": signed(iss="https://else.example"),
    "no issuer": signed(iss=None),
    "another audience": signed(aud="else"),
    "several audiences": signed(aud=["tongban-intake", "else"]),
    "no audience": signed(aud=None),
    "no subject": signed(sub=None),
    "no end": signed(exp=None),
    "an end that is no number": signed(exp="tomorrow"),
    "an end beyond all time": signed(exp=float("inf")),
    "no branch": signed(branch_id=None),
    "an epoch that is no number": signed(epoch="x"),
    "not valid yet": signed(nbf=1 << 40),
    "a deep header": f"{encode(b'[' * 1200)}.e30.e30",
    "too long": signed(more="x" * 2048),
    "the old format": _old_format(),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_token_is_refused(what: str) -> None:
    with pytest.raises(InvalidTokenError):
        verify(HOSTILE[what])


@pytest.mark.parametrize("purpose", ["visit", "form", "sign-in"])
def test_value_signed_for_another_purpose_is_refused(purpose: str) -> None:
    with pytest.raises(InvalidTokenError):
        verify(SignedValues(SECRET, purpose, seconds=60).write(CLAIMS))


# --- rotation


def test_token_of_either_secret_is_accepted_while_both_are_configured() -> None:
    """A replica with the new secret first and one with the old first accept each other's tokens."""
    old, new = tokens.seal(SECRET, KIOSK), tokens.seal(OTHER, KIOSK)
    for secrets in ((SECRET, OTHER), (OTHER, SECRET)):
        for token in (old, new):
            assert tokens.verify(secrets, token, now=lambda: NOW) == KIOSK
    with pytest.raises(InvalidTokenError):
        tokens.verify((OTHER,), old, now=lambda: NOW)


def test_page_signed_before_a_rotation_is_accepted_after_it() -> None:
    before = SignedValues((SECRET, OTHER), "form", seconds=60, now=lambda: NOW)
    after = SignedValues((OTHER, SECRET), "form", seconds=60, now=lambda: NOW)
    assert after.read(before.write(CLAIMS)) == CLAIMS
    assert before.read(after.write(CLAIMS)) == CLAIMS
    assert SignedValues(SECRET, "form", seconds=60, now=lambda: NOW).read(before.write(1)) == 1
    assert SignedValues(SECRET, "form", seconds=60, now=lambda: NOW).read(after.write(1)) is None
