"""Show records without their sealed content, and within bounded lengths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tongban_common.events import Body
from tongban_ops.operators.dead_letters import DeadLetter

_HEX_BYTES = 512
_HEADER_CHARS = 200


def shown_body(body: Body) -> dict[str, Any]:
    """Return the body as JSON values; of its envelope only key id, parts and sizes."""
    shown: dict[str, Any] = _without_envelopes(body.model_dump(mode="json", exclude_none=True))
    return shown


def _without_envelopes(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"kid", "key", "parts"}:
            parts = {name: f"sealed, {len(box)} characters" for name, box in value["parts"].items()}
            return {"kid": value["kid"], "parts": parts}
        return {name: _without_envelopes(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_envelopes(inner) for inner in value]
    return value


def shown_headers(headers: tuple[tuple[str, bytes | None], ...]) -> dict[str, str | None]:
    """Return headers as text, each cut to a bounded length."""
    return {
        name: None if value is None else _cut(value.decode("utf-8", "backslashreplace"))
        for name, value in headers
    }


def _cut(text: str) -> str:
    return text if len(text) <= _HEADER_CHARS else f"{text[:_HEADER_CHARS]}... ({len(text)})"


def shown_key(key: bytes | None) -> str | None:
    """Return a key as text of bounded length."""
    return None if key is None else _cut(key.decode("utf-8", "backslashreplace"))


def hexdump(raw: bytes, *, limit: int = _HEX_BYTES) -> Iterator[str]:
    """Yield lines of offset, hexadecimal and ASCII for at most `limit` bytes."""
    for begin in range(0, min(len(raw), limit), 16):
        row = raw[begin : min(begin + 16, limit)]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{begin:08x}  {row.hex(' '):<47}  {text}"
    if len(raw) > limit:
        yield f"... {len(raw) - limit} of {len(raw)} bytes are not shown"


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
        "key": shown_key(letter.record.key),
        "headers": shown_headers(letter.record.headers),
        "bytes": None if value is None else len(value),
    }
    if letter.event is not None:
        whole["event"] = shown_body(letter.event.body)
    else:
        whole["fault"] = letter.fault
        whole["raw"] = list(hexdump(value or b""))
    return whole
