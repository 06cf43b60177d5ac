"""The search for personal data that e2e tests rely on finds what it is there to find."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.e2e.disguises import found

VALUES = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=("Cs", "Cn")), min_size=7, max_size=20
)
AROUND = st.binary(max_size=7)


@given(value=VALUES, before=AROUND, after=AROUND)
def test_a_value_is_found_in_every_disguise(value: str, before: bytes, after: bytes) -> None:
    raw = value.encode()
    assume(b"\\" not in raw and b'"' not in raw)
    spoken = json.dumps({"name": value}).encode()
    for text in (
        before + raw + after,
        base64.b64encode(before + raw + after),
        base64.urlsafe_b64encode(before + raw + after),
        base64.b64encode(before + spoken + after),
        (before + raw + after).hex().encode(),
        spoken,
        json.dumps(spoken.decode()).encode(),
        json.dumps({"name": value}, ensure_ascii=False).encode() if '"' not in value else raw,
        repr(raw).encode() if b"'" not in raw else raw,
        quote(value, safe="").encode(),
        before + value.encode("utf-16-le") + after,
    ):
        assert found([value], text) == {value}


def test_absent_value_is_not_found() -> None:
    assert found(["澹台㛃芃", "13911100223"], base64.b64encode("别的文字".encode())) == set()
