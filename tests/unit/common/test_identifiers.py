"""Identifiers, tokens, envelope, clock and fault points: pure, so tested by property."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import (
    REQUEST_ID,
    Issued,
    body_digest,
    derived_id,
    issued,
    pseudonym,
    request_id,
)
from tongban_common.envelope import KeyRing, UnreadableEnvelopeError
from tongban_intake.access import tokens

NAMES = st.text(min_size=1, max_size=20)


@given(kiosk=NAMES, branch=NAMES, key=NAMES, other=NAMES)
def test_issued_id_is_recognised_with_its_branch(
    kiosk: str, branch: str, key: str, other: str
) -> None:
    made = request_id("s", kiosk_id=kiosk, branch_id=branch, key=key)
    assert REQUEST_ID.fullmatch(made)
    assert made == request_id("s", kiosk_id=kiosk, branch_id=branch, key=key)
    assert issued("s", made, branch_id=branch) is Issued.HERE
    assert issued("another secret", made, branch_id=branch) is Issued.NEVER
    if other != branch:
        assert issued("s", made, branch_id=other) is Issued.ELSEWHERE


@given(text=st.text(max_size=40))
def test_an_id_that_we_did_not_make_was_never_issued(text: str) -> None:
    assert issued("s", text, branch_id="b") is Issued.NEVER
    assert issued("s", f"r-{text}", branch_id="b") is Issued.NEVER


@given(place=st.integers(2, 27), letter=st.sampled_from("0123456789abcdefghjkmnpqrstvwxyz"))
def test_a_changed_letter_is_noticed(place: int, letter: str) -> None:
    made = request_id("s", kiosk_id="k", branch_id="b", key="12345678")
    changed = made[:place] + letter + made[place + 1 :]
    assume(changed != made)
    assert issued("s", changed, branch_id="b") is not Issued.HERE


def test_ids_and_digests_equal_those_of_earlier_versions() -> None:
    """A change of these would make a repeat a new request, and known ids unknown."""
    made = {"kiosk_id": "k-1", "branch_id": "b-1", "key": "key-12345"}
    assert request_id("secret", **made) == "r-1nk7vwjm5t514gaxh9r62zb5errrj"
    longer_than_a_key_may_be = "s" * 100
    assert request_id(longer_than_a_key_may_be, **made) == "r-jtzfhkegdbvgqng35edq4s0m9bxp4"
    assert body_digest("secret", b"{}") == "b4373e5a9cb229f7cbb8954553a2c04f"
    assert pseudonym("secret", kind="uscc", number="1") == "f5c10b333f109ce4e6e85076"


def test_secrets_that_begin_alike_and_parts_that_run_together_differ() -> None:
    made = {"kiosk_id": "k", "branch_id": "b", "key": "12345678"}
    assert request_id("s" * 100, **made) != request_id("s" * 101, **made)
    assert pseudonym("s", kind="ab", number="c") != pseudonym("s", kind="a", number="bc")


def test_parts_of_a_derived_id_do_not_run_together() -> None:
    assert derived_id("ab", "c") != derived_id("a", "bc")
    assert derived_id("a", 1) == derived_id("a", "1")


def test_a_token_names_its_kiosk_until_it_is_out_of_date() -> None:
    token = tokens.issue("s", kiosk_id="k-1", branch_id="b-1")
    assert tokens.verify("s", token).kiosk_id == "k-1"
    for wrong in (token + "x", "", ".", token.replace(".", ".x"), "中文.签名"):
        with pytest.raises(tokens.InvalidTokenError):
            tokens.verify("s", wrong)
    with pytest.raises(tokens.InvalidTokenError, match="out of date"):
        tokens.verify("s", tokens.issue("s", kiosk_id="k", branch_id="b", lifetime_s=-1))


def ring(**keys: str) -> KeyRing:
    return KeyRing(next(iter(keys)), {kid: letter.encode() * 32 for kid, letter in keys.items()})


def test_an_envelope_opens_only_for_its_request_part_and_key() -> None:
    keys = ring(a="x")
    sealed = keys.seal("r-1", {"applicant": {"name": "张𠮷"}})
    more = keys.add("r-1", sealed, {"result": [1, 2]})
    assert keys.open("r-1", more, "applicant") == {"name": "张𠮷"}
    assert keys.open("r-1", more, "result") == [1, 2]
    assert "张" not in more.model_dump_json()
    with pytest.raises(UnreadableEnvelopeError):
        keys.open("r-2", more, "applicant")
    with pytest.raises(UnreadableEnvelopeError, match="no part"):
        keys.open("r-1", sealed, "result")
    swapped = more.model_copy(update={"parts": {"applicant": more.parts["result"]}})
    with pytest.raises(UnreadableEnvelopeError):
        keys.open("r-1", swapped, "applicant")
    with pytest.raises(UnreadableEnvelopeError, match="not on the key ring"):
        ring(b="y").open("r-1", more, "applicant")


def test_an_old_key_opens_after_rotation() -> None:
    sealed = ring(a="x").seal("r-1", {"form": 1})
    assert ring(b="y", a="x").open("r-1", sealed, "form") == 1


def test_business_clock_survives_describe_and_parse() -> None:
    clock = BusinessClock.parse("2026-03-02T09:00:00+08:00@60", anchor=1000.0)
    assert BusinessClock.parse(clock.describe()) == clock
    assert clock.real_seconds(timedelta(hours=1)) == 60
    for wrong in ("tomorrow", "2026-03-02T09:00:00", "2026-03-02T09:00:00+08:00@0", "@", "a@b@c@d"):
        with pytest.raises(ValueError, match="TONGBAN_CLOCK looks like"):
            BusinessClock.parse(wrong)


def test_a_fault_point_kills_at_the_named_passing_and_once_in_the_life_of_its_file(
    tmp_path: object,
) -> None:
    program = (
        "from tongban_common.faultpoints import reached\n"
        "for n in range(4):\n    print(n, flush=True)\n    reached('here')\n"
    )
    variable = {"TONGBAN_FAULTPOINTS": f"there,here:3@{tmp_path}/once"}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program], env=variable, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    first, second = run(), run()
    assert (first.returncode, first.stdout.split()) == (-9, ["0", "1", "2"])
    assert (second.returncode, second.stdout.split()) == (0, ["0", "1", "2", "3"])
