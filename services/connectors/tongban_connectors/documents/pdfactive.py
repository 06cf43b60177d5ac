"""Find what makes a PDF act by itself: scripts, actions, attachments, media, external references.

A document of a province is printed, shown at a kiosk and downloaded; it may not run, open, submit
or contain anything. A jump within the document (`/GoTo`) is allowed. `pdfcheck.py` calls this
module in its own process.

Every object of the file is examined once, including unreferenced ones and those in object streams,
since a viewer that repairs a file may find them. So the time grows with the size of the file and
not with the number of references, and a loop of references does no harm.
"""

from __future__ import annotations

from typing import Any

_MOST_OBJECTS = 200_000
_MOST_NESTED = 64
"""Arrays and dictionaries within one object; deeper ones are refused."""

KEYS = frozenset({
    "/JS", "/JavaScript", "/AA", "/Launch", "/EmbeddedFiles", "/EF", "/XFA", "/RichMedia",
    "/RichMediaContent", "/RichMediaSettings", "/SubmitForm", "/ImportData", "/GoToR", "/GoToE",
    "/URI", "/Collection", "/Rendition", "/Requirements",
})  # fmt: skip
"""Keys of a dictionary that no harmless document has (ISO 32000-2, 7.11, 12.6, 12.7, 13)."""
ACTIONS = frozenset({
    "/JavaScript", "/Launch", "/URI", "/GoToR", "/GoToE", "/GoToDp", "/Thread", "/Sound", "/Movie",
    "/Hide", "/Named", "/SubmitForm", "/ResetForm", "/ImportData", "/SetOCGState", "/Rendition",
    "/Trans", "/GoTo3DView", "/RichMediaExecute", "/NOP",
})  # fmt: skip
"""Types of actions (`/S`; ISO 32000-2, table 201) other than the jump within the document."""
SUBTYPES = frozenset({
    "/FileAttachment", "/RichMedia", "/Screen", "/Movie", "/Sound", "/3D", "/Rendition",
})  # fmt: skip
"""Types of annotations (`/Subtype`) that bring files or media."""
_RAW = (
    b"/JavaScript", b"/SubmitForm", b"/ImportData", b"/EmbeddedFile", b"/RichMedia",
)  # fmt: skip
"""Keys that are also searched in the raw bytes of the file, since a viewer may find objects that
this reader does not. They are too long to occur in compressed bytes by chance."""


def active_part(reader: Any, data: bytes) -> str | None:
    """Return the name of an active part, e.g. "/OpenAction"; None if the document has none.

    Args:
        reader: a pypdf.PdfReader over `data`, not encrypted.
    """
    for word in _RAW:
        if word in data:
            return word.decode()
    for count, whole in enumerate(_objects(reader)):
        if count > _MOST_OBJECTS:
            return f"more than {_MOST_OBJECTS} objects"
        found = _within(whole)
        if found is not None:
            return found
    return None


def _objects(reader: Any) -> Any:
    """Yield the trailer and every object that the file's cross-reference tables list."""
    from pypdf.generic import IndirectObject  # noqa: PLC0415 - the parent reads no PDF

    yield reader.trailer
    for generation, numbers in reader.xref.items():
        for number in list(numbers):
            if number:
                yield reader.get_object(IndirectObject(number, generation, reader))
    for number in list(reader.xref_objStm):
        yield reader.get_object(IndirectObject(number, 0, reader))


def _within(whole: Any) -> str | None:
    """Return the active part within one object, without the objects that it refers to."""
    waiting = [(whole, 0)]
    while waiting:
        part, depth = waiting.pop()
        if depth > _MOST_NESTED:
            return "objects nested without end"
        if isinstance(part, dict):
            found = _declared(part)
            if found is not None:
                return found
            waiting += [(value, depth + 1) for value in part.values()]
        elif isinstance(part, list):
            waiting += [(value, depth + 1) for value in part]
    return None


def _declared(part: Any) -> str | None:
    """Return the active part that one dictionary itself declares.

    References in it are resolved only for the compared values; their targets are examined as
    objects of their own.
    """
    for key in part:
        if key in KEYS:
            return str(key)
    subtype, kind = _value(part, "/Subtype"), _value(part, "/S")
    outside = hasattr(part, "get_data") or _value(part, "/Type") == "/Filespec"
    rules = {
        f"/S {kind}": isinstance(kind, str) and kind in ACTIONS,
        f"/Subtype {subtype}": isinstance(subtype, str) and subtype in SUBTYPES,
        "/Ref": subtype == "/Form" and "/Ref" in part,
        "/F (a file outside the document)": "/F" in part and outside,
        "/OpenAction": "/OpenAction" in part and not _is_jump(_value(part, "/OpenAction")),
    }
    return next((what for what, broken in rules.items() if broken), None)


def _is_jump(action: Any) -> bool:
    """Return True for a destination in the document, or the action that jumps to one."""
    if isinstance(action, dict):
        return _value(action, "/S") == "/GoTo" and "/Next" not in action
    return isinstance(action, list) and not any(isinstance(part, dict) for part in action[1:])


def _value(part: Any, key: str) -> Any:
    value = part.raw_get(key) if key in part and hasattr(part, "raw_get") else part.get(key)
    return value.get_object() if hasattr(value, "get_object") else value
