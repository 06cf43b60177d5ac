"""Reading a SOAP 1.1 envelope that nobody has vouched for yet.

Pure functions, used by both sides. What is read here may come from anybody: no document type, no
entity, no other encoding than UTF-8, and bounds that are counted on the bytes before anything is
parsed, since parsers and canonicalisation take quadratic time over attributes and namespaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

from lxml import etree

ENV = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
_WSS = "http://docs.oasis-open.org/wss"
WSSE = f"{_WSS}/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = f"{_WSS}/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
WSSE11 = f"{_WSS}/oasis-wss-wssecurity-secext-1.1.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"
PROVINCE = "urn:tongban:province:v1"
"""The namespace of what provinces are sent and say."""

MAX_TAGS = 100_000
MAX_ATTRIBUTES = 1_000
"""Together with namespace declarations; ours have a few dozen."""
MAX_NAMESPACES = 200
"""Declarations; every element is compared with all of them when a document is canonicalised."""

Element = Any
"""An lxml element: lxml comes without types."""


class MalformedEnvelopeError(Exception):
    """Not an envelope that is read here. The text names the rule and never repeats content."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope's parts. Each block of the header and of its Security is there once."""

    root: Element
    header: Element
    security: Element
    body: Element

    @property
    def content(self) -> Element:
        """What the body says: its only element."""
        return self.body[0]

    def block(self, namespace: str, name: str) -> Element | None:
        """A block of the header, e.g. wsa:MessageID."""
        return self.header.find(f"{{{namespace}}}{name}")

    def text(self, namespace: str, name: str) -> str | None:
        """The text of a block of the header; None where there is none."""
        text: str | None = self.header.findtext(f"{{{namespace}}}{name}")
        return text


def read(raw: bytes) -> Envelope:
    """Parse an envelope, whoever sent it.

    Raises:
        MalformedEnvelopeError: it is no XML in UTF-8, has a document type, exceeds the bounds, or
            is not exactly a header with one Security and a body with one element.
    """
    return parts_of(_parse(raw))


def parts_of(root: Element) -> Envelope:
    """An envelope's parts.

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
            raise MalformedEnvelopeError("a block of the header stands there twice")
    if len(body) != 1:
        raise MalformedEnvelopeError("not exactly one element in the body")
    return Envelope(root, header, security, body)


def written(root: Element) -> bytes:
    """An envelope as it is sent: UTF-8 with an XML declaration."""
    raw: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True)
    return raw


def wsdl() -> bytes:
    """The WSDL of a province's SOAP interface."""
    return resources.files(__package__).joinpath("province.wsdl").read_bytes()


def schema() -> Any:
    """The XML schema within the WSDL, for validation of what bodies and fault details hold."""
    types = etree.fromstring(wsdl()).find("{*}types")
    # On its own, as a schema forgets what namespaces were declared around it.
    return etree.XMLSchema(etree.fromstring(etree.tostring(types[0])))


def _parse(raw: bytes) -> Element:
    # Where the parser is told that it is UTF-8 it reads nothing else, so these counts hold.
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
