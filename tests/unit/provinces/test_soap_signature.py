"""What the signature on SOAP messages covers, and that nothing else passes for signed."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from lxml import etree

from tests.unit.connectors.soap_kit import (
    BY_XMLSEC,
    CONFIRMED,
    MESSAGE_ID,
    NOW,
    TOKEN,
    find,
    message,
)
from tongban_provinces import soap_signature
from tongban_provinces.signing import SignatureError, province_token
from tongban_provinces.soap_envelope import (
    DS,
    ENV,
    PROVINCE,
    WSSE,
    WSU,
    MalformedEnvelopeError,
    parts_of,
    read,
    written,
)
from tongban_provinces.soap_signature import (
    check_answer,
    check_username_token,
    created,
    password_digest,
    verify,
)


async def test_signed_message_is_verified_in_any_layout() -> None:
    envelope = await message()
    value = verify(envelope, TOKEN)
    assert value == find(envelope, DS, "SignatureValue").text
    again = etree.tostring(envelope.root, encoding="utf-8")
    assert verify(read(again), TOKEN) == value
    # Quotes and references to characters are another layout; comments are none of the content.
    other = again.replace(b'"', b"'").replace("张三".encode(), b"&#24352;<!-- x -->&#x4e09;")
    reading = read(other)
    assert verify(reading, TOKEN) == value
    assert reading.content.findtext(f".//{{{PROVINCE}}}person/{{{PROVINCE}}}name") == "张三"


def test_answer_signed_by_xmlsec_is_verified() -> None:
    """`check_answer` raises for a signature that does not fit."""
    check_answer(read(BY_XMLSEC), TOKEN, message_id=MESSAGE_ID, signature=CONFIRMED, now=NOW)


CHANGES: dict[str, tuple[bytes, bytes]] = {
    "text": (b"r-1", b"r-2"),
    "space": (b"</state><receipt>", b"</state> <receipt>"),
    "line end": (b"&#13;", b""),
    "addressing": (b"0001</RelatesTo>", b"0002</RelatesTo>"),
    "moment": (b"01:00:00.125Z", b"01:00:00.126Z"),
    "attribute": (b' Value="c2ln', b' Value="d2ln'),
    "another block": (b"<o:Security ", b"<x/><o:Security "),
    "another block with an Id": (b"<o:Security ", b'<x wsu:Id="x"/><o:Security '),
    "a block less": (re.findall(rb"<Action .*</Action>", BY_XMLSEC)[0], b""),
    "an Id twice": (b"<o:Security ", b'<x wsu:Id="body"/><o:Security '),
    "Ids exchanged": (b'wsu:Id="action"', b'wsu:Id="relates"'),
    "signature": (b"<SignatureValue>K", b"<SignatureValue>L"),
    "no signature value": (b"SignatureValue>", b"Signature>"),
    "digest": (b"<DigestValue>i", b"<DigestValue>j"),
    "body moved": (b"<SOAP-ENV:Body wsu:Id", b"<SOAP-ENV:Body/><SOAP-ENV:Body wsu:Id"),
    "two headers": (b"</SOAP-ENV:Header>", b"</SOAP-ENV:Header><SOAP-ENV:Header/>"),
    "two securities": (b"<o:Security ", f'<o:Security xmlns:o="{WSSE}"/><o:Security '.encode()),
    "two contents": (b"<LookUpResponse ", b"<x/><LookUpResponse "),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change: str) -> None:
    old, new = CHANGES[change]
    assert old in BY_XMLSEC
    with pytest.raises((SignatureError, MalformedEnvelopeError)):
        verify(read(BY_XMLSEC.replace(old, new)), TOKEN)


def test_a_body_that_was_wrapped_is_not_taken_for_signed() -> None:
    """XML signature wrapping: the signed body is still there, but it is not the body."""
    envelope = read(BY_XMLSEC)
    wrapper = etree.SubElement(envelope.header, "wrapper")
    wrapper.append(envelope.body)
    forged = etree.SubElement(envelope.root, f"{{{ENV}}}Body")
    etree.SubElement(forged, f"{{{PROVINCE}}}LookUpResponse")
    with pytest.raises(SignatureError):
        verify(read(written(envelope.root)), TOKEN)


RESIGNED: dict[str, Callable[[Any], None]] = {
    "shorter HMAC": lambda info: etree.SubElement(info[1], f"{{{DS}}}HMACOutputLength"),
    "another canonicalisation": lambda info: info[0].set("Algorithm", "urn:x"),
    "another method": lambda info: info[1].set("Algorithm", f"{DS}hmac-sha1"),
    "another digest": lambda info: info[2][1].set("Algorithm", f"{DS}sha1"),
    "another transform": lambda info: info[2][0][0].set("Algorithm", f"{DS}base64"),
    "one transform more": lambda info: info[2][0].append(etree.fromstring("<a/>")),
    "another document": lambda info: info[2].set("URI", "http://province.invalid/"),
    "one reference less": lambda info: info.remove(info[2]),
    "a reference twice": lambda info: info.append(etree.fromstring(etree.tostring(info[2]))),
    "a type": lambda info: info[2].set("Type", "urn:x"),
}


@pytest.mark.parametrize("change", RESIGNED)
def test_message_of_another_profile_is_refused_even_with_the_token(change: str) -> None:
    """What a signature could ask its reader to do: none of it is done."""
    envelope = read(BY_XMLSEC)
    info = find(envelope, DS, "SignedInfo")
    RESIGNED[change](info)
    value = soap_signature._value(TOKEN, soap_signature._canonical(info))
    find(envelope, DS, "SignatureValue").text = value
    with pytest.raises(SignatureError, match=r"another|not everything"):
        verify(read(written(envelope.root)), TOKEN)


OTHER_TOKEN = province_token("secret", "230000")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"message_id": "urn:uuid:1"}, "wrong_nonce"),
        ({"signature": "AAAA"}, "wrong_nonce"),
        ({"now": NOW + 301}, "stale"),
        ({"now": NOW - 301}, "stale"),
        ({"token": OTHER_TOKEN}, "bad_signature"),
    ],
)
def test_an_answer_belongs_to_one_message(wrong: dict[str, Any], code: str) -> None:
    right = {"token": TOKEN, "message_id": MESSAGE_ID, "signature": CONFIRMED, "now": NOW}
    with pytest.raises(SignatureError) as caught:
        check_answer(read(BY_XMLSEC), **{**right, **wrong})
    assert caught.value.code == code


async def test_a_message_is_no_answer() -> None:
    """Our own message sent back to us."""
    envelope = await message()
    with pytest.raises(SignatureError, match=r"Created"):
        check_answer(
            envelope, TOKEN, message_id=MESSAGE_ID, signature=verify(envelope, TOKEN), now=NOW
        )


# --- user name token


async def test_the_password_digest_is_that_of_the_profile() -> None:
    envelope = await message()
    token = find(envelope, WSSE, "UsernameToken")
    user, password, nonce, when = (part.text for part in token)
    said = hashlib.sha1(base64.b64decode(nonce) + when.encode() + TOKEN.encode()).digest()  # noqa: S324
    assert (user, password) == ("tongban", base64.b64encode(said).decode())
    assert token[1].get("Type").endswith("#PasswordDigest")
    raw = base64.b64decode(nonce)
    assert check_username_token(envelope, TOKEN, user="tongban", now=time.time()) == raw.hex()


@pytest.mark.parametrize(
    ("user", "token", "late_s", "code"),
    [
        ("somebody", TOKEN, 0, "unknown_paasid"),
        ("tongban", TOKEN, 400, "stale"),
        ("tongban", TOKEN, -400, "stale"),
        ("tongban", OTHER_TOKEN, 0, "bad_signature"),
    ],
)
async def test_user_name_token_of_another_user_or_time_is_refused(
    user: str, token: str, late_s: float, code: str
) -> None:
    envelope = await message()
    with pytest.raises(SignatureError) as caught:
        check_username_token(envelope, token, user=user, now=time.time() + late_s)
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["Username", "Password", "Nonce", "Created"])
@pytest.mark.parametrize("text", [None, "", "x", "张三", "9" * 40])
async def test_a_bad_user_name_token_is_refused(name: str, text: str | None) -> None:
    envelope = await message()
    find(envelope, WSU if name == "Created" else WSSE, name).text = text
    with pytest.raises(SignatureError):
        check_username_token(envelope, TOKEN, user="tongban", now=time.time())


def test_a_short_nonce_is_refused_though_its_digest_is_right() -> None:
    when = created(NOW)
    root = etree.fromstring(BY_XMLSEC)
    security = parts_of(root).security
    token = etree.SubElement(security, f"{{{WSSE}}}UsernameToken")
    digest = password_digest(TOKEN, b"short", when)
    for name, text in (("Username", "tongban"), ("Password", digest), ("Nonce", "c2hvcnQ=")):
        etree.SubElement(token, f"{{{WSSE}}}{name}").text = text
    etree.SubElement(token, f"{{{WSU}}}Created").text = when
    with pytest.raises(SignatureError, match="8 to 64"):
        check_username_token(parts_of(root), TOKEN, user="tongban", now=NOW)
