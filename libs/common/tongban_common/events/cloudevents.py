"""CloudEvents 1.0, Kafka protocol binding, binary content mode.

Attributes are in `ce_*` headers, the body is the data alone, `content-type` is its media type, and
W3C `traceparent` is a header beside them. `ce_repeat: true` is our extension: an event with this id
may have been sent before, so a consumer checks whether it has acted on it before it acts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from tongban_common.errors import CommonError
from tongban_common.events.models import MODELS, Body

REPEAT, REPLAY_OF = "ce_repeat", "replay_of"
"""Headers of a record that is published again: the mark of a repeat, and the id of the dead letter
it was replayed from (or `tongban_common.store.recovery.RESTORED`)."""
BodyT_co = TypeVar("BodyT_co", bound=Body, covariant=True)
Headers = list[tuple[str, bytes]]
_MOST_WRONG = 20


class MalformedEventError(CommonError, ValueError):
    """Raised for a record that is not one of our events. The text quotes no value of it."""


def wrong_fields(error: ValidationError, *, of: type[BaseModel]) -> str:
    """Return the rules that a body breaks, at most twenty: `/sealed/kid: missing; ...`.

    The text goes into logs and dead letters, so it quotes neither the refused input nor its keys: a
    step that is not a field's name in the model `of`, or below it, is shown as `*`.
    """
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    known = _field_names(of)
    places = [
        "/"
        + "/".join(
            str(step) if isinstance(step, int) or step in known else "*" for step in problem["loc"]
        )
        for problem in problems
    ]
    shown = [f"{at}: {problem['type']}" for at, problem in zip(places, problems, strict=True)]
    more = [] if len(shown) <= _MOST_WRONG else [f"{len(shown) - _MOST_WRONG} more"]
    return "; ".join(shown[:_MOST_WRONG] + more)


@cache
def _field_names(model: type[BaseModel]) -> frozenset[str]:
    schema = model.model_json_schema()
    parts = (schema, *schema.get("$defs", {}).values())
    return frozenset(name for part in parts for name in part.get("properties", {}))


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
        """Return the CloudEvents type, which carries the version."""
        return self.body.TYPE

    @property
    def key(self) -> bytes:
        """Return the record's key: all events of a request go to the same partition number."""
        return self.body.request_id.encode()


def encode(event: Event[Body]) -> tuple[bytes, Headers]:
    """Return the value and the headers of the event's record."""
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
    """Return the event of a record.

    Raises:
        MalformedEventError: the record is no CloudEvent, has an unknown type, or its model refuses
            the body.
    """
    found = {name: raw.decode("utf-8", "replace") for name, raw in headers if raw is not None}
    missing = [name for name in ("ce_id", "ce_type", "ce_source", "ce_time") if name not in found]
    if missing:
        raise MalformedEventError(f"header missing: {', '.join(missing)}")
    model = MODELS.get(found["ce_type"])
    if model is None:
        raise MalformedEventError("header ce_type: unknown type")
    try:
        body = model.model_validate_json(value or b"")
        time = datetime.fromisoformat(found["ce_time"])
    except ValidationError as error:
        raise MalformedEventError(f"{found['ce_type']}: {wrong_fields(error, of=model)}") from None
    except ValueError:
        raise MalformedEventError(
            f"{found['ce_type']}: header ce_time: no time of ISO 8601"
        ) from None
    if time.tzinfo is None:
        raise MalformedEventError(f"{found['ce_type']}: header ce_time: no offset from UTC")
    return Event(
        id=found["ce_id"],
        source=found["ce_source"],
        body=body,
        time=time,
        repeat=found.get("ce_repeat") == "true",
        traceparent=found.get("traceparent"),
    )
