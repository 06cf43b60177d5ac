"""The attributes that a span may have. Every other one is dropped before it can be exported.

A trace leaves the house of personal data: the collector keeps it for weeks, and anyone who looks
for a slow request reads it. So a span has names, numbers and codes of ours, and never a name, a
number or a text of a person, a form's value, a URL with its query, or an exception's text. Names
are those of OpenTelemetry's semantic conventions (HTTP, messaging) where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

Value = str | int | float | bool
Attributes = Mapping[str, Value | None]

ERROR_TYPE: Final = "error.type"
HTTP_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_STATUS: Final = "http.response.status_code"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
MESSAGING_SYSTEM: Final = "messaging.system"
OPERATION: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION: Final = "messaging.destination.name"
PARTITION: Final = "messaging.destination.partition.id"
OFFSET: Final = "messaging.kafka.offset"
GROUP: Final = "messaging.consumer.group.name"
BATCH_COUNT: Final = "messaging.batch.message_count"
EVENT_ID: Final = "cloudevents.event_id"
EVENT_TYPE: Final = "cloudevents.event_type"
REQUEST_ID: Final = "tongban.request_id"
PROVINCE: Final = "tongban.province"
CALL: Final = "tongban.call"
RESULT: Final = "tongban.result"
STATUS: Final = "tongban.status"
ATTEMPT: Final = "tongban.attempt"
KIOSK: Final = "tongban.kiosk_id"
ORDER: Final = "tongban.order_id"
IPP_OPERATION: Final = "tongban.ipp_operation"
TEMPLATE: Final = "tongban.message_template"
PROVIDER: Final = "tongban.sms_provider"

ALLOWED: frozenset[str] = frozenset(
    {
        ERROR_TYPE, HTTP_METHOD, HTTP_ROUTE, HTTP_STATUS, SERVER_ADDRESS, SERVER_PORT,
        MESSAGING_SYSTEM, OPERATION, OPERATION_TYPE, DESTINATION, PARTITION, OFFSET, GROUP,
        BATCH_COUNT, EVENT_ID, EVENT_TYPE, REQUEST_ID, PROVINCE, CALL, RESULT, STATUS, ATTEMPT,
        KIOSK, ORDER, IPP_OPERATION, TEMPLATE, PROVIDER,
    }
)  # fmt: skip
"""Every attribute that may be exported. A review of a new name asks what its values can be."""
_LONGEST = 256
_REQUEST_ID = re.compile(r"r-[0-9a-z]{29}")


def allowed(attributes: Attributes) -> dict[str, Value]:
    """Return those attributes that may be exported and have a value; texts are cut at 256."""
    return {
        name: value[:_LONGEST] if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None and name in ALLOWED
    }


def request_id_of(key: bytes | None) -> str | None:
    """Return the request id that a record's key is; None for any other key, which is not ours."""
    text = (key or b"").decode("ascii", "replace")
    return text if _REQUEST_ID.fullmatch(text) else None
