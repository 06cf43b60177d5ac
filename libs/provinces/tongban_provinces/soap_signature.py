"""Sign and verify SOAP messages: XML Signature with HMAC-SHA256 in WS-Security (ADR 0010).

Pure functions. A signature covers everything in the envelope but itself: the body, every block of
the header, everything else in Security. So nothing can be moved, doubled or added without breaking
it, and a reader can take nothing unsigned for signed.

The profile is closed: one algorithm for each purpose, no transform but exclusive canonicalisation,
and references to elements in their known places alone. `verify` refuses everything else, and
follows no reference before it has checked the signature's value.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from datetime import UTC, datetime
from functools import partial

from lxml import etree

from tongban_provinces.signing import NONCE_LENGTH, WINDOW_SECONDS, SignatureError
from tongban_provinces.soap_envelope import (
    DS,
    WSA,
    WSSE,
    WSSE11,
    WSU,
    Element,
    Envelope,
)

_ID = f"{{{WSU}}}Id"
_SIGNATURE = f"{{{DS}}}Signature"
_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
_HMAC = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")

_canonical = partial(etree.tostring, method="c14n", exclusive=True, with_comments=False)

# In canonical form already, so that it can be hashed as it is.
_SIGNED_INFO = (
    f'<ds:SignedInfo xmlns:ds="{DS}">'
    f'<ds:CanonicalizationMethod Algorithm="{_C14N}"></ds:CanonicalizationMethod>'
    f'<ds:SignatureMethod Algorithm="{_HMAC}"></ds:SignatureMethod>'
    "{references}</ds:SignedInfo>"
)
_REFERENCE = (
    '<ds:Reference URI="#{id}"><ds:Transforms>'
    f'<ds:Transform Algorithm="{_C14N}"></ds:Transform></ds:Transforms>'
    f'<ds:DigestMethod Algorithm="{_SHA256}"></ds:DigestMethod>'
    "<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>"
)
_WHOLE = (
    f'<ds:Signature xmlns:ds="{DS}">{{signed_info}}'
    "<ds:SignatureValue>{value}</ds:SignatureValue></ds:Signature>"
)


def sign(envelope: Envelope, token: str) -> str:
    """Sign an envelope that has no signature yet; return the SignatureValue.

    Args:
        token: the province's, see `signing.province_token`.
    """
    references = []
    for number, part in enumerate(_parts(envelope)):
        identifier = f"part-{number}"
        part.set(_ID, identifier)
        references.append(_REFERENCE.format(id=identifier, digest=_digest(part)))
    signed_info = _SIGNED_INFO.format(references="".join(references))
    value = _value(token, signed_info.encode())
    whole = _WHOLE.format(signed_info=signed_info, value=value)
    envelope.security.append(etree.fromstring(whole))
    return value


def verify(envelope: Envelope, token: str) -> str:
    """Check that everything in the envelope is signed with the token.

    Returns:
        The SignatureValue, which no other message has.

    Raises:
        SignatureError: `missing_header`, or `bad_signature`.
    """
    signature = envelope.security.find(_SIGNATURE)
    if signature is None:
        raise SignatureError("missing_header", "there is no Signature in Security")
    try:
        return _verified(envelope, signature, token)
    except (etree.LxmlError, ValueError, LookupError):
        raise SignatureError("bad_signature", "the Signature has another form") from None


def password_digest(token: str, nonce: bytes, created: str) -> str:
    """Return the PasswordDigest of the UsernameToken profile 1.0, which prescribes SHA-1."""
    content = nonce + created.encode() + token.encode()
    return base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()


def check_username_token(envelope: Envelope, token: str, *, user: str, now: float) -> str:
    """Check the sender and the time of a message; return its nonce (hex), new or not.

    Raises:
        SignatureError: `missing_header`, `unknown_paasid` (the codes are those of REST), `stale`
            or `bad_signature`.
    """
    fields = {}
    for namespace, name in (
        (WSSE, "Username"),
        (WSSE, "Password"),
        (WSSE, "Nonce"),
        (WSU, "Created"),
    ):
        text = envelope.security.findtext(f"{{{WSSE}}}UsernameToken/{{{namespace}}}{name}")
        if not text or not text.isascii():
            raise SignatureError("missing_header", f"{name} is missing in UsernameToken")
        fields[name] = text
    if fields["Username"] != user:
        raise SignatureError("unknown_paasid", "Username is not known here")
    check_created(fields["Created"], now)
    try:
        nonce = base64.b64decode(fields["Nonce"], validate=True)
    except binascii.Error:
        nonce = b""
    if len(nonce) not in NONCE_LENGTH:
        raise SignatureError("missing_header", "Nonce has 8 to 64 bytes in Base64")
    expected = password_digest(token, nonce, fields["Created"])
    if not hmac.compare_digest(fields["Password"], expected):
        raise SignatureError("bad_signature", "Password does not match")
    return nonce.hex()


def check_created(text: str | None, now: float) -> float:
    """Check a wsu:Created against the reader's wall clock `now`; return it. Both in Unix seconds.

    Raises:
        SignatureError: `stale`.
    """
    if text is None or not _UTC.fullmatch(text):
        raise SignatureError("stale", "Created is no moment in UTC")
    try:
        moment = datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise SignatureError("stale", "Created is no moment in UTC") from None
    if abs(now - moment) > WINDOW_SECONDS:
        raise SignatureError("stale", f"Created is over {WINDOW_SECONDS} s from our clock")
    return moment


def created(now: float) -> str:
    """Return the wsu:Created of a moment of the wall clock (Unix seconds)."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_answer(
    envelope: Envelope, token: str, *, message_id: str, signature: str, now: float
) -> float:
    """Check that an envelope is the province's answer to this very message.

    Args:
        signature: the SignatureValue of that message. A province confirms it only once it has
            verified it, so an attacker obtains no answer by another message with the same id.

    Returns:
        The province's own wall clock (Unix seconds) at its answer.

    Raises:
        SignatureError: as `verify`; `stale`; `wrong_nonce` (an answer to another message).
    """
    verify(envelope, token)
    security = envelope.security
    said_at = check_created(security.findtext(f"{{{WSU}}}Timestamp/{{{WSU}}}Created"), now)
    confirmation = security.find(f"{{{WSSE11}}}SignatureConfirmation")
    if (
        envelope.text(WSA, "RelatesTo") != message_id
        or confirmation is None
        or confirmation.get("Value") != signature
    ):
        raise SignatureError("wrong_nonce", "an answer to another message")
    return said_at


def _verified(envelope: Envelope, signature: Element, token: str) -> str:
    signed_info, value, *_ = signature  # KeyInfo may follow: the key is known
    if value.tag != _ds("SignatureValue"):
        raise SignatureError("bad_signature", "there is no SignatureValue")
    received = (value.text or "").strip()
    if not hmac.compare_digest(received.encode(), _value(token, _canonical(signed_info)).encode()):
        raise SignatureError("bad_signature", "the SignatureValue does not match")
    parts = _parts(envelope)
    digests = _digests(signed_info)
    identifiers = [part.get(_ID) for part in parts]
    if len(set(identifiers)) != len(parts) or set(identifiers) != set(digests):
        raise SignatureError("bad_signature", "not everything is signed, each by its own Id")
    for identifier, part in zip(identifiers, parts, strict=True):
        if not hmac.compare_digest(_digest(part).encode(), digests[identifier].encode()):
            raise SignatureError("bad_signature", f"{etree.QName(part).localname} was changed")
    return received


def _digests(signed_info: Element) -> dict[str, str]:
    """Return Id -> digest of each reference in a SignedInfo of our profile.

    Raises:
        SignatureError: it is of another profile.
    """
    canonicalisation, method, *references = signed_info
    plain = [
        (canonicalisation, "CanonicalizationMethod", _C14N),
        (method, "SignatureMethod", _HMAC),
    ]
    digests = {}
    for reference in references:
        transforms, digest_method, digest = reference
        (transform,) = transforms
        plain += [(transform, "Transform", _C14N), (digest_method, "DigestMethod", _SHA256)]
        identifier = reference.get("URI", "")[1:]
        right = {"URI": f"#{identifier}"} == dict(reference.attrib) and identifier not in digests
        tags = [part.tag for part in (signed_info, reference, transforms, digest)]
        if not right or tags != list(
            map(_ds, ("SignedInfo", "Reference", "Transforms", "DigestValue"))
        ):
            raise SignatureError("bad_signature", "the SignedInfo has another form")
        digests[identifier] = (digest.text or "").strip()
    for part, name, algorithm in plain:
        # Refuse children, too: HMACOutputLength would shorten the value that has to be guessed.
        if part.tag != _ds(name) or dict(part.attrib) != {"Algorithm": algorithm} or len(part):
            raise SignatureError("bad_signature", f"{name} is another one")
    return digests


def _ds(name: str) -> str:
    return f"{{{DS}}}{name}"


def _parts(envelope: Envelope) -> list[Element]:
    """Return all signed elements, in the order of the references."""
    blocks = [block for block in envelope.header if block is not envelope.security]
    tokens = [part for part in envelope.security if part.tag != _SIGNATURE]
    return [envelope.body, *blocks, *tokens]


def _digest(part: Element) -> str:
    return base64.b64encode(hashlib.sha256(_canonical(part)).digest()).decode()


def _value(token: str, signed_info: bytes) -> str:
    return base64.b64encode(hmac.new(token.encode(), signed_info, hashlib.sha256).digest()).decode()
