"""CloudEvents 1.0, Kafka protocol binding, binary content mode.

Attributes stand in `ce_*` headers, the body is the data alone, `content-type` is its media type,
W3C `traceparent` stands beside them. `ce_repeat: true` is our extension: the event has the id of
one that may have been sent before, and whoever acts on it must look before acting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import to_json

from tongban_common.events.models import MODELS, Body

BodyT_co = TypeVar("BodyT_co", bound=Body, covariant=True)
Headers = list[tuple[str, bytes]]


class MalformedEvent(ValueError):
    """Not one of our events; the text says what is wrong, never with the values."""


@dataclass(frozen=True, slots=True)
class Event(Generic[BodyT_co]):
    """An event: the CloudEvents context attributes and the body."""

    id: str
    source: str
    body: BodyT_co
    time: datetime
    repeat: bool = False
    traceparent: str | None = None

    @property
    def type(self) -> str:
        """The CloudEvents type, which carries the version."""
        return self.body.TYPE

    @property
    def key(self) -> bytes:
        """The record key: every event of a request goes to the same partition number."""
        return self.body.request_id.encode()


def encode(event: Event[Body]) -> tuple[bytes, Headers]:
    """The record's value and headers."""
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.id.encode()),
        ("ce_source", event.source.encode()),
        ("ce_type", event.type.encode()),
        ("ce_time", event.time.isoformat().encode()),
        ("ce_subject", event.body.request_id.encode()),
        ("content-type", b"application/json"),
    ]
    if event.repeat:
        headers.append(("ce_repeat", b"true"))
    if event.traceparent:
        headers.append(("traceparent", event.traceparent.encode()))
    return to_json(event.body, exclude_none=True), headers


def decode(value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Event[Body]:
    """Read a record.

    Raises:
        MalformedEvent: no CloudEvent, an unknown type, or a body that its model refuses.
    """
    found = {name: raw.decode("utf-8", "replace") for name, raw in headers if raw is not None}
    missing = [name for name in ("ce_id", "ce_type", "ce_source", "ce_time") if name not in found]
    if missing:
        raise MalformedEvent(f"header missing: {', '.join(missing)}")
    model = MODELS.get(found["ce_type"])
    if model is None:
        # A header's value is never quoted: whoever wrote the record may have put anything there.
        raise MalformedEvent("ce_type: unknown type")
    try:
        body = model.model_validate_json(value or b"")
        time = datetime.fromisoformat(found["ce_time"])
    except ValidationError as error:
        # The refused input itself may name a person: locations and rules only.
        wrong = "; ".join(
            f"/{'/'.join(map(str, problem['loc']))}: {problem['type']}"
            for problem in error.errors()
        )
        raise MalformedEvent(f"{found['ce_type']}: {wrong}") from None
    except ValueError:
        raise MalformedEvent(f"{found['ce_type']}: ce_time: not RFC 3339") from None
    return Event(
        id=found["ce_id"],
        source=found["ce_source"],
        body=body,
        time=time,
        repeat=found.get("ce_repeat") == "true",
        traceparent=found.get("traceparent"),
    )
