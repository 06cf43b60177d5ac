"""The public events: CloudEvents 1.0 in Kafka binary mode, bodies from pydantic models."""

from tongban_common.events.cloudevents import (
    Event,
    MalformedEventError,
    decode,
    encode,
    wrong_fields,
)
from tongban_common.events.models import MODELS, Body

__all__ = ["MODELS", "Body", "Event", "MalformedEventError", "decode", "encode", "wrong_fields"]
