"""Connect to the store, make its indexes, and tell errors that pass from errors about a value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from tempfile import NamedTemporaryFile
from typing import Any

import structlog
from motor.motor_asyncio import AsyncIOMotorClient
from prometheus_client import Counter, Gauge
from pymongo import WriteConcern
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

from tongban_common.errors import CommonError
from tongban_common.observability.certificates import CERTIFICATES
from tongban_common.store.refusals import Refusals
from tongban_common.store_address import StoreAddress, StoreSecurity
from tongban_kafka import ProcessTroubleError, Refusal

log = structlog.get_logger()

_UNAVAILABLE = Gauge("tongban_store_unavailable", "1 while the last call of the store failed")
_FAILURES = Counter("tongban_store_failures_total", "Calls of the store that failed")
Collection = Any
"""A motor collection. Motor has no types that a strict checker accepts."""
DuplicateKey = DuplicateKeyError
NOW = "$$NOW"
"""The server's time, as a value in an update by an aggregation pipeline."""
STAMP = "$currentDate"
"""The update operator that sets fields to the server's time."""
_INDEX_OPTIONS_CONFLICT, _INDEX_KEY_SPECS_CONFLICT = 85, 86
"""MongoDB's error codes for an index that exists under that name and differs."""

DUPLICATE_KEY_CODES = frozenset({11000, 11001, 12582})
BAD_VALUE_CODES = frozenset(
    {
        2,  # BadValue
        14,  # TypeMismatch
        15,  # Overflow
        22,  # InvalidBSON
        28,  # PathNotViable
        52,  # DollarPrefixedFieldName
        56,  # EmptyFieldName
        57,  # DottedFieldName
        121,  # DocumentValidationFailure
        10334,  # BSONObjectTooLarge
        17280,  # KeyTooLong
        17419,  # the document would be larger than 16 MB after this update
        17420,  # the same, of an update by an aggregation pipeline
    }
)
"""MongoDB's codes for a value that the server can never store. They are the only refusals that are
about the record in hand: every other code counts as trouble of the store."""


class StoreUnavailableError(CommonError, ProcessTroubleError):
    """Raised when the store does not answer, or refuses; a write may or may not have taken effect.

    The text names the error and its code, and never quotes the server, whose text may quote a
    value.
    """


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise StoreUnavailableError for every error of the driver, except those about a value.

    A full disk, a changed password, a missing right, a quota or an unlisted code would otherwise
    count against the record in hand, and make it a dead letter. These pass unchanged:
    DuplicateKeyError, a write refused with one of BAD_VALUE_CODES, and the errors of the BSON
    encoder (InvalidDocument, DocumentTooLarge), which do not derive from PyMongoError.
    """
    try:
        yield
    except PyMongoError as error:
        if _is_about_a_value(error):
            raise
        _FAILURES.inc()
        _UNAVAILABLE.set(1)
        raise StoreUnavailableError(f"store: {_described(error)}") from error
    else:
        _UNAVAILABLE.set(0)


def _is_about_a_value(error: PyMongoError) -> bool:
    if isinstance(error, BulkWriteError):
        codes = {each.get("code") for each in error.details.get("writeErrors", ())}
        whole = not error.details.get("writeConcernErrors")
        return whole and bool(codes) and codes <= BAD_VALUE_CODES | DUPLICATE_KEY_CODES
    if isinstance(error, OperationFailure):
        return isinstance(error, DuplicateKeyError) or error.code in BAD_VALUE_CODES
    return False


def _described(error: PyMongoError) -> str:
    name = type(error).__name__
    if isinstance(error, BulkWriteError):
        codes = sorted({each.get("code", 0) for each in error.details.get("writeErrors", ())})
        return f"{name} {codes}"
    if isinstance(error, OperationFailure) and error.code is not None:
        return f"{name} {error.code}"
    return name


def store_client(address: StoreAddress, timeout_ms: int, refusals: Refusals) -> Any:
    """Return a motor client; every client of the product is made here.

    The driver reads certificate and key from one file, so it gets an anonymous one that exists only
    while the client is made. The process exports when the certificates expire.
    """
    security = address.security
    CERTIFICATES.watch("store-ca", security.ca_file)
    CERTIFICATES.watch("store-client", security.certificate_file)
    options: dict[str, Any] = {}
    if security.username is not None and security.password is not None:
        options["username"] = security.username
        options["password"] = security.password.get_secret_value()
        if security.auth_source is not None:
            options["authSource"] = security.auth_source
    if security.tls:
        options["tls"] = True
        if security.ca_file is not None:
            options["tlsCAFile"] = str(security.ca_file)
    with _key_and_certificate(security) as file:
        if file is not None:
            options["tlsCertificateKeyFile"] = file
        return AsyncIOMotorClient(
            address.url,
            serverSelectionTimeoutMS=timeout_ms,
            connectTimeoutMS=timeout_ms,
            socketTimeoutMS=timeout_ms * 5,
            tz_aware=True,
            event_listeners=[refusals],
            **options,
        )


@contextmanager
def _key_and_certificate(security: StoreSecurity) -> Iterator[str | None]:
    if security.certificate_file is None or security.key_file is None:
        yield None
        return
    both = security.key_file.read_bytes() + b"\n" + security.certificate_file.read_bytes()
    with NamedTemporaryFile(prefix="tongban-") as file:  # mode 0600
        file.write(both)
        file.flush()
        yield file.name


class Store:
    """A client of the store that connects on first use.

    A majority of replicas acknowledges each write once it is journalled. `timeout_ms` bounds
    finding a server and each socket operation, so a caller waits no longer for a store that is
    down.
    """

    def __init__(self, address: StoreAddress | str, name: str, *, timeout_ms: int = 2000) -> None:
        if isinstance(address, str):
            address = StoreAddress(address)
        self._refusals = Refusals(address)
        self._client = store_client(address, timeout_ms, self._refusals)
        self._database = self._client.get_database(
            name, write_concern=WriteConcern(w="majority", j=True)
        )

    def collection(self, name: str) -> Collection:
        """Return a collection; the server makes it on the first write."""
        return self._database[name]

    async def ping(self) -> None:
        """Ask the store for an answer that it gives only to a user who may read the database.

        It answers MongoDB's own `ping` to anyone.

        Raises:
            StoreUnavailableError: the store does not answer, or refuses; the text says why.
        """
        try:
            with store_errors():
                await self._database.command({"find": "readiness", "limit": 1, "singleBatch": True})
        except StoreUnavailableError as error:
            raise StoreUnavailableError(self.explain(error)) from error
        self._refusals.answered()

    def explain(self, error: StoreUnavailableError) -> str:
        """Return the text of an error that an operation on this store has raised, with the reason
        if the store refuses this client."""
        if isinstance(error.__cause__, PyMongoError):
            self._refusals.note(error.__cause__)
        refusal = self._refusals.current()
        return str(error) if refusal is None else f"store: {refusal}"

    def refusal(self) -> Refusal | None:
        """Return why the store refuses this client; None if it is away, or answers."""
        return self._refusals.current()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


async def expire(
    collection: Collection, field: str, *, name: str, after: timedelta, sparse: bool = False
) -> None:
    """Make the TTL index `name`, or change the time of the existing one; idempotent.

    A release with another retention finds the index of the release before. `createIndexes` refuses
    then, and `collMod` changes the time without a rebuild.

    Raises:
        StoreUnavailableError: try again later.
    """
    seconds = round(after.total_seconds())
    with store_errors():
        try:
            await collection.create_index(
                field, name=name, expireAfterSeconds=seconds, **({"sparse": True} if sparse else {})
            )
        except OperationFailure as error:
            if error.code not in (_INDEX_OPTIONS_CONFLICT, _INDEX_KEY_SPECS_CONFLICT):
                raise
            change: dict[str, Any] = {"name": name, "expireAfterSeconds": seconds}
            await collection.database.command({"collMod": collection.name, "index": change})


async def prepare_store(*prepare: Callable[[], Awaitable[None]]) -> None:
    """Call each function, all of which are idempotent, again and again until the store answers."""
    while True:
        try:
            for each in prepare:
                await each()
        except StoreUnavailableError as error:
            log.warning("waiting_for_store", error=str(error))
            await asyncio.sleep(1.0)
        else:
            return
