"""Show records without their sealed content, and within bounded lengths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tongban_ops.operators.dead_letters import DeadLetter

_HEX_BYTES = 512
_HEADER_CHARS = 200


def _without_envelopes(value: Any) -> Any:
    """Return JSON values; of an envelope only its key id, its parts and their sizes."""
    if isinstance(value, dict):
        if value.keys() == {"kid", "key", "parts"}:
            parts = {name: f"sealed, {len(box)} characters" for name, box in value["parts"].items()}
            return {"kid": value["kid"], "parts": parts}
        return {name: _without_envelopes(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_envelopes(inner) for inner in value]
    return value


def _shown_text(raw: bytes | None) -> str | None:
    """Return a key or a header as text of bounded length."""
    if raw is None:
        return None
    text = raw.decode("utf-8", "backslashreplace")
    return text if len(text) <= _HEADER_CHARS else f"{text[:_HEADER_CHARS]}... ({len(text)})"


def hexdump(raw: bytes) -> Iterator[str]:
    """Yield lines of offset, hexadecimal and ASCII for at most 512 bytes."""
    for begin in range(0, min(len(raw), _HEX_BYTES), 16):
        row = raw[begin : begin + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{begin:08x}  {row.hex(' '):<47}  {text}"
    if len(raw) > _HEX_BYTES:
        yield f"... {len(raw) - _HEX_BYTES} of {len(raw)} bytes are not shown"


def letter_summary(letter: DeadLetter) -> dict[str, Any]:
    """Return one line about a dead letter, for programs and tables."""
    settled = letter.settled
    return {
        "id": letter.id,
        "failed_ms": letter.failed_ms,
        "group": letter.group,
        "source": letter.source,
        "place": letter.place,
        "type": letter.event.type if letter.event else None,
        "request_id": letter.request_id,
        "cause": letter.cause,
        "exception": letter.exception,
        "attempts": letter.header("attempts"),
        "settled": _without_envelopes(
            settled.model_dump(mode="json", exclude={"id"}, exclude_none=True)
        )
        if settled
        else None,
    }


def letter_details(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter with headers and event; without an event, with its first raw bytes."""
    value = letter.record.value
    whole = letter_summary(letter) | {
        "key": _shown_text(letter.record.key),
        "headers": {name: _shown_text(raw) for name, raw in letter.record.headers},
        "bytes": None if value is None else len(value),
    }
    if letter.event is not None:
        body = letter.event.body.model_dump(mode="json", exclude_none=True)
        whole["event"] = _without_envelopes(body)
    else:
        whole["fault"] = letter.fault
        whole["raw"] = list(hexdump(value or b""))
    return whole
