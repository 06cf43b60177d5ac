"""Encode and decode IPP messages (RFC 8010); the decoder is strict."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from tongban_devstack.devices.ipp.vocabulary import GroupTag, ValueTag
from tongban_devstack.errors import DevstackError

Value = int | bool | str | bytes | tuple[int, int]

_NUMBERS = frozenset({ValueTag.INTEGER, ValueTag.ENUM})
_TEXTS = frozenset(range(0x40, 0x60))  # character-string values
_WITH_LANGUAGE = frozenset({ValueTag.TEXT_WITH_LANGUAGE, ValueTag.NAME_WITH_LANGUAGE})
_FIRST_VALUE_TAG = 0x10
_HEADER = struct.Struct(">bbhi")
_LENGTH = struct.Struct(">h")
_NUMBER = struct.Struct(">i")
_PAIR = struct.Struct(">ii")


class IppSyntaxError(DevstackError):
    """Raised when bytes are no IPP message."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A named attribute with one or more values of the same tag."""

    name: str
    tag: int
    values: tuple[Value, ...]


@dataclass(slots=True)
class Group:
    """An attribute group in the order of the message."""

    tag: int
    attributes: dict[str, Attribute] = field(default_factory=dict)

    def add(self, name: str, tag: ValueTag, *values: Value) -> Group:
        """Add an attribute and return the group, for chained calls."""
        self.attributes[name] = Attribute(name, tag, values)
        return self


@dataclass(slots=True)
class IppMessage:
    """A request or response; `code` is the operation or the status, `data` the document."""

    version: tuple[int, int]
    code: int
    request_id: int
    groups: list[Group] = field(default_factory=list)
    data: bytes = b""

    def group(self, tag: GroupTag) -> Group:
        """Return the first group with the tag, or an empty one."""
        return next((group for group in self.groups if group.tag == tag), Group(tag))

    def value(self, tag: GroupTag, name: str) -> Value | None:
        """Return the first value of an attribute of that group, or None."""
        attribute = self.group(tag).attributes.get(name)
        return attribute.values[0] if attribute else None

    def text(self, tag: GroupTag, name: str) -> str | None:
        """Return the first value of an attribute if it is a text, else None."""
        value = self.value(tag, name)
        return value if isinstance(value, str) else None


def encode(message: IppMessage) -> bytes:
    """Encode a message."""
    parts = [_HEADER.pack(*message.version, message.code, message.request_id)]
    for group in message.groups:
        parts.append(bytes((group.tag,)))
        for attribute in group.attributes.values():
            parts.extend(_encode_attribute(attribute))
    parts.append(bytes((GroupTag.END,)))
    parts.append(message.data)
    return b"".join(parts)


def _encode_attribute(attribute: Attribute) -> Iterable[bytes]:
    name = attribute.name.encode()
    for value in attribute.values:
        content = _encode_value(value)
        yield bytes((attribute.tag,))
        yield _LENGTH.pack(len(name)) + name
        yield _LENGTH.pack(len(content)) + content
        name = b""  # further values of one attribute have no name


def _encode_value(value: Value) -> bytes:
    match value:
        case bool():
            return bytes((value,))
        case int():
            return _NUMBER.pack(value)
        case str():
            return value.encode()
        case bytes():
            return value
        case (low, high):
            return _PAIR.pack(low, high)


def decode(raw: bytes) -> IppMessage:
    """Decode a message.

    Values with a language lose it. Collections are skipped and have `b""` as their value: no
    operation of these printers needs one.

    Raises:
        IppSyntaxError: the text says what is wrong and where.
    """
    try:
        return _Reader(raw).message()
    except (struct.error, IndexError) as error:
        raise IppSyntaxError("the message ends too early") from error
    except UnicodeDecodeError as error:
        raise IppSyntaxError(f"a text is not UTF-8: {error.reason}") from error


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def message(self) -> IppMessage:
        major, minor, code, request_id = _HEADER.unpack_from(self._raw)
        self._at = _HEADER.size
        message = IppMessage((major, minor), code, request_id)
        name: str | None = None
        while (tag := self._tag()) != GroupTag.END:
            if tag < _FIRST_VALUE_TAG:
                message.groups.append(Group(tag))
                name = None
                continue
            if not message.groups:
                raise IppSyntaxError("an attribute stands before the first group")
            name = self._attribute(tag, message.groups[-1], name)
        message.data = self._raw[self._at :]
        return message

    def _attribute(self, tag: int, group: Group, previous: str | None) -> str:
        name = self._chunk().decode() or None
        content = self._chunk()
        if tag == ValueTag.BEGIN_COLLECTION:
            self._skip_collection()
            value: Value = b""
        else:
            value = _decode_value(tag, content)
        if name is None:
            if previous is None:
                raise IppSyntaxError("a further value stands before any attribute")
            earlier = group.attributes[previous]
            group.attributes[previous] = Attribute(previous, tag, (*earlier.values, value))
            return previous
        if name in group.attributes:
            raise IppSyntaxError(f"{name} stands twice in one group")
        group.attributes[name] = Attribute(name, tag, (value,))
        return name

    def _skip_collection(self) -> None:
        depth = 1
        while depth:
            tag = self._tag()
            if tag < _FIRST_VALUE_TAG:
                raise IppSyntaxError("a collection has no end")
            self._chunk()
            self._chunk()
            depth += (tag == ValueTag.BEGIN_COLLECTION) - (tag == ValueTag.END_COLLECTION)

    def _tag(self) -> int:
        tag = self._raw[self._at]
        self._at += 1
        return tag

    def _chunk(self) -> bytes:
        (length,) = _LENGTH.unpack_from(self._raw, self._at)
        start = self._at + _LENGTH.size
        self._at = start + length
        if length < 0 or self._at > len(self._raw):
            raise IppSyntaxError(
                f"a length at byte {start - _LENGTH.size} leads out of the message"
            )
        return self._raw[start : self._at]


def _decode_value(tag: int, content: bytes) -> Value:
    if tag in _NUMBERS:
        return int(_NUMBER.unpack(content)[0])
    if tag == ValueTag.BOOLEAN:
        return struct.unpack(">?", content)[0] is True
    if tag == ValueTag.RANGE:
        low, high = _PAIR.unpack(content)
        return low, high
    if tag in _TEXTS:
        return content.decode()
    if tag in _WITH_LANGUAGE:
        (length,) = _LENGTH.unpack_from(content)
        return content[2 * _LENGTH.size + length :].decode()
    return content
