"""signxml and our own XML signature agree in both directions (ADR 0010).

signxml is a second implementation of XML Signature that shares only lxml with ours.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from signxml import DigestAlgorithm, SignatureConfiguration, SignatureMethod, XMLVerifier
from signxml.algorithms import CanonicalizationMethod, SignatureConstructionMethod
from signxml.exceptions import InvalidDigest, InvalidInput, InvalidSignature
from signxml.signer import SignatureReference, XMLSigner

from tests.unit.connectors.soap_kit import BY_XMLSEC, TOKEN, find, message
from tongban_provinces.signing import SignatureError, province_token
from tongban_provinces.soap_envelope import (
    DS,
    ENV,
    PROVINCE,
    WSSE,
    WSU,
    Envelope,
    MalformedEnvelopeError,
    read,
    written,
)
from tongban_provinces.soap_signature import verify

EXCLUSIVE = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
ID = f"{{{WSU}}}Id"


def verified_by_signxml(raw: bytes, token: str = TOKEN) -> list[Any]:
    """Return what signxml says was signed, in our profile and no other."""
    profile = SignatureConfiguration(
        require_x509=False,
        location=f"./{{{ENV}}}Header/{{{WSSE}}}Security/",
        expect_references=False,
        signature_methods=frozenset({SignatureMethod.HMAC_SHA256}),
        digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
    )
    results = XMLVerifier().verify(raw, hmac_key=token.encode(), expect_config=profile)
    return [each.signed_xml for each in (results if isinstance(results, list) else [results])]


def signed_by_signxml(envelope: Envelope, token: str = TOKEN, leave_out: int = 0) -> bytes:
    """Sign an envelope anew with signxml, in our profile; leave out the last so many parts."""
    security = envelope.security
    for old in security.findall(f"{{{DS}}}Signature"):
        security.remove(old)
    parts = [envelope.body, *(each for each in envelope.header if each is not security), *security]
    for number, part in enumerate(parts):
        part.set(ID, f"x-{number}")
    signer = XMLSigner(
        method=SignatureConstructionMethod.detached,
        signature_algorithm=SignatureMethod.HMAC_SHA256,
        digest_algorithm=DigestAlgorithm.SHA256,
        c14n_algorithm=EXCLUSIVE,
    )
    references = [
        SignatureReference(URI=f"#x-{number}", c14n_method=EXCLUSIVE)
        for number in range(len(parts) - leave_out)
    ]
    signature = signer.sign(envelope.root, key=token.encode(), reference_uri=references)
    security.append(signature)
    return written(envelope.root)


async def test_signxml_verifies_our_signature_and_names_all_parts() -> None:
    envelope = await message()
    signed = verified_by_signxml(written(envelope.root))
    tags = sorted(each.tag for each in signed)
    blocks = [each for each in envelope.header if each is not envelope.security]
    tokens = [each for each in envelope.security if each.tag != f"{{{DS}}}Signature"]
    assert tags == sorted(each.tag for each in (envelope.body, *blocks, *tokens))
    (body,) = [each for each in signed if each.tag == f"{{{ENV}}}Body"]
    assert body.findtext(f".//{{{PROVINCE}}}person/{{{PROVINCE}}}name") == "张三"


def test_signxml_verifies_what_xmlsec_signed() -> None:
    """The sample that our own tests verify is right by a third implementation."""
    assert verified_by_signxml(BY_XMLSEC)


ALTERED: dict[str, tuple[bytes, bytes]] = {
    "text": ("张三".encode(), "张四".encode()),
    "addressing": (b"urn:uuid:", b"urn:uuie:"),
    "reference": (rb"<ds:DigestValue>.{4}", b"<ds:DigestValue>AAAA"),
    "value": (rb"<ds:SignatureValue>.{4}", b"<ds:SignatureValue>AAAA"),
    "method": (b"xmldsig-more#hmac-sha256", b"xmldsig-more#hmac-sha512"),
    "digest method": (b"xmlenc#sha256", b"xmlenc#sha512"),
    "reference target": (rb'URI="#(part|x)-1"', rb'URI="#\1-9"'),
}
"""Patterns and what replaces their first match, in messages that either side has signed."""


@pytest.mark.parametrize("change", ALTERED)
@pytest.mark.parametrize("signed_by", ["ours", "signxml"])
async def test_altered_message_is_refused_by_both(signed_by: str, change: str) -> None:
    envelope = await message()
    raw = written(envelope.root) if signed_by == "ours" else signed_by_signxml(envelope)
    pattern, replacement = ALTERED[change]
    altered, count = re.subn(pattern, replacement, raw, count=1)
    assert count == 1
    with pytest.raises((InvalidSignature, InvalidDigest, InvalidInput)):
        verified_by_signxml(altered)
    with pytest.raises((SignatureError, MalformedEnvelopeError)):
        verify(read(altered), TOKEN)


async def test_message_signed_by_signxml_is_accepted_by_ours() -> None:
    envelope = await message()
    ours = find(envelope, DS, "SignatureValue").text
    raw = signed_by_signxml(envelope)
    assert verify(read(raw), TOKEN) not in ("", ours)
    assert verified_by_signxml(raw)


async def test_token_of_another_province_is_refused_by_both() -> None:
    raw = signed_by_signxml(await message())
    other = province_token("secret", "230000")
    with pytest.raises(SignatureError):
        verify(read(raw), other)
    with pytest.raises(InvalidSignature):
        verified_by_signxml(raw, other)


async def test_part_that_signxml_left_unsigned_is_refused_by_ours_alone() -> None:
    """signxml verifies what a signature names; that everything is named is our own rule."""
    raw = signed_by_signxml(await message(), leave_out=1)
    assert verified_by_signxml(raw)
    with pytest.raises(SignatureError, match="not everything"):
        verify(read(raw), TOKEN)


async def test_other_canonicalisation_by_signxml_is_refused_by_ours() -> None:
    raw = signed_by_signxml(await message()).replace(
        EXCLUSIVE.value.encode(), CanonicalizationMethod.CANONICAL_XML_1_1.value.encode()
    )
    with pytest.raises(SignatureError):
        verify(read(raw), TOKEN)
