"""Read a SOAP 1.1 envelope before its signature is verified, as pure functions.

The sender is not known yet, so document types, entities and encodings other than UTF-8 are refused.
Tags, attributes and namespaces are counted in the bytes before anything is parsed, since parsers
and canonicalisation take quadratic time over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

from lxml import etree

from tongban_provinces.errors import ProvincesError

ENV = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
_WSS = "http://docs.oasis-open.org/wss"
WSSE = f"{_WSS}/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = f"{_WSS}/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
WSSE11 = f"{_WSS}/oasis-wss-wssecurity-secext-1.1.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"
PROVINCE = "urn:tongban:province:v1"
"""The namespace of requests to provinces and of their answers."""

MAX_TAGS = 100_000
MAX_ATTRIBUTES = 1_000
"""Including namespace declarations; our own messages have a few dozen."""
MAX_NAMESPACES = 200
"""Canonicalisation compares every element with all namespace declarations."""

Element = Any
"""An lxml element: lxml comes without types."""


class MalformedEnvelopeError(ProvincesError):
    """The message breaks a rule for envelopes, which the text names without quoting content."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Parts of an envelope. Each block of the header and of its Security occurs once."""

    root: Element
    header: Element
    security: Element
    body: Element

    @property
    def content(self) -> Element:
        """The only element of the body."""
        return self.body[0]

    def block(self, namespace: str, name: str) -> Element | None:
        """Return a block of the header, e.g. wsa:MessageID; None if there is none."""
        return self.header.find(f"{{{namespace}}}{name}")

    def text(self, namespace: str, name: str) -> str | None:
        """Return the text of a block of the header; None if there is none."""
        text: str | None = self.header.findtext(f"{{{namespace}}}{name}")
        return text


def read(raw: bytes) -> Envelope:
    """Parse an envelope of an unknown sender.

    Raises:
        MalformedEnvelopeError: it is no XML in UTF-8, has a document type, exceeds the bounds, or
            is not exactly a header with one Security and a body with one element.
    """
    return parts_of(_parse(raw))


def parts_of(root: Element) -> Envelope:
    """Return the parts of an envelope.

    Raises:
        MalformedEnvelopeError: as `read` does.
    """
    if root.tag != f"{{{ENV}}}Envelope":
        raise MalformedEnvelopeError("not a SOAP 1.1 envelope")
    if [part.tag for part in root] != [f"{{{ENV}}}Header", f"{{{ENV}}}Body"]:
        raise MalformedEnvelopeError("not exactly one header and one body")
    header, body = root
    security = header.find(f"{{{WSSE}}}Security")
    if security is None:
        raise MalformedEnvelopeError("no Security in the header")
    for parent in (header, security):
        tags = [part.tag for part in parent]
        if len(tags) != len(set(tags)):
            raise MalformedEnvelopeError("a block of the header occurs twice")
    if len(body) != 1:
        raise MalformedEnvelopeError("not exactly one element in the body")
    return Envelope(root, header, security, body)


def written(root: Element) -> bytes:
    """Serialise an envelope for sending: UTF-8 with an XML declaration."""
    raw: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True)
    return raw


def wsdl() -> bytes:
    """Return the WSDL of the SOAP interface of provinces."""
    return resources.files(__package__).joinpath("province.wsdl").read_bytes()


def schema() -> Any:
    """Compile the XML schema within the WSDL, which validates bodies and fault details."""
    types = etree.fromstring(wsdl()).find("{*}types")
    # Reparse it alone: lxml's XMLSchema ignores namespaces that are declared around the schema.
    return etree.XMLSchema(etree.fromstring(etree.tostring(types[0])))


def _parse(raw: bytes) -> Element:
    # The parser below reads UTF-8 alone, whatever the declaration names, so these counts hold.
    if b"<!" in raw and (b"<!DOCTYPE" in raw or b"<!ENTITY" in raw):
        raise MalformedEnvelopeError("a document type")
    bounds = ((b"<", MAX_TAGS), (b"=", MAX_ATTRIBUTES), (b"xmlns", MAX_NAMESPACES))
    if any(raw.count(mark) > most for mark, most in bounds):
        raise MalformedEnvelopeError(
            "more tags, attributes or namespaces than anything sensible has"
        )
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=False,
        collect_ids=False,
        remove_comments=True,  # text in two pieces must not be signed as one and read as another
        remove_pis=True,
    )
    try:
        return etree.fromstring(raw, parser)
    except (etree.LxmlError, ValueError):
        raise MalformedEnvelopeError("not well-formed XML in UTF-8") from None
