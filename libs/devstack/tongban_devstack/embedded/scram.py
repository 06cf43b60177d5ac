"""Change a user's password at a running broker (KIP-554), as `kafka-configs --alter` does."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from tongban_kafka import client_options

_API_KEY = 51
_SHA_256, _SHA_512 = 1, 2
_HASHES = {_SHA_256: "sha256", _SHA_512: "sha512"}
_ITERATIONS = 4096
"""The least that a broker accepts."""


class _AlterResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = _API_KEY
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterRequest0(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    FLEXIBLE_VERSION = True
    API_KEY = _API_KEY
    API_VERSION = 0
    RESPONSE_TYPE = _AlterResponse
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(
                ("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)
            ),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterRequest(Request[_AlterRequest0]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = _API_KEY

    def __init__(self, upsertions: list[tuple[Any, ...]]) -> None:
        self._upsertions = upsertions

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([], self._upsertions, {})


async def change_password(address: str, user: str, password: str) -> None:
    """Set the user's SCRAM credentials of both mechanisms.

    Args:
        address: HOST:PORT at which the client may alter the cluster.
    """
    salt = os.urandom(16)
    upsertions: list[tuple[object, ...]] = [
        (
            user,
            mechanism,
            _ITERATIONS,
            salt,
            hashlib.pbkdf2_hmac(name, password.encode(), salt, _ITERATIONS),
            {},
        )
        for mechanism, name in _HASHES.items()
    ]
    admin = AIOKafkaAdminClient(**client_options(address))
    try:
        await admin.start()
        # One request for each: a request may name a user and a mechanism once.
        responses = [await admin._send_request(_AlterRequest([each])) for each in upsertions]
    finally:
        await admin.close()
    for response in responses:
        for _user, code, message, _tags in response.results:
            if code:
                raise for_code(code)(message)
